"""What an interrupt or a termination does to a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """Interrupts and termination, as events of a run, or as an exception where that is wanted.

    An exception at any place of the main thread could leave things half done; an event cannot.

    Args:
        tell: called in the signal's handler when nothing is raised.

    Attributes:
        stopped: whether a signal came.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._raising = False
        self.stopped = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals inside the block; outside the main thread there is nothing to handle."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        # Whoever started us with a signal ignored (nohup does) wants it so.
        taken = [number for number, was in previous.items() if was is not signal.SIG_IGN]
        try:
            for number in taken:
                signal.signal(number, self._handle)
            yield
        finally:
            for number in taken:
                signal.signal(number, previous[number] or signal.SIG_DFL)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise ``KeyboardInterrupt`` inside the block."""
        self._raising = True
        try:
            if self.stopped:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.stopped = True
        if self._raising:
            raise KeyboardInterrupt
        self._tell()
