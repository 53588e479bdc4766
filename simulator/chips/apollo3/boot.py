"""The secure bootloader's checks, as field reports and the vendor's linker scripts show them."""

from __future__ import annotations

import struct

from simulator.rules import RuleBrokenError
from toolchain.boards import Board


def check_image(board: Board, image: bytes) -> None:
    """Check the image's first word as the bootloader does, on top of what every core needs.

    Raises:
        RuleBrokenError: the bootloader would not start the image.
    """
    start = board.application.load_address
    if len(image) < 4:
        return
    (stack_pointer,) = struct.unpack_from("<I", image)
    if stack_pointer >= board.ram.end:
        raise RuleBrokenError(
            f"the image's first word, the initial stack pointer, is 0x{stack_pointer:08X}",
            why="the Apollo3 secure bootloader refuses an image whose stack pointer is the end of "
            f"SRAM, 0x{board.ram.end:08X}, or beyond it",
            next_step=f"use 0x{board.ram.end - 8:08X} or lower",
            address=start,
        )
