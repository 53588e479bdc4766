"""Turns results into the text that the commands print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolchain.commands.build import BuiltFirmware
from toolchain.firmware.size import SizeReport

_BAR_WIDTH = 30
_SHADES = "█▓▒░▚▞▪"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> str:
    """Return a plain table; the columns in ``right`` are flush right.

    Written out instead of drawn by a library because the last line of a build that had nothing to
    do must not wait for one to load.
    """
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(headings), line(["-" * width for width in widths]), *map(line, rows)])


def shown_path(path: Path) -> str:
    """Return ``path`` relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def artifact_table(firmware: BuiltFirmware) -> str:
    """Return the table of artifacts: path, size in bytes, sha256."""
    return table(
        ["artifact", "bytes", "sha256"],
        [
            [shown_path(each.path), f"{each.digest.size_bytes:,}", each.digest.sha256]
            for each in firmware.artifacts
        ],
        frozenset({1}),
    )


def size_bars(size: SizeReport) -> str:
    """Return how full flash and RAM are, and what fills them, largest part first."""
    flash = [(each.layer, each.flash) for each in size.layers]
    ram = [(each.layer, each.ram) for each in size.layers]
    stack_note = f", stack {size.stack:,} beside it"
    return "\n".join(
        [
            *_bar("flash", size.flash_used, size.flash_available, flash, ""),
            *_bar("RAM", size.ram_used, size.ram_available, ram, stack_note),
        ]
    )


def _bar(
    title: str, used: int, available: int, parts: Sequence[tuple[str, int]], note: str
) -> list[str]:
    ranked = sorted((part for part in parts if part[1]), key=lambda part: -part[1])
    bar = ""
    shares = []
    for shade, (name, size) in zip(_SHADES, ranked, strict=False):
        bar += shade * round(_BAR_WIDTH * size / used) if used else ""
        shares.append(f"{shade} {name} {size:,}")
    bar = bar[:_BAR_WIDTH].ljust(_BAR_WIDTH, _SHADES[0] if used else " ")
    return [
        f"{title:<5} {used:>7,} of {available:,} bytes ({100 * used / available:.1f} %){note}",
        f"      {bar}  {'  '.join(shares)}",
    ]
