"""Terminals: escapes there only, and the same result with and without one."""

from __future__ import annotations

import os
import pty
import signal
import struct
import subprocess
import termios
from fcntl import ioctl

import pytest

from tests.blackbox.support import TARGET, Checkout

ESCAPE = "\x1b"


def on_a_terminal(
    checkout: Checkout,
    *arguments: str,
    columns: int = 80,
    interrupt_at: str = "",
    **extra: str,
) -> tuple[int, str]:
    """Run a command whose three streams are a terminal; return its exit code and what it showed.

    Args:
        checkout: where.
        arguments: words after ``./invoke``.
        columns: of the terminal, which has 24 rows.
        interrupt_at: what has to be shown before Ctrl-C is typed; empty for never.
        extra: variables.
    """
    own, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [str(checkout.folder / "invoke"), *arguments],
        cwd=checkout.folder,
        env=checkout.environment(TERM="xterm-256color", **extra),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                piece = os.read(own, 65536)
            except OSError:
                # Linux says so when the last process that held the terminal has gone.
                break
            if not piece:
                break
            shown += piece
            if interrupt_at and interrupt_at.encode() in shown:
                os.killpg(process.pid, signal.SIGINT)
                interrupt_at = ""
    os.close(own)
    return process.returncode, shown.decode()


@pytest.mark.parametrize("command", [("build", "--target", TARGET), ("targets",), ("--list",)])
def test_into_a_file_or_a_pipe_there_is_no_escape(built: Checkout, command: tuple[str]) -> None:
    done = built.invoke(*command, TERM="xterm-256color")
    assert done.returncode == 0
    assert ESCAPE not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [("targets",), ("plan", "--target", TARGET)])
def test_a_terminal_shows_what_a_pipe_takes(built: Checkout, command: tuple[str]) -> None:
    code, shown = on_a_terminal(built, *command, NO_COLOR="1")
    assert code == 0
    assert shown.replace("\r\n", "\n") == built.invoke(*command).stdout


def test_without_colour_a_terminal_is_shown_none(built: Checkout) -> None:
    code, shown = on_a_terminal(built, "build", "--target", TARGET, NO_COLOR="1")
    assert code == 0
    assert f"{ESCAPE}[3" not in shown
    assert "hello_world.bin" in shown


def test_an_error_on_a_terminal_is_the_same_message(built: Checkout) -> None:
    code, shown = on_a_terminal(built, "build", "--target", "sparkfun_egde", NO_COLOR="1")
    assert code == 10
    assert "error: there is no target 'sparkfun_egde'" in shown
    assert "did you mean 'sparkfun_edge'?" in shown
