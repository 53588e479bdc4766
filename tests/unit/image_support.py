"""Images as the linker makes them, byte by byte."""

from __future__ import annotations

import struct

from toolchain.boards import Board
from toolchain.firmware.image import RECORD_MAGIC

RECORD_OFFSET = 28


def make_image(board: Board, code: bytes = bytes(range(256)), *, name: str | None = None) -> bytes:
    """Return an image that ``board`` starts: vectors, the board's name, then ``code``."""
    load = board.application.load_address
    table_bytes = 4 * board.core.vector_words
    handler = load + table_bytes + 1
    text = (board.name if name is None else name).encode() + b"\0"
    text += bytes(-len(text) % 4)
    body = code + text
    vectors = [board.application.initial_stack_pointer]
    vectors += [handler] * (board.core.vector_words - 1)
    record = (RECORD_MAGIC, table_bytes + len(body), load + table_bytes + len(code), 0)
    vectors[7:11] = record
    vectors[13] = 0
    return struct.pack(f"<{len(vectors)}I", *vectors) + body


def with_record(board: Board, image: bytes) -> bytes:
    """Return an image of other code with the board's name behind it and the record of both."""
    image += bytes(-len(image) % 4)
    name = board.application.load_address + len(image)
    image += board.name.encode() + b"\0"
    image += bytes(-len(image) % 4)
    record = struct.pack("<4I", RECORD_MAGIC, len(image), name, 0)
    return image[:RECORD_OFFSET] + record + image[RECORD_OFFSET + len(record) :]


def with_word(image: bytes, offset: int, value: int) -> bytes:
    return image[:offset] + struct.pack("<I", value) + image[offset + 4 :]
