"""The part of a run that a drawing shows."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.request import Inference


def first_period(inferences: Sequence[Inference]) -> tuple[Inference, ...]:
    """Return the inferences up to the first one whose x is below the one before."""
    for index in range(1, len(inferences)):
        if inferences[index].x < inferences[index - 1].x:
            return tuple(inferences[:index])
    return tuple(inferences)


def led_names(inferences: Sequence[Inference]) -> tuple[str, ...]:
    """Return the board's LEDs in their order."""
    return tuple(inferences[0].brightness) if inferences else ()
