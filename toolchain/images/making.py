"""While images are made: one command at a time, and faults of the engine as errors of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from toolchain.console import Reporter
from toolchain.disk import says_disk_full
from toolchain.engine.connection import Engine
from toolchain.engine.sdk_errors import sdk_errors
from toolchain.errors import DiskFullError, EngineUnavailableError, ImageBuildError
from toolchain.images.leftovers import remove_leftovers
from toolchain.layout import Layout


@contextmanager
def making_images(engine: Engine, layout: Layout, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of the cache's images, with what a killed command left behind removed.

    Raises:
        DiskFullError: the block found no space or no quota left.
        EngineUnavailableError: the engine stopped answering during the block.
        ImageBuildError: the engine refused something in the block.
    """
    from filelock import FileLock, Timeout

    with engine_faults(layout):
        layout.cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(layout.cache / "images.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with reporter.activity("another command is making images"):
                lock.acquire()
        try:
            remove_leftovers(engine, layout)
            yield
        finally:
            lock.release()


@contextmanager
def engine_faults(layout: Layout) -> Iterator[None]:
    """Turn what the Docker SDK and the disk raise inside the block into this project's errors.

    Raises:
        DiskFullError: no space or no quota was left.
        EngineUnavailableError: the engine stopped answering.
        ImageBuildError: it refused something.
    """
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        why = str(error.explanation or error)
        if says_disk_full(why):
            raise engine_disk_full("images were made", why) from error
        raise ImageBuildError(
            "the Docker Engine refused what making an image needs",
            why=why,
            next_step="look at the engine with: docker info",
        ) from error
    except sdk_errors() as error:
        raise EngineUnavailableError(
            "the Docker Engine stopped answering while images were made",
            why=str(error),
            next_step="see that the engine runs (docker info), then run the command again",
        ) from error
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"the disk of {layout.cache} is full, or the user's quota is used up",
            next_step="free some space, or put the cache elsewhere with TOOLCHAIN_CACHE; "
            "what was fetched and checked is kept",
        ) from error


def engine_disk_full(when: str, why: str) -> DiskFullError:
    """Return the error for an engine without space, by what it was at and what it said."""
    return DiskFullError(
        f"the engine's disk filled up while {when}",
        why=why,
        next_step="free some space: docker system df shows what is on the engine's disk",
    )
