"""The part of a run that a drawing shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.request import Inference


def first_period(inferences: Sequence[Inference]) -> tuple[Inference, ...]:
    """Return the inferences up to the first one whose x is below the one before.

    Inferences whose x is no finite number have no place in a drawing and are left out.
    """
    placed = [each for each in inferences if math.isfinite(each.x)]
    for index in range(1, len(placed)):
        if placed[index].x < placed[index - 1].x:
            return tuple(placed[:index])
    return tuple(placed)


def led_names(inferences: Sequence[Inference]) -> tuple[str, ...]:
    """Return the board's LEDs in their order."""
    return tuple(inferences[0].brightness) if inferences else ()
