"""The kernel's locks on files, which go with their holder however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def try_exclusive(file: int | IO[str]) -> bool:
    """Return whether this process has the file's lock now, alone; never waits.

    Args:
        file: an open file, or its descriptor; closing it lets the lock go.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(descriptor: int) -> bool:
    """Return whether somebody else holds the file's lock alone; any number may ask at once.

    Who wants the lock alone may be refused for the moment that this takes.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_still(path: Path, descriptor: int) -> bool:
    """Return whether ``path`` is the file that ``descriptor`` has open.

    Whoever removes lock files may have removed it while its lock was waited for.
    """
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
