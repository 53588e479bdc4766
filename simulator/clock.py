"""Simulated time: executed instructions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Time for timers that the firmware can read: one tick for each executed instruction.

    Attributes:
        was_read: set by every look at the clock; a loop that looks at it is not endless.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self.was_read = False

    def ticks(self) -> int:
        """Return the ticks since reset."""
        self.was_read = True
        return self._count()
