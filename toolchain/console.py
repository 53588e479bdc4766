"""What a user sees while something runs.

Progress goes to standard error, results go to standard output.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

VERBOSE_VARIABLE = "TOOLCHAIN_VERBOSE"
"""When set, as ``--verbose`` does, details are told too."""

_QUIET_SECONDS = 2.0
_REPEAT_SECONDS = 30.0
_DRAW_SECONDS = 0.2


class Activity(Protocol):
    """Something that takes a while."""

    def update(self, text: str) -> None:
        """Say what it is doing now."""


class Reporter(Protocol):
    """Receives what happens; implementations must be callable from any thread."""

    def step(self, text: str) -> None:
        """Something was done."""

    def note(self, text: str) -> None:
        """Something worth knowing that asks for nothing."""

    def warning(self, text: str) -> None:
        """Something the user should look at."""

    @contextmanager
    def activity(self, text: str) -> Iterator[Activity]:
        """Show that ``text`` is going on for as long as the block runs."""
        ...  # pragma: no cover


class _PlainActivity:
    """Says nothing for two seconds, then what goes on, and again now and then."""

    def __init__(self, reporter: PlainReporter, text: str) -> None:
        self._reporter = reporter
        self._title = text
        self._detail = ""
        self._started = time.monotonic()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._remind, daemon=True)
        self._thread.start()

    def update(self, text: str) -> None:
        self._detail = text

    def stop(self) -> None:
        self._wake.set()
        self._thread.join()

    def _remind(self) -> None:
        pause = _QUIET_SECONDS
        while not self._wake.wait(pause):
            seconds = int(time.monotonic() - self._started)
            detail = f": {self._detail}" if self._detail else ""
            # The command itself meets what is wrong with the stream, and tells it.
            with suppress(OSError):
                self._reporter.line(f"... {self._title}{detail} ({seconds} s)")
            pause = _REPEAT_SECONDS


class PlainReporter:
    """One line for each event, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._lock = threading.Lock()

    @property
    def is_quiet(self) -> bool:
        """Whether only warnings are told."""
        return self._quiet

    def line(self, text: str) -> None:
        """Write one line at once."""
        with self._lock:
            print(text, file=self._stream, flush=True)

    def step(self, text: str) -> None:
        """Something was done."""
        if not self._quiet:
            self.line(f"  {text}")

    def note(self, text: str) -> None:
        """Something worth knowing that asks for nothing."""
        if not self._quiet:
            self.line(text)

    def warning(self, text: str) -> None:
        """Something the user should look at."""
        self.line(f"warning: {text}")

    @contextmanager
    def activity(self, text: str) -> Iterator[Activity]:
        """Say after two seconds that ``text`` goes on, and every half minute."""
        if self._quiet:
            yield _SilentActivity()
            return
        activity = _PlainActivity(self, text)
        try:
            yield activity
        finally:
            activity.stop()


class _SilentActivity:
    def update(self, text: str) -> None:
        """Say nothing."""


class _TerminalActivity:
    """A spinner line with the time gone by, drawn after two seconds."""

    def __init__(self, reporter: TerminalReporter, text: str) -> None:
        self._reporter = reporter
        self._title = text
        self._detail = ""
        self._started = time.monotonic()

    @property
    def line(self) -> str:
        """What to draw; empty while it is too early."""
        seconds = time.monotonic() - self._started
        if seconds < _QUIET_SECONDS:
            return ""
        detail = f": {self._detail}" if self._detail else ""
        return " ".join(f"{self._title}{detail} ({int(seconds)} s)".splitlines())

    def update(self, text: str) -> None:
        self._detail = text


class TerminalReporter(PlainReporter):
    """Plain lines, with one line at the bottom that shows what goes on."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        super().__init__(stream, quiet=quiet)
        self._activities: list[_TerminalActivity] = []
        self._drawn = False
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def line(self, text: str) -> None:
        """Write one line above the moving one."""
        with self._lock:
            self._erase()
            print(text, file=self._stream, flush=True)

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[2K")
            self._drawn = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            # It has been closed; lines that go nowhere may have any length.
            return 80

    def _draw(self, stop: threading.Event) -> None:
        frames = "|/-\\"
        count = 0
        # Where nothing can be written any more nothing has to move.
        while not stop.wait(_DRAW_SECONDS):
            with self._lock, suppress(OSError):
                lines = [line for activity in self._activities if (line := activity.line)]
                self._erase()
                if lines:
                    width = self._width()
                    more = f" (+{len(lines) - 1} more)" if len(lines) > 1 else ""
                    text = f"{frames[count % len(frames)]} {lines[-1]}{more}"
                    self._stream.write(text[: max(width - 1, 1)])
                    self._drawn = True
                self._stream.flush()
            count += 1

    @contextmanager
    def activity(self, text: str) -> Iterator[Activity]:
        """Show ``text`` with the time gone by while the block runs."""
        if self._quiet:
            yield _SilentActivity()
            return
        activity = _TerminalActivity(self, text)
        with self._lock:
            self._activities.append(activity)
            if self._thread is None:
                # Its own: the thread before it may not have looked at its own yet.
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._draw, args=(self._stop,), daemon=True)
                self._thread.start()
        try:
            yield activity
        finally:
            with self._lock:
                self._activities.remove(activity)
                finished = self._thread if not self._activities else None
                if finished is not None:
                    self._thread = None
                    self._stop.set()
            if finished is not None:
                finished.join()
                with self._lock:
                    self._erase()
                    self._stream.flush()


def is_verbose() -> bool:
    """Return whether the user asked for details."""
    return bool(os.environ.get(VERBOSE_VARIABLE))


@contextmanager
def group(reporter: Reporter, title: str) -> Iterator[None]:
    """Let GitHub and GitLab fold away, under a title, what is told while the block runs.

    Nothing is said elsewhere, nor by a quiet reporter.
    """
    if not isinstance(reporter, PlainReporter) or reporter.is_quiet:
        yield
        return
    begin, end = "", ""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        begin, end = f"::group::{title}", "::endgroup::"
    elif os.environ.get("GITLAB_CI") == "true":
        name, start = title.replace(" ", "_"), "\x1b[0K"
        begin = f"{start}section_start:{int(time.time())}:{name}\r{start}{title}"
    if begin:
        reporter.line(begin)
    try:
        yield
    finally:
        if begin and not end:
            end = f"{start}section_end:{int(time.time())}:{name}\r{start}"
        if end:
            reporter.line(end)


def make_reporter(*, quiet: bool = False) -> PlainReporter:
    """Return the reporter that suits standard error."""
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return TerminalReporter(quiet=quiet)
    return PlainReporter(quiet=quiet)
