"""Copies a file to the volume that a board's debug probe shows.

The probe writes what arrives into the flash. Where that fails it puts ``FAIL.TXT`` with the reason
on the volume, which it takes away and shows again for that (ST-LINK and DAPLink firmware).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import DeviceAccessError, DeviceNotFoundError, FlashError
from toolchain.flashing.job import Job, Progress

FAILURE = "FAIL.TXT"
MARKS = ("DETAILS.TXT", "MBED.HTM")
"""Files that a probe's volume has; a folder of that name on this computer's own disk has none."""

_PIECE_BYTES = 64 * 1024


def missing(job: Job) -> str:
    """Return whether the volume is not mounted."""
    label = job.way.volume
    return "" if _volumes(job) else f"no volume {label} is mounted"


def plan(job: Job) -> tuple[str, ...]:
    """Return the copy that would be made."""
    volumes = _volumes(job)
    place = str(volumes[0]) if volumes else f"the volume {job.way.volume}"
    return (f"copy {job.file} to {place}", f"look for {FAILURE} on the volume")


def write(job: Job, reporter: Reporter, progress: Progress) -> str:
    """Copy the file; see ``Tool.write``."""
    volume = _the_volume(job)
    failure = volume / FAILURE
    before = _text(failure)
    reporter.step(f"copying {job.file.name} to {volume}")
    try:
        _copy(job.data, volume / job.file.name, progress)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise DeviceAccessError(
                f"{volume} may not be written",
                why=str(error),
                next_step="let the desktop mount it for you, or mount it with your user id",
            ) from error
        raise FlashError(
            f"{job.file.name} could not be copied to {volume}",
            why=str(error),
            next_step="unplug the board, plug it in again, then flash again",
        ) from error
    reason = _wait_for_failure(job, failure, before)
    if reason:
        raise FlashError(
            f"{job.board.title} did not take {job.file.name}",
            why=reason,
            next_step="unplug the board, plug it in again, then flash again",
        )
    return f"{len(job.data):,} bytes were copied to {volume}; {job.board.title} starts them"


def _volumes(job: Job) -> list[Path]:
    label = job.way.volume
    if not label:
        return []
    found = []
    for folder in job.host.volume_folders:
        parents = folder.parent.glob(folder.name) if "*" in folder.name else (folder,)
        found += [parent / label for parent in sorted(parents)]
    return [volume for volume in dict.fromkeys(found) if _is_probes(volume)]


def _is_probes(volume: Path) -> bool:
    """Return whether a folder is a probe's volume; one that may not be looked into is none."""
    try:
        return any((volume / mark).is_file() for mark in MARKS)
    except OSError:
        # Of another user, or broken off just now.
        return False


def _is_there(volume: Path) -> bool:
    try:
        return volume.is_dir()
    except OSError:
        return False


def _the_volume(job: Job) -> Path:
    volumes = _volumes(job)
    if len(volumes) == 1:
        return volumes[0]
    if volumes:
        raise DeviceNotFoundError(
            f"{len(volumes)} volumes can be {job.board.title}: {', '.join(map(str, volumes))}",
            next_step="leave one board connected",
        )
    folders = ", ".join(map(str, job.host.volume_folders))
    raise DeviceNotFoundError(
        f"the volume {job.way.volume} of {job.board.title} is not mounted",
        why=f"it was looked for in {folders}",
        next_step=" ".join([*job.way.steps, "Or mount it by hand in one of these folders."]),
    )


def _copy(data: bytes, target: Path, progress: Progress) -> None:
    with target.open("wb") as stream:
        for start in range(0, len(data), _PIECE_BYTES):
            stream.write(data[start : start + _PIECE_BYTES])
            progress(min(start + _PIECE_BYTES, len(data)), len(data))
        stream.flush()
        os.fsync(stream.fileno())


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _wait_for_failure(job: Job, failure: Path, before: str | None) -> str:
    """Return the reason of a failure, empty when none is told.

    A reason that was there before counts only after the volume went away and came back.
    """
    has_left = False
    end = time.monotonic() + job.host.volume_seconds
    while True:
        if not _is_there(failure.parent):
            has_left = True
        else:
            text = _text(failure)
            if text is not None and (has_left or text != before):
                return text or "its FAIL.TXT is empty"
            if has_left and _is_probes(failure.parent):
                return ""
        if time.monotonic() >= end:
            return ""
        job.host.sleep(job.host.pause_seconds)
