"""PNGs of a run: the model's output against sin x, the brightness of each LED, and the display.

Drawn with Pillow, because a plotting library takes longer to start than a run of 1,000 inferences.
"""

from __future__ import annotations

import io
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.colours import led_colour
from simulator.period import first_period, led_names
from simulator.request import Inference, Screen
from toolchain.errors import UsageError

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

SIZE = (1200, 900)
"""Pixels."""

_SCALE = 2
"""Everything is drawn this much larger and then reduced, which smooths the edges."""

_BACKGROUND = "#FFFFFF"
_INK = "#222222"
_GRID = "#DDDDDD"
_SINE = "#999999"
_OUTPUT = "#0072B2"
_LEFT, _RIGHT = 90, 30
_TOP_PANEL = (60, 430)
_BOTTOM_PANEL = (480, 840)
_ROW_GAP = 14


@dataclass(frozen=True)
class _Panel:
    """A rectangle of the picture and the values at its edges; y grows upwards."""

    left: float
    top: float
    right: float
    bottom: float
    x_first: float
    x_last: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        part = (value - self.x_first) / (self.x_last - self.x_first)
        return (self.left + part * (self.right - self.left)) * _SCALE

    def y(self, value: float) -> float:
        part = (value - self.y_low) / (self.y_high - self.y_low)
        return (self.bottom - part * (self.bottom - self.top)) * _SCALE


class _Canvas:
    """The drawing operations that a chart needs, in picture coordinates."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def text(
        self, x: float, y: float, text: str, *, anchor: str, size: int = 18, fill: str = _INK
    ) -> None:
        from PIL import ImageFont

        font = self._fonts.setdefault(size, ImageFont.load_default(size * _SCALE))
        self._draw.text((x * _SCALE, y * _SCALE), text, font=font, fill=fill, anchor=anchor)

    def frame(self, panel: _Panel, y_ticks: Sequence[float], x_ticks: Sequence[float]) -> None:
        for value in x_ticks:
            points = [(panel.x(value), panel.top * _SCALE), (panel.x(value), panel.bottom * _SCALE)]
            self._draw.line(points, fill=_GRID, width=_SCALE)
        for value in y_ticks:
            height = panel.y(value)
            line = [(panel.left * _SCALE, height), (panel.right * _SCALE, height)]
            self._draw.line(line, fill=_GRID, width=_SCALE)
            self.text(panel.left - 8, height / _SCALE, f"{value:g}", anchor="rm", size=15)
        self._draw.rectangle(
            [
                (panel.left * _SCALE, panel.top * _SCALE),
                (panel.right * _SCALE, panel.bottom * _SCALE),
            ],
            outline=_INK,
            width=_SCALE,
        )

    def curve(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        self._draw.line(points, fill=colour, width=round(width * _SCALE), joint="curve")

    def dots(self, points: Sequence[tuple[float, float]], colour: str, radius: float) -> None:
        size = radius * _SCALE
        for x, y in points:
            self._draw.ellipse([(x - size, y - size), (x + size, y + size)], fill=colour)

    def area(self, points: Sequence[tuple[float, float]], ground: float, colour: str) -> None:
        outline = [(points[0][0], ground), *points, (points[-1][0], ground)]
        self._draw.polygon(outline, fill=colour)


def can_be_drawn(inferences: Sequence[Inference]) -> bool:
    """Return whether there are two inferences with different inputs in the first period."""
    period = first_period(inferences)
    return len(period) >= 2 and period[0].x != period[-1].x


def draw_picture(inferences: Sequence[Inference], title: str) -> bytes:
    """Draw the first period of a run.

    Args:
        inferences: of one run, in its order, at least two with different x.
        title: stands above the picture.

    Returns:
        A PNG file of ``SIZE`` pixels; the same inferences give the same picture.

    Raises:
        UsageError: there are too few inferences to draw.
    """
    if not can_be_drawn(inferences):
        raise UsageError(
            "a picture needs two inferences with different inputs", next_step="simulate more"
        )
    period = first_period(inferences)
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIZE[0] * _SCALE, SIZE[1] * _SCALE), _BACKGROUND)
    canvas = _Canvas(ImageDraw.Draw(image))
    canvas.text(SIZE[0] / 2, 30, title, anchor="mm", size=22)
    _draw_output(canvas, period)
    _draw_leds(canvas, period)
    stream = io.BytesIO()
    image.reduce(_SCALE).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def write_picture(path: Path, inferences: Sequence[Inference], title: str) -> None:
    """Write the picture to ``path``, which is replaced only by a finished file.

    Raises:
        UsageError: there are too few inferences to draw.
        OSError: the folder cannot be written.
    """
    _write(path, draw_picture(inferences, title))


def write_screen(path: Path, screen: Screen) -> None:
    """Write what a display shows as a PNG, which replaces ``path`` only when it is finished.

    Raises:
        OSError: the folder cannot be written.
    """
    from PIL import Image

    stream = io.BytesIO()
    size = (screen.width, screen.height)
    Image.frombytes("RGB", size, screen.pixels).save(stream, "PNG", compress_level=6)
    _write(path, stream.getvalue())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _draw_output(canvas: _Canvas, period: Sequence[Inference]) -> None:
    values = [each.y for each in period if math.isfinite(each.y)]
    reach = max(1.0, *map(abs, values)) * 1.1 if values else 1.1
    panel = _panel(period, *_TOP_PANEL, -reach, reach)
    canvas.frame(panel, [-1, -0.5, 0, 0.5, 1], _x_ticks(panel))
    steps = 400
    width = panel.x_last - panel.x_first
    xs = [panel.x_first + width * step / steps for step in range(steps + 1)]
    canvas.curve([(panel.x(x), panel.y(math.sin(x))) for x in xs], _SINE, 5)
    points = [(panel.x(each.x), panel.y(each.y)) for each in period if math.isfinite(each.y)]
    canvas.dots(points, _OUTPUT, 2)
    canvas.text(panel.right - 12, panel.top + 20, "sin x (line)", anchor="rm", fill="#666666")
    canvas.text(panel.right - 12, panel.top + 44, "y_value (dots)", anchor="rm", fill=_OUTPUT)


def _draw_leds(canvas: _Canvas, period: Sequence[Inference]) -> None:
    names = led_names(period)
    top, bottom = _BOTTOM_PANEL
    canvas.text(_LEFT, top - 22, "brightness of the LEDs", anchor="lm")
    height = (bottom - top + _ROW_GAP) / max(len(names), 1)
    for index, name in enumerate(names):
        colour = led_colour(name, index)
        begin = top + index * height
        panel = _panel(period, begin, begin + height - _ROW_GAP, 0.0, 1.05)
        canvas.frame(panel, [0, 0.5, 1], _x_ticks(panel))
        points = [(panel.x(each.x), panel.y(each.brightness[name])) for each in period]
        canvas.area(points, panel.y(0.0), colour)
        # Below the line at full brightness, which would run through the name.
        canvas.text(panel.left + 10, panel.y(1) / _SCALE + 14, name, anchor="lm", fill=_INK)
    for tick in _x_ticks(panel := _panel(period, top, bottom, 0, 1)):
        canvas.text(panel.x(tick) / _SCALE, bottom + 18, f"{tick:g}", anchor="mm", size=15)
    canvas.text(SIZE[0] / 2, bottom + 42, "x (radians)", anchor="mm")


def _panel(
    period: Sequence[Inference], top: float, bottom: float, y_low: float, y_high: float
) -> _Panel:
    return _Panel(_LEFT, top, SIZE[0] - _RIGHT, bottom, period[0].x, period[-1].x, y_low, y_high)


def _x_ticks(panel: _Panel) -> list[float]:
    """Return round values, about eight, inside the panel."""
    rough = (panel.x_last - panel.x_first) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.9)
    first = math.ceil(panel.x_first / step)
    last = math.floor(panel.x_last / step)
    return [round(index * step, 12) for index in range(first, last + 1)]
