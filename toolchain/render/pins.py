"""Pins beside what is offered, for ``./invoke pins --check``."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.pinning.check import PinState
from toolchain.render.basics import table


def pins_table(states: Sequence[PinState]) -> str:
    """Return the pins that are not current, and how many are."""
    rows = [
        [state.state, state.name, state.pinned, state.offered, state.source, state.note]
        for state in states
        if state.state != "current"
    ]
    current = sum(state.state == "current" for state in states)
    summary = f"{current} of {len(states)} pins are current"
    if not rows:
        return summary
    headings = ["state", "name", "pinned", "offered", "pinned in", "note"]
    return "\n".join([table(headings, sorted(rows), frozenset()), "", summary])
