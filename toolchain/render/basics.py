"""What all texts have in common: tables, paths, numbers, and what the terminal can draw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


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
    """Return ``path`` relative to the working directory where it lies in that, else as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        # Elsewhere, or the working directory was removed.
        return str(path)


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 step``, ``3 steps``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def can_draw() -> bool:
    """Return whether standard output takes more characters than those of ASCII."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().startswith("utf")
