"""Writes to an Apollo3 over a serial line, by its own bootloader; no other program is needed."""

from __future__ import annotations

from toolchain.console import Reporter
from toolchain.errors import FlashError
from toolchain.firmware.formats.ambiq import split_update
from toolchain.flashing.bootloader import OTA_DESCRIPTOR_ADDRESS, Bootloader
from toolchain.flashing.host import open_port
from toolchain.flashing.job import Job, Progress
from toolchain.flashing.messages import LONGEST_DATA
from toolchain.flashing.ports import choose_port, port_or_placeholder


def missing(_job: Job) -> str:
    """Return nothing: any computer with a serial port will do."""
    return ""


def plan(job: Job) -> tuple[str, ...]:
    """Return the messages that would be sent."""
    port = port_or_placeholder(job.board, job.way, job.host.list_ports(), job.port)
    lines = [
        f"open {port.device} at {job.way.baud} baud, 8N1",
        "send HELLO and wait for STATUS",
        f"send OTADESC 0x{OTA_DESCRIPTOR_ADDRESS:08X}",
    ]
    for part in reversed(split_update(job.data)):
        pieces = -(-len(part) // LONGEST_DATA)
        lines.append(f"send UPDATE of {len(part):,} bytes and {pieces} DATA messages")
    return (*lines, "send RESET, after which the board installs the update and runs it")


def write(job: Job, reporter: Reporter, progress: Progress) -> str:
    """Send the update; see ``Tool.write``."""
    if job.way.baud is None:
        raise ValueError("flashing by ambiq_bootloader needs a baud rate")
    port = choose_port(job.board, job.way, job.host.list_ports(), job.port)
    reporter.step(f"sending to {port} at {job.way.baud} baud")
    with open_port(port.device, job.way.baud) as line:
        try:
            summary = Bootloader(line, job.host.timing).update(job.data, progress)
        except OSError as error:
            raise FlashError(
                f"the serial line {port.device} broke while it was written to",
                why=str(error),
                next_step="check cable and adapter, then flash again: the bootloader itself is "
                "never overwritten",
            ) from error
    if summary.repeated:
        reporter.note(f"{summary.repeated} messages had to be repeated: the line is noisy")
    if not summary.reset_acknowledged:
        return (
            f"{job.board.title} took all {len(job.data):,} bytes, but did not say that it "
            "restarts: press its RST button"
        )
    return f"{job.board.title} took all {len(job.data):,} bytes and restarts"
