"""The image as it lies in flash, and nothing else: ``.bin``."""

from __future__ import annotations

from collections.abc import Mapping

from toolchain.boards import Board, Format
from toolchain.firmware.formats.base import (
    IMAGE,
    Files,
    FirmwareFormat,
    FormatError,
    check_by_reading,
)

_FOREIGN_STARTS = {
    b"\x7fELF": "it is an ELF file",
    b"PK\x03\x04": "it is a zip archive",
    b"UF2\n": "it is a UF2 file",
}


def write(_board: Board, files: Files) -> bytes:
    """Return the image that make wrote."""
    return files[IMAGE]


def read(_board: Board, data: bytes) -> bytes:
    """Return ``data``.

    Raises:
        FormatError: it is empty or begins like a file of another format.
    """
    if not data:
        raise FormatError("it is empty")
    for start, what in _FOREIGN_STARTS.items():
        if data.startswith(start):
            raise FormatError(f"{what}, not the bytes for the flash")
    if data[:1] == b":" and data[:9].isascii() and data[1:9].decode("ascii").isalnum():
        raise FormatError("it is an Intel HEX file, not the bytes for the flash")
    return data


FORMATS: Mapping[Format, FirmwareFormat] = {
    "bin": FirmwareFormat(write, check_by_reading(read), read)
}
