"""Runs the programs of others that write to boards."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

from toolchain.console import Reporter
from toolchain.errors import FlashError, FlashToolError

_LAST_LINES = 6
_LONGEST_RUN_SECONDS = 300


def command_text(arguments: Sequence[str]) -> str:
    """Return a command as it would be typed."""
    return shlex.join(arguments)


def run_program(
    arguments: Sequence[str], environ: Mapping[str, str], reporter: Reporter, *, next_step: str
) -> str:
    """Run a command to its end and return what it wrote.

    Args:
        arguments: program and arguments.
        environ: its environment.
        reporter: shown the command.
        next_step: what to advise when it fails.

    Raises:
        FlashToolError: it cannot be started.
        FlashError: it failed, or did not end within five minutes.
    """
    reporter.step(command_text(arguments))
    try:
        done = subprocess.run(
            list(arguments),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LONGEST_RUN_SECONDS,
            check=False,
        )
    except OSError as error:
        raise FlashToolError(f"{arguments[0]} cannot be run", why=str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise FlashError(
            f"{arguments[0]} did not end within {_LONGEST_RUN_SECONDS} seconds",
            next_step=next_step,
        ) from error
    if done.returncode:
        said = " | ".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise FlashError(
            f"{arguments[0]} failed with exit code {done.returncode}",
            why=said or "it said nothing",
            next_step=next_step,
        )
    return done.stdout
