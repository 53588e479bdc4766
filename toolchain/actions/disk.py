"""Disk space: one error for every way in which it runs out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.errors import DiskFullError

MINIMUM_FREE_BYTES = 64 << 20
_MIB = 1 << 20


def free_bytes(folder: Path) -> int:
    """Return what an unprivileged user may still write on the file system of ``folder``.

    Raises:
        OSError: ``folder`` cannot be examined.
    """
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def disk_full(folder: Path) -> DiskFullError:
    """Return the error that says that no space is left where ``folder`` is."""
    try:
        why = f"{free_bytes(folder) // _MIB} MiB are free where {folder} is"
    except OSError:
        why = f"nothing more can be written where {folder} is"
    return DiskFullError(
        "the disk is full, or the user's quota is used up",
        why=why,
        next_step="free some space and run the command again; what was finished is kept",
    )


@contextmanager
def space_checked(folder: Path) -> Iterator[None]:
    """Turn running out of space inside the block into the one error for it.

    Raises:
        DiskFullError: an operation of the block found no space or no quota left.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        raise


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to start something for which there is no room.

    Args:
        folder: an existing folder of the file system in question.
        needed_bytes: what will be written, beside ``MINIMUM_FREE_BYTES``.

    Raises:
        DiskFullError: less than that is free.
    """
    if free_bytes(folder) < needed_bytes + MINIMUM_FREE_BYTES:
        raise disk_full(folder)
