"""Ends the making of images that goes on in other threads.

What waits for the engine there is not reached by an interruption, which only the main thread sees:
whoever waits says here how the waiting is ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolchain.errors import CancelledError


class Cancellation:
    """Whether a piece of work was called off, and how to end what is in the middle of it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._cancelled = False
        self._ends: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """End all blocks that ``ended_by`` holds, and let no further one begin."""
        with self._guard:
            self._cancelled = True
            ends = tuple(self._ends)
        for end in ends:
            # One that has ended by itself meanwhile, or an engine that does not answer.
            with contextlib.suppress(Exception):
                end()

    def check(self) -> None:
        """Go on only if the work was not called off.

        Raises:
            CancelledError: it was.
        """
        if self._cancelled:
            raise CancelledError("stopped while images were made")

    @contextmanager
    def ended_by(self, end: Callable[[], object]) -> Iterator[None]:
        """Let ``cancel`` call ``end``, from its own thread, while the block runs.

        ``end`` may also be called when the block has just ended.

        Raises:
            CancelledError: the work was called off already; the block does not run.
        """
        with self._guard:
            self.check()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._guard:
                self._ends.remove(end)
