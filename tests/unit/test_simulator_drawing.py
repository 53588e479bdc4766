from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulator.period import first_period, led_names
from simulator.picture import SIZE, can_be_drawn, draw_picture, write_picture
from simulator.request import Inference
from simulator.terminal import draw_leds
from toolchain.errors import UsageError

LEDS = ("red", "blue", "green", "yellow")
COLOURS = {
    "red": (0xD5, 0x5E, 0x00),
    "blue": (0x00, 0x72, 0xB2),
    "green": (0x00, 0x9E, 0x73),
    "yellow": (0xC9, 0xA4, 0x00),
}
WHITE, DOTS, SINE = (0xFF, 0xFF, 0xFF), (0x00, 0x72, 0xB2), (0x99, 0x99, 0x99)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def inference(x: float, y: float = 0.0, **brightness: float) -> Inference:
    lit = dict.fromkeys(LEDS, 0.0) | brightness
    return Inference(x, y, None, None, 0, 0, 7000, lit)


def period(count: int, lit: Callable[[float], dict[str, float]], y: float = 0.0) -> list[Inference]:
    xs = [2 * math.pi * index / count for index in range(count)]
    return [inference(x, y, **lit(x)) for x in xs]


def one_after_the_other(x: float) -> dict[str, float]:
    return {LEDS[int(x / (2 * math.pi) * 4)]: 1.0}


def decoded(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    picture.load()
    assert picture.format == "PNG"
    return picture.convert("RGB")


def pixel_of_led(led: int, part: float, height: float) -> tuple[int, int]:
    """Return a place in a LED's row: part of the period, height of its brightness."""
    top, bottom, gap = 480, 840, 14
    row = (bottom - top + gap) / len(LEDS)
    floor = top + led * row + row - gap
    return round(90 + part * (SIZE[0] - 90 - 30)), round(floor - height * (row - gap) / 1.05)


def test_a_picture_has_its_size_and_is_the_same_twice() -> None:
    run = period(100, one_after_the_other)
    first, second = draw_picture(run, "title"), draw_picture(run, "title")
    assert decoded(first).size == SIZE == (1200, 900)
    assert first == second
    assert first != draw_picture(run, "another title")


@pytest.mark.parametrize("led", range(4))
def test_each_led_is_drawn_in_its_colour_where_it_is_lit_and_nowhere_else(led: int) -> None:
    picture = decoded(draw_picture(period(400, one_after_the_other), ""))
    for quarter in range(4):
        for offset in (0.05, 0.11, 0.2):
            place = pixel_of_led(led, quarter / 4 + offset, 0.75)
            expected = COLOURS[LEDS[led]] if quarter == led else WHITE
            assert picture.getpixel(place) == expected, (LEDS[led], quarter, place)


@pytest.mark.parametrize("brightness", [0.25, 0.5, 0.9])
def test_a_led_is_drawn_as_high_as_it_is_bright(brightness: float) -> None:
    picture = decoded(draw_picture(period(100, lambda _x: {"green": brightness}), ""))
    below = pixel_of_led(2, 0.55, brightness - 0.05)
    above = pixel_of_led(2, 0.55, brightness + 0.05)
    assert picture.getpixel(below) == COLOURS["green"]
    assert picture.getpixel(above) == WHITE


def test_a_dark_led_leaves_its_row_empty() -> None:
    colours = decoded(draw_picture(period(100, lambda _x: {"blue": 0.5}), "")).getcolors(1 << 20)
    present = {colour for _count, colour in colours or []}
    assert COLOURS["red"] not in present
    assert COLOURS["yellow"] not in present
    assert COLOURS["blue"] in present


def test_the_outputs_are_drawn_as_dots_beside_the_sine() -> None:
    picture = decoded(draw_picture(period(400, lambda _x: {}, y=0.5), ""))
    top, bottom, reach = 60, 430, 1.1
    x = round(90 + (SIZE[0] - 120) * 0.25)
    heights = {
        y: round(bottom - (y + reach) / (2 * reach) * (bottom - top)) for y in (1.0, 0.5, 0.75)
    }
    assert picture.getpixel((x, heights[1.0])) == SINE
    assert picture.getpixel((x, heights[0.5])) == DOTS
    assert picture.getpixel((x, heights[0.75])) in {WHITE, (0xDD, 0xDD, 0xDD)}


def test_the_picture_shows_the_first_period_only() -> None:
    once = period(50, one_after_the_other)
    assert draw_picture(once, "") == draw_picture(once + once + once[:7], "")


@pytest.mark.parametrize("y", [math.nan, math.inf, -math.inf, 1e30])
def test_an_output_that_is_no_number_is_left_out(y: float) -> None:
    run = [*period(50, one_after_the_other), inference(6.28, y)]
    assert decoded(draw_picture(run, "")).size == SIZE


@pytest.mark.parametrize(
    "run",
    [
        (),
        (inference(1.0),),
        (inference(1.0), inference(1.0)),
        (inference(1.0), inference(0.5)),
        (inference(1.0), inference(math.nan)),
        (inference(1.0), inference(math.inf)),
    ],
)
def test_too_few_inferences_are_refused(run: Sequence[Inference], tmp_path: Path) -> None:
    assert not can_be_drawn(run)
    with pytest.raises(UsageError, match="two inferences with different inputs"):
        write_picture(tmp_path / "a.png", run, "")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(FLOAT32, min_size=2, max_size=5, unique=True), FLOAT32)
@settings(max_examples=8, deadline=None)
def test_any_range_of_inputs_can_be_drawn(xs: list[float], y: float) -> None:
    run = [inference(x, y, red=0.3) for x in sorted(xs)]
    assert can_be_drawn(run)
    assert decoded(draw_picture(run, "any")).size == SIZE
    assert draw_leds(run)


def test_a_written_picture_is_readable_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.png"
    run = period(50, one_after_the_other)
    write_picture(path, run, "title")
    assert path.read_bytes() == draw_picture(run, "title")
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["run.png"]
    write_picture(path, run, "other")
    assert path.read_bytes() == draw_picture(run, "other")
    assert [each.name for each in path.parent.iterdir()] == ["run.png"]


def test_a_picture_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_picture(path, period(50, one_after_the_other), "")
    assert [each.name for each in tmp_path.iterdir()] == ["run.png"]
    assert path.is_dir()


def test_a_refused_picture_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    path.write_bytes(b"old")
    with pytest.raises(UsageError):
        write_picture(path, [inference(1.0)], "")
    assert path.read_bytes() == b"old"


@given(st.lists(FLOAT32))
def test_the_first_period_is_the_longest_start_that_does_not_fall(xs: list[float]) -> None:
    run = [inference(x) for x in xs]
    first = first_period(run)
    assert list(first) == run[: len(first)]
    assert all(a.x <= b.x for a, b in pairwise(first))
    assert len(first) == len(run) or run[len(first)].x < first[-1].x


def test_the_leds_keep_the_order_of_the_board() -> None:
    assert led_names([inference(0.0)]) == LEDS
    assert led_names([]) == ()


def bars(drawing: str, led: str, rows: int = 2) -> list[str]:
    lines = drawing.splitlines()
    last = next(index for index, line in enumerate(lines) if line.split()[0] == led)
    return [
        line.split("│")[1] if "│" in line else line.split("|")[1]
        for line in lines[last + 1 - rows : last + 1]
    ]


def test_the_terminal_shows_each_led_where_it_is_lit() -> None:
    drawing = draw_leds(period(64, one_after_the_other))
    for index, led in enumerate(LEDS):
        expected = " " * 16 * index + "█" * 16 + " " * (48 - 16 * index)
        assert bars(drawing, led) == [expected, expected]


@pytest.mark.parametrize(
    ("brightness", "upper", "lower"),
    [
        (0.0, " ", " "),
        (1e-6, " ", "▁"),
        (0.25, " ", "▄"),
        (0.47, " ", "█"),
        (0.5, " ", "█"),
        (0.51, "▁", "█"),
        (0.75, "▄", "█"),
        (1.0, "█", "█"),
    ],
)
def test_the_terminal_shows_how_bright_a_led_is(brightness: float, upper: str, lower: str) -> None:
    drawing = draw_leds(period(64, lambda _x: {"blue": brightness}))
    assert bars(drawing, "blue") == [upper * 64, lower * 64]


@pytest.mark.parametrize(
    ("brightness", "column"),
    [(0.0, "    "), (0.01, "   ▁"), (0.25, "   █"), (0.375, "  ▄█"), (0.75, " ███"), (1.0, "████")],
)
def test_a_single_led_is_drawn_twice_as_high(brightness: float, column: str) -> None:
    run = [replace(each, brightness={"builtin": brightness}) for each in period(64, lambda _x: {})]
    drawn = bars(draw_leds(run), "builtin", rows=4)
    assert drawn == [level * 64 for level in column]
    assert len(draw_leds(run).splitlines()) == 5


def test_a_column_shows_the_mean_of_its_inferences() -> None:
    flickering = [inference(x / 10, red=float(x % 2)) for x in range(128)]
    assert bars(draw_leds(flickering), "red") == [" " * 64, "█" * 64]


def test_ascii_drawings_have_one_row_and_no_other_characters() -> None:
    drawing = draw_leds(period(64, lambda x: {"red": x / 7}), ascii_only=True)
    assert drawing.isascii()
    assert len(drawing.splitlines()) == len(LEDS) + 1
    (bar,) = bars(drawing, "red", rows=1)
    assert list(dict.fromkeys(bar)) == list(" .:-=+*#")


@given(st.lists(FLOAT32, min_size=1, max_size=20), st.integers(16, 200), st.booleans())
def test_a_drawing_is_a_rectangle_of_the_asked_width(
    xs: list[float], width: int, ascii_only: bool
) -> None:
    run = [inference(x, red=1.0) for x in sorted(xs)]
    lines = draw_leds(run, width=width, ascii_only=ascii_only).splitlines()
    assert {len(line) for line in lines[:-1]} == {len("yellow") + 3 + width}
    assert len(lines[-1]) >= len("yellow") + 2 + width


@pytest.mark.parametrize("width", [16, 24, 32, 40, 64, 120])
def test_labels_of_the_axis_never_touch(width: int) -> None:
    axis = draw_leds(period(100, one_after_the_other), width=width).splitlines()[-1].split()
    assert axis[:3] == ["x", "=", "0.00"]
    assert axis[-1] == "6.28"
    assert set(axis[3:-1]) <= {"1.57", "3.14", "4.71"}
    assert len(axis) == 7 or width < 40


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_leds([]) == ""
    assert draw_leds([inference(math.nan)]) == ""


def test_one_inference_is_drawn() -> None:
    assert bars(draw_leds([inference(3.0, red=1.0)]), "red") == ["█" + " " * 63] * 2


def test_the_palette_is_what_the_picture_file_holds() -> None:
    # The header of the file itself: 8 bits of red, green and blue.
    png = draw_picture(period(50, one_after_the_other), "")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">IIBB", png[16:26]) == (*SIZE, 8, 2)
