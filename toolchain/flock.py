"""The kernel's locks on files, which go with their holder however that ends."""

from __future__ import annotations

import fcntl
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
