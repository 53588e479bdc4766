"""The palette, seen with each kind of colour vision.

Matrices: G. Machado, M. Oliveira, L. Fernandes, "A Physiologically-based Model for Simulation of
Color Vision Deficiency", IEEE TVCG 15(6), 2009, severity 1.0, on linear RGB.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from model import plots

VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])

Numbers = npt.NDArray[np.float64]

TOGETHER = {
    "splits": (plots.BLUE, plots.ORANGE, plots.BLACK),
    "history": (plots.BLUE, plots.ORANGE),
    "predictions": (plots.GREY, plots.BLUE, plots.VERMILLION),
    "conversions": (plots.BLACK, plots.SKY, plots.VERMILLION),
    "sizes": (plots.SKY, plots.BLUE, plots.ORANGE),
}


def lab(colour: str, vision: Numbers) -> Numbers:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(TO_XYZ @ np.clip(vision @ linear, 0.0, 1.0))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, vision: Numbers) -> float:
    """CIE76; about 2 is just noticeable."""
    return float(np.linalg.norm(lab(one, vision) - lab(other, vision)))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("figure", TOGETHER)
def test_colours_of_one_figure_are_told_apart(figure: str, vision: str) -> None:
    for one, other in combinations(TOGETHER[figure], 2):
        assert distance(one, other, VISION[vision]) > 15, (one, other)


def test_red_and_green_would_not_be() -> None:
    assert distance("#C83232", "#6E6E1E", VISION["deuteranopia"]) < 15
