"""The table of a matrix: as text, Markdown and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io

from toolchain.matrix.outcome import MatrixReport, Outcome
from toolchain.render.basics import table

_HEADS = ("model", "target", "build type", "flash", "RAM", "arena", "instructions", "verified")
_NUMBERS = frozenset({3, 4, 5, 6})


def matrix_text(report: MatrixReport) -> str:
    """Return the table, and what it took, for a terminal."""
    return f"{table(_HEADS, [_cells(row) for row in report.rows], _NUMBERS)}\n\n{_took(report)}"


def matrix_markdown(report: MatrixReport) -> str:
    """Return the table in Markdown."""
    rules = ["---:" if column in _NUMBERS else "---" for column in range(len(_HEADS))]
    lines = [_HEADS, rules, *(_cells(row) for row in report.rows)]
    shown = "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines
    )
    return f"{shown}\n\n{_took(report)}"


def matrix_csv(report: MatrixReport) -> str:
    """Return every field of every row, with a line of heads."""
    target = io.StringIO()
    names = [field.name for field in dataclasses.fields(Outcome)]
    writer = csv.DictWriter(target, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in report.rows)
    return target.getvalue()


def _cells(row: Outcome) -> tuple[str, ...]:
    numbers = (row.flash_bytes, row.ram_bytes, row.arena_bytes, row.instructions)
    verified = "yes" if row.verified else f"no: {row.error}"
    return (
        row.model,
        row.target,
        row.build_type,
        *(f"{number:,}" if number else "-" for number in numbers),
        verified + (", before" if row.taken_over else ""),
    )


def _took(report: MatrixReport) -> str:
    good = len(report.rows) - len(report.failed)
    places = ", ".join(f"{count} on {name}" for name, count in report.places.items() if name)
    return (
        f"{good} of {len(report.rows)} verified in {report.seconds:.0f} s; {report.executed} steps "
        f"executed{f' ({places})' if places else ''}, {report.cached} known"
    )
