"""Writes to an Arduino Nano 33 BLE with bossac, in the fork that Arduino's own IDE uses.

Command line, 1200-baud touch and the double tap: Arduino's core for these boards. The image's
address is not given: the bootloader adds it, and counts an offset from there.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import DeviceNotFoundError, FlashToolError
from toolchain.flashing.host import SerialPort, open_port
from toolchain.flashing.job import Job, Progress
from toolchain.flashing.ports import choose_port, port_or_placeholder
from toolchain.flashing.programs import command_text, run_program

PROGRAM_VARIABLE = "BOSSAC"
TOUCH_BAUD = 1200

_VERSION = re.compile(r"\bVersion\s+(\S+)")
_SUITABLE = re.compile(r"1\.9\.1-arduino([2-9]|[1-9]\d+)$")
_APPLICATION_BIT = 0x8000
_WHERE_TO_GET_IT = (
    "install the boards 'Arduino Mbed OS Nano' in the Arduino IDE, which brings it as "
    "~/.arduino15/packages/arduino/tools/bossac/1.9.1-arduino2/bossac, and set BOSSAC to that path"
)


def missing(job: Job) -> str:
    """Return whether bossac is not there."""
    return "" if _find(job) else f"bossac is not on PATH and {PROGRAM_VARIABLE} is not set"


def plan(job: Job) -> tuple[str, ...]:
    """Return the touch, if one is needed, and the command line."""
    program = _find(job) or Path("bossac")
    port = port_or_placeholder(job.board, job.way, job.host.list_ports(), job.port)
    lines = []
    if _is_application(port):
        lines.append(f"open and close {port.device} at {TOUCH_BAUD} baud: starts the bootloader")
        port = SerialPort("PORT", "the bootloader's port", "")
    return (*lines, command_text(command_line(program, port.device, job.file)))


def command_line(program: Path, device: str, image: Path) -> tuple[str, ...]:
    """Return the command that writes ``image`` and starts it."""
    return (
        str(program),
        *("-d", f"--port={device.removeprefix('/dev/')}", "-U", "-i", "-e", "-w"),
        *(str(image), "-R"),
    )


def write(job: Job, reporter: Reporter, progress: Progress) -> str:
    """Run bossac; see ``Tool.write``."""
    program = _find(job)
    if program is None:
        raise FlashToolError(f"{missing(job)}", next_step=_WHERE_TO_GET_IT)
    _check_version(program, job)
    port = choose_port(job.board, job.way, job.host.list_ports(), job.port)
    if _is_application(port):
        port = _start_bootloader(job, port, reporter)
    progress(0, len(job.data))
    run_program(
        command_line(program, port.device, job.file),
        job.host.environ,
        reporter,
        next_step="press the reset button twice in quick succession, then flash again",
    )
    progress(len(job.data), len(job.data))
    return f"bossac wrote {len(job.data):,} bytes to {job.board.title} and started them"


def _find(job: Job) -> Path | None:
    named = job.host.environ.get(PROGRAM_VARIABLE)
    return Path(named) if named else job.host.find_program("bossac")


def _check_version(program: Path, job: Job) -> None:
    try:
        done = subprocess.run(
            [str(program), "--help"],
            env=dict(job.host.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FlashToolError(
            f"{program} cannot be run", why=str(error), next_step=_WHERE_TO_GET_IT
        ) from error
    found = _VERSION.search(done.stdout + done.stderr)
    version = found[1] if found else "unknown"
    if not _SUITABLE.match(version):
        raise FlashToolError(
            f"{program} is bossac {version}, which cannot write to {job.board.title}",
            why="its bootloader is spoken to by Arduino's fork only, 1.9.1-arduino2",
            next_step=_WHERE_TO_GET_IT,
        )


def _is_application(port: SerialPort) -> bool:
    """Return whether a port is that of a running sketch.

    Arduino gives the bootloader the application's product number without its highest bit.
    """
    return bool(port.usb) and bool(int(port.usb.partition(":")[2], 16) & _APPLICATION_BIT)


def _start_bootloader(job: Job, port: SerialPort, reporter: Reporter) -> SerialPort:
    """Ask a running sketch for the bootloader, and wait for its port."""
    reporter.step(f"asking {port} for its bootloader")
    vendor, _, product = port.usb.partition(":")
    wanted = f"{vendor}:{int(product, 16) & ~_APPLICATION_BIT:04x}"
    # Another board may be in its bootloader already, and is not the one that was asked for.
    others = {each.device for each in job.host.list_ports() if each.usb == wanted}
    with open_port(port.device, TOUCH_BAUD):
        pass
    end = time.monotonic() + job.host.port_seconds
    while True:
        found = [
            each
            for each in job.host.list_ports()
            if each.usb == wanted and each.device not in others
        ]
        if len(found) > 1:
            raise DeviceNotFoundError(
                f"{len(found)} boards came up in their bootloader: {'; '.join(map(str, found))}",
                next_step="leave one board connected, or name one with --port",
            )
        if found:
            return found[0]
        if time.monotonic() >= end:
            raise DeviceNotFoundError(
                f"{job.board.title} did not start its bootloader (USB {wanted})",
                why=f"it was asked by opening {port.device} at {TOUCH_BAUD} baud",
                next_step="press the reset button twice in quick succession, then flash again",
            )
        job.host.sleep(job.host.pause_seconds)
