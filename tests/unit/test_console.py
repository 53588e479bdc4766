"""What a user sees, in logs and on a real terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import pty
import re
import select
import struct
import sys
import termios
import threading
import time
from typing import TextIO

import pytest

from toolchain import console
from toolchain.console import PlainReporter, TerminalReporter, make_reporter

ERASE = "\r\x1b[2K"


class Waiting(io.StringIO):
    """A stream on which one can wait for a text."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self.changed:
            done = super().write(text)
            self.changed.notify_all()
        return done

    def wait_for(self, text: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.getvalue(), timeout=20), text


class Terminal:
    """The user's end of a terminal 40 columns wide."""

    def __init__(self) -> None:
        self._user, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
        self.stream: TextIO = os.fdopen(program, "w")
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read what is shown until ``text`` was."""
        while text not in self.shown:
            readable, _, _ = select.select([self._user], [], [], 20)
            assert readable, f"{text!r} is not shown, but {self.shown!r}"
            self.shown += os.read(self._user, 4096).decode()

    def close(self) -> str:
        """Close the program's end; return all that was shown."""
        print("the end", file=self.stream, flush=True)
        self.wait_for("the end")
        self.stream.close()
        os.close(self._user)
        return self.shown.replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show what goes on at once instead of after two seconds."""
    monkeypatch.setattr(console, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(console, "_DRAW_SECONDS", 0.001)


def test_events_are_lines_and_a_quiet_reporter_says_warnings_only() -> None:
    for quiet, expected in (
        (False, "  done\nby the way\nwarning: look\n"),
        (True, "warning: look\n"),
    ):
        stream = io.StringIO()
        reporter = PlainReporter(stream, quiet=quiet)
        reporter.step("done")
        reporter.note("by the way")
        reporter.warning("look")
        with reporter.activity("something") as activity:
            activity.update("more")
        assert stream.getvalue() == expected


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    PlainReporter().note("by the way")
    assert capsys.readouterr() == ("", "by the way\n")


@pytest.mark.usefixtures("at_once")
def test_a_log_says_what_goes_on_with_its_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_REPEAT_SECONDS", 0.001)
    stream = Waiting()
    with PlainReporter(stream).activity("fetching wheels") as activity:
        stream.wait_for("... fetching wheels (0 s)\n")
        activity.update("numpy")
        stream.wait_for("... fetching wheels: numpy (0 s)\n")


def test_a_short_activity_says_nothing() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), PlainReporter(stream).activity("x"):
        raise ZeroDivisionError
    assert stream.getvalue() == ""


def test_lines_of_many_threads_stay_whole() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)

    def work(mark: str) -> None:
        for _ in range(200):
            reporter.note(mark * 40)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stream.getvalue().split()) == sorted(mark * 40 for mark in "abcd" * 200)


@pytest.mark.usefixtures("at_once")
def test_a_terminal_shows_what_goes_on_below_the_lines_and_takes_it_away(
    terminal: Terminal,
) -> None:
    reporter = TerminalReporter(terminal.stream)
    with reporter.activity("training") as activity:
        terminal.wait_for("training (0 s)")
        activity.update("epoch 3")
        terminal.wait_for("training: epoch 3 (0 s)")
        reporter.step("a step")
        with reporter.activity("compiling"):
            terminal.wait_for("compiling (0 s) (+1 more)")
    shown = terminal.close()
    assert f"{ERASE}  a step\n" in shown
    assert shown.endswith(f"{ERASE}the end\n")


@pytest.mark.usefixtures("at_once")
def test_the_moving_line_never_wraps(terminal: Terminal) -> None:
    reporter = TerminalReporter(terminal.stream)
    with reporter.activity("a very long description " * 5):
        terminal.wait_for("a very long description a very lo")
    pieces = terminal.close().split(ERASE)
    assert max(len(piece.rstrip("\n")) for piece in pieces) == 39


@pytest.mark.usefixtures("at_once")
def test_the_moving_line_is_one_whatever_it_is_made_of(terminal: Terminal) -> None:
    reporter = TerminalReporter(terminal.stream)
    with reporter.activity("a folder\nwith a line end"):
        terminal.wait_for("a folder with a line end (0 s)")
    terminal.close()


@pytest.mark.usefixtures("at_once")
def test_a_terminal_that_is_closed_ends_no_thread_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    drawn = threading.Event()

    class Closed(io.StringIO):
        def fileno(self) -> int:
            raise OSError(errno.EBADF, "Bad file descriptor")

        def write(self, text: str) -> int:
            if "training" in text:
                drawn.set()
                raise OSError(errno.EIO, "Input/output error")
            return super().write(text)

    with TerminalReporter(Closed()).activity("training"):
        assert drawn.wait(10)
        time.sleep(0.01)
    assert errors == []


@pytest.mark.usefixtures("at_once")
def test_a_quiet_terminal_moves_nothing(terminal: Terminal) -> None:
    reporter = TerminalReporter(terminal.stream, quiet=True)
    with reporter.activity("training") as activity:
        activity.update("epoch 3")
    assert terminal.close() == "the end\n"


@pytest.mark.usefixtures("at_once")
def test_many_activities_at_once_all_end(terminal: Terminal) -> None:
    reporter = TerminalReporter(terminal.stream)
    reader = threading.Thread(target=terminal.wait_for, args=("the end",), daemon=True)
    reader.start()

    def work() -> None:
        for _ in range(300):
            with reporter.activity("x"):
                pass

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [thread.is_alive() for thread in threads] == [False] * 4
    print("the end", file=terminal.stream, flush=True)
    reader.join()


def test_the_reporter_suits_standard_error(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_reporter()) is PlainReporter
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    assert type(make_reporter()) is TerminalReporter
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_reporter()) is PlainReporter
    monkeypatch.delenv("TERM")
    assert type(make_reporter()) is PlainReporter
    terminal.close()


@pytest.mark.parametrize(
    ("variable", "begin", "end"),
    [
        ("GITHUB_ACTIONS", r"::group::steps\n", r"::endgroup::\n"),
        (
            "GITLAB_CI",
            "\x1b\\[0Ksection_start:[0-9]+:steps\r\x1b\\[0Ksteps\n",
            "\x1b\\[0Ksection_end:[0-9]+:steps\r\x1b\\[0K\n",
        ),
        ("NOTHING", "", ""),
    ],
)
def test_a_ci_folds_what_is_told_away(
    monkeypatch: pytest.MonkeyPatch, variable: str, begin: str, end: str
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "true")
    stream = io.StringIO(newline="")
    reporter = PlainReporter(stream)
    with contextlib.suppress(ZeroDivisionError), console.group(reporter, "steps"):
        reporter.step("done")
        raise ZeroDivisionError
    assert re.fullmatch(f"{begin}  done\n{end}", stream.getvalue())


def test_a_quiet_reporter_has_nothing_to_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stream = io.StringIO()
    with console.group(PlainReporter(stream, quiet=True), "steps"):
        pass
    assert stream.getvalue() == ""
