"""The matrix of varied builds, for ``./invoke repro``."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.render.basics import table
from toolchain.repro.matrix import MODEL_STEPS, Reproduction, Row


def reproduction_text(found: Reproduction) -> str:
    """Return the matrix of what was compiled, that of the model's steps, and what differs."""
    compiled = [column for column in found.columns if column != MODEL_STEPS]
    tables = [_table(found.rows, compiled)]
    if MODEL_STEPS in found.columns:
        tables.append(_table(found.rows, [MODEL_STEPS]))
    lines = [line for each in tables for line in (each, "")]
    lines += _differences(found)
    lines.append(f"{found.engine}: {found.builds} builds in {found.seconds:.0f} s")
    return "\n".join(lines)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    heads = ["variation", *columns, "files", "build", "plain", "varied"]
    lines = []
    for row in rows:
        if not row.equal.keys() & set(columns):
            continue
        same = "equal" if row.in_effect else "not varied"
        cells = [same if row.equal[column] else "DIFFERENT" for column in columns]
        facts = [fact if len(fact) <= 28 else f"{fact[:12]}...{fact[-13:]}" for fact in row.fact]
        build = f"{row.build}: {row.seconds:.0f} s"
        lines.append([row.variation, *cells, str(row.files), build, *facts])
    return table(heads, lines, frozenset({len(heads) - 4, len(heads) - 3}))


def _differences(found: Reproduction) -> list[str]:
    """Return what differs, with section and symbol."""
    lines = []
    for difference in found.differences:
        lines.append(f"{difference.variation}: {difference.step}: {difference.path}")
        lines += [f"    {place}" for place in difference.places]
        lines += [f"    | {line}" for line in difference.report.splitlines()]
    return lines
