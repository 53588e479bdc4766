"""The boards, for ``./invoke targets``."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.boards import Board
from toolchain.render.basics import table


def target_tables(boards: Sequence[Board]) -> str:
    """Return what the boards are, and what they show and how they are flashed."""
    facts = table(
        ["target", "board", "core", "program flash", "RAM", "load address", "console"],
        [
            [
                board.name,
                board.title,
                f"{board.core.cpu} {board.core.clock_hz // 1_000_000} MHz",
                f"{board.application.max_length // 1024} KiB",
                f"{sum(ram.length for ram in board.rams) // 1024} KiB",
                f"0x{board.application.load_address:08X}",
                f"{board.console.peripheral} {board.console.baud} 8N1",
            ]
            for board in boards
        ],
        frozenset({3, 4}),
    )
    outputs = table(
        ["target", "other names", "shows the sine on", "files", "flashed by"],
        [
            [
                board.name,
                ", ".join(board.aliases) or "-",
                _shows(board),
                ", ".join(board.package.formats),
                ", ".join(f"{way.tool} ({way.format})" for way in board.flashing),
            ]
            for board in boards
        ],
        frozenset(),
    )
    return f"{facts}\n\n{outputs}"


def _shows(board: Board) -> str:
    names = ", ".join(led.name for led in board.led)
    leds = [f"LED{'s' if len(board.led) > 1 else ''} {names}"] if names else []
    display = board.display
    screen = [f"display {display.width}x{display.height}"] if display else []
    return "; ".join([*leds, *screen]) or "-"
