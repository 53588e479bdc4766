"""The few Thumb encodings that the simulator looks at itself (Armv7-M, chapter A5)."""

from __future__ import annotations

import sys
from array import array

_HINTS = {0xBF10: "yield", 0xBF20: "wfe", 0xBF30: "wfi"}
_MULTIPLE_LOADS = {0xBC00, 0xE800, 0xEC00}
"""pop; ldm.w and ldrd; vldm and vldr (each with the stores and what else cannot load words)."""

_TAKES_OF_A_CONSTANT = {0xF1AD, 0xF5AD, 0xF2AD, 0xF6AD}
"""sub.w and subw of the stack pointer, if it is the destination too."""
_TAKE_OF_A_REGISTER = 0xEBAD
_STACK_POINTER_SET = {0x4485 | register << 3 for register in range(16)} | {
    0x4685 | register << 3 for register in range(16)
}
"""add sp, rN and mov sp, rN."""
_MAY_MOVE_FAR = _TAKES_OF_A_CONSTANT | _STACK_POINTER_SET | {_TAKE_OF_A_REGISTER}

_FLOATING_POINT_COPROCESSORS = {10, 11}


def is_floating_point(first: int, second: int) -> bool:
    """Return whether two 16-bit half-words are an instruction for the floating-point unit."""
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
    """Return the lowest address that a load of double words reads.

    Args:
        first: the instruction's first half-word, for which ``double_load_base`` gave a register.
        second: its second one.
        base: what that register holds.
    """
    distance = 4 * (second & 0xFF)
    is_vldr = first & 0x0120 == 0x0100
    goes_down = first & 0x0180 == 0x0100
    if goes_down:
        return base - distance
    return base + distance if is_vldr else base


def far_moves_of_the_stack(code: bytes, least: int) -> list[tuple[int, int]]:
    """Return begin and end of instructions that may move the stack pointer so many bytes down.

    Args:
        code: the image; what is data in it may be taken for an instruction.
        least: 509 or more; the short form of ``sub`` takes 508 at most.
    """
    words = array("H", code[: len(code) & ~1])
    if sys.byteorder == "big":
        words.byteswap()
    found = []
    for index, first in enumerate(words):
        if first not in _MAY_MOVE_FAR:
            continue
        if first in _STACK_POINTER_SET:
            found.append((2 * index, 2 * index + 2))
            continue
        second = words[index + 1] if index + 1 < len(words) else 0
        is_move = second >> 8 & 0xF == 13
        if is_move and (first == _TAKE_OF_A_REGISTER or _constant(first, second) >= least):
            found.append((2 * index, 2 * index + 4))
    return found


def _constant(first: int, second: int) -> int:
    """Return the constant of sub.w and subw (Armv7-M, A5.3.2)."""
    low = second & 0xFF
    code = (first >> 10 & 1) << 3 | second >> 12 & 7
    if first & 0x0200:
        return code << 8 | low
    if code >= 4:
        return (low | 0x80) << 32 >> (code << 1 | low >> 7) & 0xFFFF_FFFF
    return low * (1, 0x0001_0001, 0x0100_0100, 0x0101_0101)[code]


def sleep_or_yield(halfword: int) -> str | None:
    """Return the name of a hint instruction that gives the core away, None for all others."""
    return _HINTS.get(halfword)
