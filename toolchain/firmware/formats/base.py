"""What a format of firmware files consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from toolchain.boards import Board

Files: TypeAlias = Mapping[PurePosixPath, bytes]
"""What a file is made from, by path; see ``Pipeline.format_inputs``."""

IMAGE = PurePosixPath("firmware.bin")
HEX = PurePosixPath("firmware.hex")


class FormatError(ValueError):
    """The bytes are not what the format demands; the message is a clause about them."""


@dataclass(frozen=True)
class FirmwareFormat:
    """A format of firmware files.

    Attributes:
        write: returns the file for a board. Raises ``FirmwareDoesNotFitError``.
        check: reads a written file back and compares it with what it was made from. Raises
            ``FormatError``.
        read: returns the image that a file would put at the board's load address, its structure and
            checksums checked. Raises ``FormatError``. None for a format that no tool flashes.
    """

    write: Callable[[Board, Files], bytes]
    check: Callable[[Board, Files, bytes], None]
    read: Callable[[Board, bytes], bytes] | None


def check_by_reading(
    read: Callable[[Board, bytes], bytes],
) -> Callable[[Board, Files, bytes], None]:
    """Return a checker that demands that a file holds exactly the linked image.

    The checker raises ``FormatError`` where it holds something else.
    """

    def check(board: Board, files: Files, data: bytes) -> None:
        image = read(board, data)
        expected = files[IMAGE]
        if image != expected:
            pairs = enumerate(zip(image, expected, strict=False))
            shorter = min(len(image), len(expected))
            at = next((at for at, (got, want) in pairs if got != want), shorter)
            raise FormatError(
                f"it holds {len(image):,} bytes and the image has {len(expected):,}; "
                f"they differ from byte {at:,} on"
            )

    return check
