"""What the book gets, to compare with.

Source: P. Warden and D. Situnayake, *TinyML*, O'Reilly 2019, chapter 4: the last lines of both
trainings, the evaluation on the test samples, and the sizes of the conversions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.training import EpochFigures


@dataclass(frozen=True)
class BookTraining:
    """A training as printed.

    Attributes:
        epochs: how many.
        last: figures of the last one.
        test: loss and mean absolute error on the test samples; None where it prints none.
    """

    epochs: int
    last: EpochFigures
    test: tuple[float, float] | None


BOOK_TRAININGS: Mapping[str, BookTraining] = {
    "model_1": BookTraining(1000, EpochFigures(0.1524, 0.3039, 0.1737, 0.3249), None),
    "model_2": BookTraining(600, EpochFigures(0.0115, 0.0859, 0.0104, 0.0806), (0.0103, 0.0718)),
}

BOOK_FLOAT_BYTES = 2736
BOOK_QUANTISED_BYTES = 2512
