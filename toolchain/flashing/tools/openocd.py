"""Writes to a board with OpenOCD, through the debug probe that is on it.

Command line: OpenOCD's manual, ``program``.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import FlashToolError, UsageError
from toolchain.flashing.job import Job, Progress
from toolchain.flashing.programs import command_text, run_program

_ADVICE = (
    "check the cable to the board's ST-LINK socket; where the probe may not be opened, install "
    "OpenOCD's udev rules (60-openocd.rules) and plug it in again"
)
# What would end or change a word in braces, which Tcl takes as it stands otherwise.
_SPECIAL_IN_BRACES = frozenset("{}\\\n")


def missing(job: Job) -> str:
    """Return whether OpenOCD is not there."""
    return "" if job.host.find_program("openocd") else "openocd is not on PATH"


def plan(job: Job) -> tuple[str, ...]:
    """Return the command line."""
    return (command_text(_command_line(job, job.host.find_program("openocd") or Path("openocd"))),)


def _command_line(job: Job, program: Path) -> tuple[str, ...]:
    if _SPECIAL_IN_BRACES & set(str(job.file)):
        raise UsageError(
            f"OpenOCD cannot be told the name {job.file!s}",
            next_step="move the file to a folder without braces and backslashes in its name",
        )
    # A hex file brings its address along.
    address = f" 0x{job.board.application.load_address:08X}" if job.way.format == "bin" else ""
    name = f"{{{job.file}}}" if " " in str(job.file) else str(job.file)
    return (
        *(str(program), "-f", job.way.config or ""),
        *("-c", f"program {name}{address} verify reset exit"),
    )


def write(job: Job, reporter: Reporter, progress: Progress) -> str:
    """Run OpenOCD; see ``Tool.write``."""
    program = job.host.find_program("openocd")
    if program is None:
        raise FlashToolError(
            missing(job), next_step="install it (Debian, Ubuntu: apt-get install openocd)"
        )
    progress(0, len(job.data))
    run_program(_command_line(job, program), job.host.environ, reporter, next_step=_ADVICE)
    progress(len(job.data), len(job.data))
    return f"OpenOCD wrote and verified {job.file.name} on {job.board.title} and started it"
