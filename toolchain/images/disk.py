"""Checks that there is room for an image, and recognises when there was not."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from toolchain.errors import DiskFullError

_GB = 1_000_000_000


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def require_space(folders: Collection[Path], needed_bytes: int, purpose: str) -> None:
    """Check the free space of the file systems that hold ``folders``.

    A folder that is not there counts as its nearest parent; so does a folder of an engine that runs
    in a virtual machine, which only the engine itself can measure.

    Raises:
        DiskFullError: one has less than ``needed_bytes``.
    """
    for folder in folders:
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed_bytes:
            raise DiskFullError(
                f"{purpose} needs {needed_bytes / _GB:.1f} GB free and {folder} has "
                f"{free / _GB:.1f} GB",
                next_step="free some space (docker system df shows the engine's), or put the cache "
                "elsewhere with TOOLCHAIN_CACHE",
            )


def is_disk_full(said: str) -> bool:
    """Return whether a message says that a disk is full."""
    signs = ("no space left on device", "enospc", "you don't have enough free space in")
    return any(sign in said.lower() for sign in signs)
