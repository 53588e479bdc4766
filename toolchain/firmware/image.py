"""What a flashable image says about itself, and whether a board would start it.

Exception numbers and which of them are reserved (7 to 10, 13): Armv7-M architecture. The record in
the reserved vectors is written by ``boards/common/startup.cc``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from toolchain.boards import Board

RECORD_MAGIC = 0x314C_4D54
"""``TML1`` in the vector 7; then follow the image's length and the address of its board's name."""

_RECORD_OFFSET = 4 * 7
_RESERVED_VECTORS = frozenset({7, 8, 9, 10, 13})
_LONGEST_NAME = 64


@dataclass(frozen=True)
class ImageRecord:
    """What an image says about itself.

    Attributes:
        length: bytes that it had when it was linked.
        board: name of the board that it was linked for.
    """

    length: int
    board: str


def read_record(image: bytes, load_address: int) -> ImageRecord | None:
    """Return the record of an image that begins at ``load_address``, None if it has none.

    The board's name is empty when its address does not lead to one.
    """
    if len(image) < _RECORD_OFFSET + 12:
        return None
    magic, length, name = struct.unpack_from("<III", image, _RECORD_OFFSET)
    if magic != RECORD_MAGIC:
        return None
    start = name - load_address
    text = image[start : start + _LONGEST_NAME] if start >= 0 else b""
    board, end, _ = text.partition(b"\0")
    readable = bool(end) and board.isascii() and board.decode("ascii", "replace").isidentifier()
    return ImageRecord(length, board.decode("ascii") if readable else "")


def image_problems(board: Board, image: bytes) -> list[str]:
    """Return why ``board`` would not start ``image`` or why it is not the board's, one clause each.

    Args:
        board: what the image shall run on.
        image: bytes as they lie in flash, the first one at the board's load address.
    """
    load = board.application.load_address
    if len(image) < 4 * board.core.vector_words:
        return [f"the image of {len(image)} bytes is shorter than its vector table"]
    return [
        *_start_problems(board, image),
        *_vector_problems(board, image),
        *_record_problems(board, read_record(image, load), len(image)),
    ]


def _start_problems(board: Board, image: bytes) -> list[str]:
    problems = []
    application, ram = board.application, board.ram
    stack_pointer, reset = struct.unpack_from("<II", image)
    if not ram.origin < stack_pointer <= ram.end:
        problems.append(
            f"its initial stack pointer 0x{stack_pointer:08X} is outside the RAM, "
            f"0x{ram.origin:08X} to 0x{ram.end:08X}"
        )
    elif stack_pointer != application.initial_stack_pointer:
        problems.append(
            f"its initial stack pointer is 0x{stack_pointer:08X}, "
            f"not 0x{application.initial_stack_pointer:08X}"
        )
    if not reset & 1:
        problems.append(f"its reset vector 0x{reset:08X} has no Thumb bit")
    if not _in_code(board, image, reset):
        problems.append(f"its reset vector 0x{reset:08X} is outside the image")
    return problems


def _vector_problems(board: Board, image: bytes) -> list[str]:
    vectors = struct.unpack_from(f"<{board.core.vector_words}I", image)
    for number, vector in enumerate(vectors):
        if number < 2 or number in _RESERVED_VECTORS or vector == 0:
            continue
        if not vector & 1:
            return [f"its vector {number}, 0x{vector:08X}, has no Thumb bit"]
        if not _in_code(board, image, vector):
            return [f"its vector {number}, 0x{vector:08X}, is outside the image"]
    return []


def _in_code(board: Board, image: bytes, vector: int) -> bool:
    load = board.application.load_address
    return load + 4 * board.core.vector_words <= vector & ~1 < load + len(image)


def _record_problems(board: Board, record: ImageRecord | None, length: int) -> list[str]:
    if record is None:
        return ["its vector table does not say which board it is for"]
    problems = []
    if record.board != board.name:
        problems.append(
            f"it was linked for the board '{record.board}'"
            if record.board
            else "the name of its board is damaged"
        )
    if record.length > length:
        problems.append(f"it is cut off after {length:,} of {record.length:,} bytes")
    elif record.length < length:
        problems.append(f"{length - record.length:,} bytes follow its end")
    return problems
