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


def loads_one_word(first: int, second: int) -> bool:
    """Return whether an instruction of these loads a single word after all: one register."""
    if first & 0xF800 == 0xC800:
        return (first & 0xFF).bit_count() == 1
    is_load = first & 0xFE10 == 0xEC10
    is_vldr = first & 0xFF30 == 0xED10
    is_single = second >> 8 & 0xF == 10
    return is_load and is_single and (is_vldr or second & 0xFF == 1)


def double_load_base(first: int, second: int) -> int | None:
    """Return the number of the register that a load of double words (vldr, vldm) starts from.

    None: it is no such load, or it starts from the program counter, which counts as aligned.
    """
    if first & 0xFE10 != 0xEC10 or second >> 8 & 0xF != 11 or first & 0xF == 15:
        return None
    return first & 0xF


def double_load_address(first: int, second: int, base: int) -> int:
    """Return the lowest address that such a load reads, with its base register's value."""
    distance = 4 * (second & 0xFF)
    is_vldr = first & 0x0120 == 0x0100
    goes_down = first & 0x0180 == 0x0100
    if goes_down:
        return base - distance
    return base + distance if is_vldr else base


def sleep_or_yield(halfword: int) -> str | None:
    """Return the name of a hint instruction that gives the core away, None for all others."""
    return _HINTS.get(halfword)
