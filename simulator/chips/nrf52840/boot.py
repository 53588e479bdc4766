"""What the Arduino bootloader checks of an image before it starts it."""

from __future__ import annotations

from toolchain.boards import Board


def check_image(board: Board, image: bytes) -> None:
    """Accept every image: no check of the bootloader's own is known.

    It is made of Mbed OS, whose ``mbed_start_application`` takes the first two words as stack
    pointer and entry as they are. What any core needs of them is checked by ``simulator.boot``.
    """
    del board, image
