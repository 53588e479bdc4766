"""Disk space: asked for before something starts, and one error for when it runs out."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.errors import DiskFullError

MINIMUM_FREE_BYTES = 64 << 20
"""What is left free on a disk beside what a step is known to write."""

_MIB = 1 << 20
_GB = 1_000_000_000


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


def require_space(folders: Collection[Path], needed_bytes: int, purpose: str) -> None:
    """Refuse to start something for which there is no room.

    A folder that is not there counts as its nearest parent; so does a folder of an engine that runs
    in a virtual machine, which only the engine itself can measure.

    Args:
        folders: in the file systems in question.
        needed_bytes: what will be written.
        purpose: what needs it, as the beginning of a sentence.

    Raises:
        DiskFullError: one has less than ``needed_bytes``.
    """
    for folder in folders:
        free = free_bytes(_existing(folder))
        if free < needed_bytes:
            raise DiskFullError(
                f"{purpose} needs {_amount(needed_bytes)} free and {folder} has {_amount(free)}",
                next_step="free some space (docker system df shows the engine's), or put the cache "
                "elsewhere with TOOLCHAIN_CACHE",
            )


def _amount(size_bytes: int) -> str:
    return f"{size_bytes / _GB:.1f} GB" if size_bytes >= _GB else f"{size_bytes / 1e6:.0f} MB"


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def says_disk_full(said: str) -> bool:
    """Return whether a message of another program says that a disk is full."""
    signs = ("no space left on device", "enospc", "you don't have enough free space in")
    return any(sign in said.lower() for sign in signs)
