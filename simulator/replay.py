"""One HTML page, without anything from elsewhere, on which a recorded run is replayed.

``replay.html`` beside this file is the page; here is what it is given.
"""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

from simulator.colours import led_colour
from simulator.period import first_period
from simulator.request import Screen, SimulationResult
from toolchain.boards import Board

_PAGE = Path(__file__).with_name("replay.html")
_RESULT_LINES = ("x_value:", "case ")


def replay_page(board: Board, title: str, result: SimulationResult) -> str:
    """Return the page of a run.

    Args:
        board: what the run was on; its drawing has the LEDs where ``board.toml`` puts them.
        title: of the page.
        result: the run.
    """
    console = result.console.splitlines()
    places = [index for index, line in enumerate(console) if line.startswith(_RESULT_LINES)]
    steps = [*_inferences(result), *_cases(result)]
    for step, line in zip(steps, places, strict=False):
        step["line"] = line
    counted = (
        "instructions are those of the interpreter's Invoke"
        if result.counted == "invoke"
        else "instructions are those since the line before"
    )
    run = {
        "title": title,
        "note": f"{len(steps):,} inferences, {result.instructions:,} instructions from reset; "
        f"{counted}. The very file that is flashed, on an emulated core.",
        "board": _drawing(board),
        "period": len(first_period(result.inferences)),
        "inferences": steps,
        "console": console,
        "display": _data_url(result.screen) if result.screen else None,
    }
    # Inside a script element nothing but "</" could end it.
    data = json.dumps(run, separators=(",", ":")).replace("<", "\\u003c")
    return _PAGE.read_text(encoding="utf-8").replace("{{run}}", data, 1)


def _drawing(board: Board) -> dict[str, Any]:
    count = len(board.led)
    return {
        "aspect": board.drawing.aspect if board.drawing else 1.5,
        "screen": board.display is not None,
        "leds": [
            {
                "name": led.name,
                "colour": led_colour(led.name, index),
                "at": led.at or ((index + 1) / (count + 1), 0.5),
            }
            for index, led in enumerate(board.led)
        ],
    }


def _inferences(result: SimulationResult) -> list[dict[str, Any]]:
    return [
        {
            "x": each.x if math.isfinite(each.x + each.y) else None,
            "y": each.y if math.isfinite(each.x + each.y) else None,
            "raw": None if each.raw_in is None else [each.raw_in, each.raw_out],
            "instructions": each.instructions,
            "brightness": {name: round(value, 4) for name, value in each.brightness.items()},
        }
        for each in result.inferences
    ]


def _cases(result: SimulationResult) -> list[dict[str, Any]]:
    # An application that runs a given model leaves the LEDs alone.
    return [
        {"x": None, "y": None, "raw": None, "instructions": each.instructions, "brightness": {}}
        for each in result.cases
    ]


def _data_url(screen: Screen) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (screen.width, screen.height), screen.pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
