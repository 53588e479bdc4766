"""How much of a fetch has arrived, and how long the rest may take."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

_LOOK_SECONDS = 1.0
_MEGABYTE = 1e6
_SURE_SECONDS = 3.0
"""A rate that was measured for less says nothing of what is to come."""


def told(arrived_bytes: int, expected_bytes: int, rate: float) -> str:
    """Return how a fetch stands, in words.

    Args:
        arrived_bytes: what is here, 0 or more.
        expected_bytes: about how much it will be; 0 where that is not known.
        rate: bytes a second; 0 where it is not known yet.
    """
    arrived = f"{arrived_bytes / _MEGABYTE:,.0f}"
    left = expected_bytes - arrived_bytes
    if left <= 0:
        return f"{arrived} MB"
    text = f"{arrived} of about {expected_bytes / _MEGABYTE:,.0f} MB"
    return f"{text}, about {left / rate:,.0f} s left" if rate > 0 else text


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, without what goes while it is looked at."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


class Progress:
    """Tells of a fetch, by the size of the folder that it fills and by what its client says.

    Args:
        folder: that is filled.
        expected_bytes: about how much it will be; 0 where that is not known.
        update: called with how it stands, now and then.
    """

    def __init__(self, folder: Path, expected_bytes: int, update: Callable[[str], None]) -> None:
        self._folder = folder
        self._expected = expected_bytes
        self._update = update
        self._line = ""

    def said(self, line: str) -> None:
        """Take a line of the client: it is told until enough has arrived to tell of that."""
        self._line = line

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell once a second for as long as the block runs."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _watch(self, done: threading.Event) -> None:
        # Some files may be here already; only what comes tells how fast it comes.
        first = size_of(self._folder)
        begun = monotonic()
        while not done.wait(_LOOK_SECONDS):
            arrived, seconds = size_of(self._folder), monotonic() - begun
            rate = (arrived - first) / seconds if seconds >= _SURE_SECONDS else 0.0
            if arrived - first < _MEGABYTE:
                self._update(self._line)
            else:
                self._update(told(arrived, self._expected, rate))
