"""Says now and then how far a training is."""

from __future__ import annotations

import time

from model.training import EpochFigures

PROGRESS_SECONDS = 2.0


class Progress:
    """Prints a line every ``PROGRESS_SECONDS``, so that a long training is seen to go on.

    Args:
        epochs: how many there will be; the last one is left to whoever reports the result.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, done: int, figures: EpochFigures) -> None:
        """Take the figures of the epoch that is just done."""
        if time.monotonic() < self._next or done == self._epochs:
            return
        self._next = time.monotonic() + PROGRESS_SECONDS
        print(f"epoch {done}/{self._epochs}  {figures_text(figures)}", flush=True)


def figures_text(figures: EpochFigures) -> str:
    """Return the four figures of an epoch in one line."""
    return (
        f"loss {figures.loss:.4f}  mae {figures.mae:.4f}  "
        f"val_loss {figures.val_loss:.4f}  val_mae {figures.val_mae:.4f}"
    )
