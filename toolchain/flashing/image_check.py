"""Refuses to write what is not a board's firmware, before anything is sent."""

from __future__ import annotations

from toolchain.boards import Board, Format
from toolchain.errors import ImageRefusedError
from toolchain.firmware.formats import FormatError, find_format
from toolchain.firmware.image import image_problems

_MOST_NAMED = 3


def check_image(board: Board, name: Format, data: bytes, label: str) -> bytes:
    """Return the image that a file puts at the board's load address.

    Args:
        board: what the file shall be written to.
        name: format of the file.
        data: the file's bytes.
        label: what to call the file in a message.

    Raises:
        ImageRefusedError: the file is of another format, damaged, cut off or padded, too large, or
            not linked for this board.
    """
    kind = find_format(name)
    if kind.read is None:
        raise ImageRefusedError(f"a file of the format '{name}' is not written to a board")
    try:
        image = kind.read(board, data)
    except FormatError as error:
        raise ImageRefusedError(
            f"{label} is not a file of the format '{name}' for {board.title}: {error}",
            next_step=f"build it with ./invoke build --target {board.name}",
        ) from error
    room = board.application.max_length
    problems = image_problems(board, image)
    if len(image) > room:
        problems.insert(0, f"it has {len(image):,} bytes, and there is room for {room:,}")
    if problems:
        raise ImageRefusedError(
            f"{label} is not a firmware for {board.title}: {problems[0]}",
            why="; ".join(problems[1 : 1 + _MOST_NAMED]),
            next_step=f"build it with ./invoke build --target {board.name}",
        )
    return image
