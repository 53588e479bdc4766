"""One command at a time for each checkout, and none while the cache is made smaller.

The lock is the kernel's (``flock``), so it goes with its holder however that ends. ``filelock``
does the same, but importing it costs a tenth of a second, which every build with nothing to do
would pay.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.errors import CancelledError
from toolchain.flock import is_still, try_exclusive
from toolchain.layout import Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter

_POLL_SECONDS = 0.1

_held: set[Path] = set()
_in_use: dict[Path, int] = {}
"""Descriptors that hold the shared lock of a cache, by its path."""


def lock_path(layout: Layout) -> Path:
    """Return the lock file of the checkout."""
    key = hashlib.sha256(os.fsencode(layout.project)).hexdigest()
    return layout.cache / "locks" / f"{key[:16]}.lock"


@contextmanager
def project_lock(layout: Layout, reporter: Reporter) -> Iterator[None]:
    """Hold the checkout's lock for as long as the block runs.

    While another process holds it, says once who that is, and waits. Inside the block the same
    process may ask for it again. Not for use from several threads.

    Raises:
        CancelledError: the user stopped the command while it waited.
        OSError: the lock file cannot be made.
    """
    path = lock_path(layout)
    if path in _held:
        yield
        return
    descriptor = _acquire(path, reporter)
    _held.add(path)
    try:
        # It only serves to explain: a full disk must not keep from what writes nothing.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _who_we_are(), 0)
        with _using(layout):
            yield
    finally:
        _held.discard(path)
        os.close(descriptor)


def _users_path(layout: Layout) -> Path:
    return layout.cache / "locks" / "users"


@contextmanager
def _using(layout: Layout) -> Iterator[None]:
    """Hold the cache's shared lock: nothing that a command may need goes meanwhile."""
    path = _users_path(layout)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _in_use[path] = descriptor
        yield
    finally:
        _in_use.pop(path, None)
        os.close(descriptor)


@contextmanager
def only_user(layout: Layout) -> Iterator[bool]:
    """Yield whether no other command uses the cache; while the block runs none can begin to.

    To be used inside ``project_lock``, when this command needs nothing of the cache any more.
    """
    descriptor = _in_use[_users_path(layout)]
    try:
        yield try_exclusive(descriptor)
    finally:
        # Trying may have cost the shared lock.
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _acquire(path: Path, reporter: Reporter) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # Not by a call that blocks: a signal just before it would be noticed after it only.
            while not try_exclusive(descriptor):
                if not said:
                    reporter.note(f"waiting for {_holder(descriptor)} to finish with this project")
                    said = True
                time.sleep(_POLL_SECONDS)
            # Whoever cleans the cache may have removed the file while we waited for it.
            if is_still(path, descriptor):
                return descriptor
        except KeyboardInterrupt:
            os.close(descriptor)
            raise CancelledError("stopped while waiting for another command") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _who_we_are() -> bytes:
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return json.dumps({"pid": os.getpid(), "command": shlex.join(command)}).encode()


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 1 << 16, 0))
        return f"process {int(holder['pid'])} ({holder['command']})"
    except (ValueError, KeyError, TypeError):
        return "another command"
