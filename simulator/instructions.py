"""The few Thumb encodings that the simulator looks at itself (Armv7-M, chapter A5)."""

from __future__ import annotations

_HINTS = {0xBF10: "yield", 0xBF20: "wfe", 0xBF30: "wfi"}
_FLOATING_POINT_COPROCESSORS = {10, 11}


def is_floating_point(first: int, second: int) -> bool:
    """Return whether two half-words are an instruction for the floating-point unit."""
    return first & 0xEC00 == 0xEC00 and (second >> 8 & 0xF) in _FLOATING_POINT_COPROCESSORS


def sleep_or_yield(halfword: int) -> str | None:
    """Return the name of a hint instruction that gives the core away, None for all others."""
    return _HINTS.get(halfword)
