"""The kernel's locks on files, which go with their holder however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.1


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
    """Return whether an open file is what ``path`` names: others may have removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of the file ``path``, which is made and stays, for as long as the block runs.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Not by a call that blocks: a signal just before it would be noticed after it only.
        while not try_exclusive(descriptor):
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)
