"""Frames for a terminal in which a recorded run is shown as it went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.period import first_period
from simulator.request import SimulationResult
from toolchain.boards import Board

LEAST_COLUMNS = 40
LEAST_ROWS = 12
"""A terminal smaller than this shows nothing that could be read."""

_PLOT_ROWS = 9
_METER = 20
_RESULT_LINES = ("x_value:", "case ")


@dataclass(frozen=True)
class Signs:
    """Characters that a terminal can show.

    Attributes:
        full: of a meter; ``empty`` likewise.
        sine: a point of sin x.
        output: a point of the model's output; ``now`` the last one.
    """

    full: str
    empty: str
    sine: str
    output: str
    now: str


UNICODE = Signs("█", "░", "·", "•", "●")
ASCII = Signs("#", "-", ".", "o", "@")


class Watch:
    """A run as frames, one for each inference.

    Args:
        board: what the run was on.
        title: first line of each frame.
        result: the run.
        signs: characters to draw with.
    """

    def __init__(self, board: Board, title: str, result: SimulationResult, signs: Signs) -> None:
        self._title = title
        self._result = result
        self._signs = signs
        self._names = [led.name for led in board.led] if result.inferences else []
        self._console = result.console.splitlines()
        self._places = [
            index for index, line in enumerate(self._console) if line.startswith(_RESULT_LINES)
        ]
        self._period = len(first_period(result.inferences))

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self._places)

    def frame(self, index: int, columns: int, rows: int) -> list[str]:
        """Return the lines of a frame, at most ``rows``, none longer than ``columns``.

        Args:
            index: of the inference, from 0.
            columns: of the terminal, at least ``LEAST_COLUMNS``.
            rows: of the terminal, at least ``LEAST_ROWS``.
        """
        lines = [self._title, self._figures(index), *self._leds(index)]
        left = rows - len(lines) - 3
        if self._period and left >= _PLOT_ROWS:
            lines += ["", *self._plot(index, columns)]
            left -= _PLOT_ROWS + 1
        lines.append("")
        end = self._places[index] + 1
        lines += self._console[max(0, end - max(left, 1)) : end]
        return [line[:columns] for line in lines[: rows - 1]]

    def _figures(self, index: int) -> str:
        counted = f"inference {index + 1:,} of {self.count:,}"
        if not self._result.inferences:
            return f"{counted}, {self._result.cases[index].instructions:,} instructions"
        each = self._result.inferences[index]
        return f"{counted}, x {each.x:.3f}, y {each.y:+.3f}, {each.instructions:,} instructions"

    def _leds(self, index: int) -> list[str]:
        lines = []
        width = max(map(len, self._names), default=0)
        for name in self._names:
            brightness = self._result.inferences[index].brightness[name]
            full = round(_METER * brightness)
            meter = self._signs.full * full + self._signs.empty * (_METER - full)
            lines.append(f"{name:>{width}} {meter} {100 * brightness:3.0f} %")
        return lines

    def _plot(self, index: int, columns: int) -> list[str]:
        """Draw sin x over one period, and the output from the period's start to ``index``."""
        width = min(columns, 100) - 1
        grid = [[" "] * width for _ in range(_PLOT_ROWS)]
        for column in range(width):
            self._dot(grid, column, math.sin(2 * math.pi * column / (width - 1)), self._signs.sine)
        start = index - index % self._period
        shown: Sequence[int] = range(start, index + 1)
        for number in shown:
            each = self._result.inferences[number]
            if not math.isfinite(each.x + each.y):
                continue
            column = round(each.x / (2 * math.pi) * (width - 1))
            sign = self._signs.now if number == index else self._signs.output
            if 0 <= column < width:
                self._dot(grid, column, each.y, sign)
        return ["".join(row).rstrip() for row in grid]

    @staticmethod
    def _dot(grid: list[list[str]], column: int, y: float, sign: str) -> None:
        row = round((1 - max(-1.0, min(1.0, y))) / 2 * (_PLOT_ROWS - 1))
        grid[row][column] = sign
