"""Writes a firmware to a board that is connected."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.boards import Board, Flashing
from toolchain.console import Reporter
from toolchain.errors import FlashToolError, ImageRefusedError, UsageError
from toolchain.firmware.formats import file_name
from toolchain.flashing.host import Host
from toolchain.flashing.image_check import check_image
from toolchain.flashing.job import Job, find_tool
from toolchain.flashing.progress import shown_progress


@dataclass(frozen=True)
class FlashRequest:
    """What the user asked for.

    Attributes:
        board: what to write to.
        folder: where its firmware was built: ``build/<target>/<model>``.
        application: the program that was built.
        image: a file to write instead of the built one; None for that.
        port: serial port; empty to look for it.
        tool: way of flashing; empty for the first one that this computer has.
    """

    board: Board
    folder: Path
    application: str = "hello_world"
    image: Path | None = None
    port: str = ""
    tool: str = ""


def prepare(request: FlashRequest, host: Host, *, dry_run: bool = False) -> Job:
    """Choose a way of flashing and check the file for it; nothing is sent.

    Args:
        request: what to write.
        host: this computer.
        dry_run: take the first way even if this computer lacks something for it.

    Raises:
        UsageError: the board has no such way, or the file cannot be read.
        ImageRefusedError: the file is not a firmware for this board.
        FlashToolError: this computer has nothing for any of the board's ways.
    """
    ways = _ways(request)
    jobs = []
    refusals: list[ImageRefusedError] = []
    for way in ways:
        try:
            jobs.append(_job(request, way, host))
        except ImageRefusedError as error:
            refusals.append(error)
    if not jobs:
        raise refusals[0]
    lacks = {job.way.tool: find_tool(job.way).missing(job) for job in jobs}
    for job in jobs:
        if not lacks[job.way.tool]:
            return job
    if dry_run or len(jobs) == 1:
        return jobs[0]
    raise FlashToolError(
        f"this computer has nothing to write to {request.board.title} with",
        why="; ".join(f"{tool}: {reason}" for tool, reason in lacks.items()),
        next_step="see what --dry-run would do, or FLASHING.md beside the firmware that ./invoke "
        "build makes",
    )


def _ways(request: FlashRequest) -> Sequence[Flashing]:
    board = request.board
    if not request.tool:
        return board.flashing
    chosen = [way for way in board.flashing if way.tool == request.tool]
    if not chosen:
        tools = ", ".join(way.tool for way in board.flashing)
        raise UsageError(
            f"{board.title} is not flashed by '{request.tool}'", next_step=f"choose one of: {tools}"
        )
    return chosen


def _job(request: FlashRequest, way: Flashing, host: Host) -> Job:
    file = request.image or request.folder / file_name(request.application, way.format)
    try:
        if file.exists() and not file.is_file():
            # A device may never end.
            raise OSError(errno.EINVAL, "it is no file")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read",
            why=error.strerror or str(error),
            next_step="look at the path that --image names"
            if request.image
            else f"build it with ./invoke build --target {request.board.name}",
        ) from error
    check_image(request.board, way.format, data, file.name)
    return Job(
        board=request.board, way=way, file=file.resolve(), data=data, host=host, port=request.port
    )


def plan(job: Job) -> tuple[str, ...]:
    """Return what ``flash`` would do, a line each."""
    return (
        f"write {job.file} ({len(job.data):,} bytes, {job.way.format}) to {job.board.title} "
        f"by {job.way.tool}",
        *(f"by hand: {step}" for step in job.way.steps),
        *find_tool(job.way).plan(job),
    )


def flash(job: Job, reporter: Reporter, *, quiet: bool = False) -> str:
    """Write a checked file to the board and return what was done, a sentence.

    Raises:
        DeviceNotFoundError: the board is not there.
        DeviceAccessError: it cannot be opened.
        FlashToolError: the program for it is missing or the wrong one.
        FlashError: the board did not take the file.
    """
    for step in job.way.steps:
        reporter.note(f"by hand: {step}")
    with shown_progress(reporter, f"writing to {job.board.title}", quiet=quiet) as progress:
        return find_tool(job.way).write(job, reporter, progress)
