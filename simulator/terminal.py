"""A drawing of the LEDs' brightness in characters."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.period import first_period, led_names
from simulator.request import Inference

_UNICODE = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#@"
_ROWS = 2
_ROWS_OF_ONE_LED = 4
_AXIS = 0.25, 0.5, 0.75
_ROUNDING = 1e-3
"""Columns; an input at the edge of one, rounded to single precision, is not in the one before."""


def draw_leds(inferences: Sequence[Inference], *, width: int = 64, ascii_only: bool = False) -> str:
    """Draw the brightness of each LED against x, over the first period.

    Args:
        inferences: of one run, in its order.
        width: columns of the drawing itself, at least 16; labels come on top.
        ascii_only: use no other characters than ASCII.

    Returns:
        Lines without a newline at the end; empty when there is nothing to draw. A column shows the
        mean of the inferences that fall into it, and stays empty where there are none.
    """
    period = first_period(inferences)
    names = led_names(period)
    if not names:
        return ""
    first, last = period[0].x, period[-1].x
    # Evenly spaced inputs: the last one stands for a step of its own.
    span = (last - first) * len(period) / max(len(period) - 1, 1) or 1.0
    columns: list[list[Inference]] = [[] for _ in range(width)]
    for inference in period:
        column = int((inference.x - first) / span * width + _ROUNDING)
        columns[min(column, width - 1)].append(inference)
    margin = max(map(len, names))
    levels = _ASCII if ascii_only else _UNICODE
    # Characters without Unicode say how dense they are, not how high, so that rows would mislead.
    rows = 1 if ascii_only else _ROWS_OF_ONE_LED if len(names) == 1 else _ROWS
    edge = "|" if ascii_only else "│"
    lines = []
    for name in names:
        values = [
            sum(each.brightness[name] for each in column) / len(column) if column else 0.0
            for column in columns
        ]
        for row in reversed(range(rows)):
            label = name if row == 0 else ""
            text = "".join(_level(value * rows - row, levels) for value in values)
            lines.append(f"{label:>{margin}} {edge}{text}{edge}")
    lines.append(" " * (margin + 2) + _axis(first, span, width))
    return "\n".join(lines)


def _level(value: float, levels: str) -> str:
    """Return the character for a value; anything that is lit at all is visible."""
    steps = len(levels) - 1
    if value <= 0:
        return levels[0]
    return levels[max(1, min(steps, round(value * steps)))]


def _axis(first: float, span: float, width: int) -> str:
    """Return the axis' labels, leaving out those that would touch another one."""
    text = f"{f'x = {first:.2f}':<{width}}"
    end = f"{first + span:.2f}"
    labels = [(width - len(end), end)]
    labels += [(int(part * width), f"{first + part * span:.2f}") for part in _AXIS]
    for place, label in labels:
        after = place + len(label)
        if place > 0 and after <= width and not text[place - 1 : after + 1].strip():
            text = text[:place] + label + text[after:]
    return text
