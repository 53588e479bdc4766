"""The few Thumb encodings that the simulator looks at itself (Armv7-M, chapter A5)."""

from __future__ import annotations

_HINTS = {0xBF10: "yield", 0xBF20: "wfe", 0xBF30: "wfi"}
_MULTIPLE_LOADS = {0xBC00, 0xE800, 0xEC00}
"""pop; ldm.w and ldrd; vldm and vldr (each with the stores and what else cannot load words)."""

_FLOATING_POINT_COPROCESSORS = {10, 11}


def is_floating_point(first: int, second: int) -> bool:
    """Return whether two half-words are an instruction for the floating-point unit."""
    return first & 0xEC00 == 0xEC00 and (second >> 8 & 0xF) in _FLOATING_POINT_COPROCESSORS


def loads_several_words(first: int) -> bool:
    """Return whether an instruction's first half-word is of those that load more than a word."""
    return first & 0xF800 == 0xC800 or first & 0xFE00 in _MULTIPLE_LOADS


def sleep_or_yield(halfword: int) -> str | None:
    """Return the name of a hint instruction that gives the core away, None for all others."""
    return _HINTS.get(halfword)
