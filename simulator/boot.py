"""What every boot code needs of an image: that it fits, and that its first two words make sense."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from simulator.rules import RuleBrokenError
from toolchain.boards import Board


@dataclass(frozen=True)
class StartState:
    """The first two words of the vector table.

    Attributes:
        stack_pointer: address one past the stack's first byte.
        entry: address of the first instruction, with bit 0 set (Thumb).
    """

    stack_pointer: int
    entry: int


def read_start_state(board: Board, image: bytes) -> StartState:
    """Read the first two words of the vector table and check them and the image's place.

    Raises:
        RuleBrokenError: the image does not fit, or the core could not start it.
    """
    start = board.application.load_address
    end = start + len(image)
    limit = board.application.max_length
    if len(image) > limit:
        raise RuleBrokenError(
            f"the image has {len(image)} bytes, {len(image) - limit} more than there is room for",
            why=f"the application's part of the flash has {limit} bytes from 0x{start:08X}",
            next_step="use ./invoke build's size table to see what takes the room",
            address=start,
        )
    for region in board.reserved:
        if start < region.end and region.origin < end:
            raise RuleBrokenError(
                f"the image, 0x{start:08X} to 0x{end:08X}, overlaps the {region.name}",
                why=f"0x{region.origin:08X} to 0x{region.end:08X} is not the application's",
                address=start,
            )
    table_bytes = 4 * board.core.vector_words
    if len(image) < table_bytes:
        raise RuleBrokenError(
            f"the image has {len(image)} bytes, less than its vector table needs",
            why=f"{board.core.vector_words} vectors are {table_bytes} bytes",
            next_step="give the .bin file, not another one",
            address=start,
        )
    stack_pointer, entry = struct.unpack_from("<II", image)
    ram = board.ram
    if stack_pointer % 8 or not ram.origin < stack_pointer <= ram.end:
        raise RuleBrokenError(
            f"the image's first word, the initial stack pointer, is 0x{stack_pointer:08X}",
            why=f"it must be a multiple of 8 in {ram.name}, 0x{ram.origin:08X} to 0x{ram.end:08X}",
            next_step="put the vector table at the very beginning of the image",
            address=start,
        )
    if stack_pointer - board.application.stack_size < ram.origin:
        raise RuleBrokenError(
            f"the initial stack pointer, 0x{stack_pointer:08X}, leaves no room for the stack",
            why=f"{board.application.stack_size} bytes below it do not lie in {ram.name}",
            address=start,
        )
    if not entry & 1:
        raise RuleBrokenError(
            f"the reset vector is 0x{entry:08X}, with bit 0 clear",
            why="the core knows Thumb instructions only, which bit 0 stands for",
            next_step="make Reset_Handler a function (.type Reset_Handler, %function)",
            address=start,
        )
    if not start + table_bytes <= entry & ~1 < end:
        raise RuleBrokenError(
            f"the reset vector is 0x{entry:08X}, outside the image's code",
            why=f"the code lies from 0x{start + table_bytes:08X} to 0x{end:08X}; the image was "
            "linked for another address, or is not the application",
            next_step="link the image for the board's load address",
            address=start,
        )
    return StartState(stack_pointer, entry)
