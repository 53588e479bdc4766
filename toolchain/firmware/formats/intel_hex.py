"""Intel HEX as GNU objcopy writes it, read back by the IntelHex library.

Record types: Intel, Hexadecimal Object File Format Specification, revision A.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from toolchain.boards import Board, Format
from toolchain.firmware.formats.base import (
    HEX,
    Files,
    FirmwareFormat,
    FormatError,
    check_by_reading,
)

_LAST_RECORD = ":00000001FF"


@dataclass(frozen=True)
class HexImage:
    """What an Intel HEX file loads.

    Attributes:
        address: of the first byte.
        start: where execution begins, from a start linear address record; None without one.
    """

    address: int
    data: bytes
    start: int | None


def read_hex(text: bytes) -> HexImage:
    """Read a file that loads one range of addresses without a gap.

    Raises:
        FormatError: a wrong character, length, type or checksum; bytes loaded twice; a gap; no
            data; no end-of-file record at the end.
    """
    from intelhex import IntelHex, IntelHexError

    if not text.strip():
        raise FormatError("it is empty")
    try:
        lines = text.decode("ascii").split()
    except UnicodeDecodeError as error:
        raise FormatError("it is not an Intel HEX file: it is not text") from error
    if not lines[0].startswith(":"):
        raise FormatError("it is not an Intel HEX file: its first line does not begin with ':'")
    if lines[-1].upper() != _LAST_RECORD:
        raise FormatError("its last line is not the end-of-file record: it is cut off")
    if lines.index(lines[-1]) != len(lines) - 1:
        raise FormatError("lines follow its end-of-file record")
    try:
        loaded = IntelHex(io.StringIO("\n".join(lines)))
    except IntelHexError as error:
        raise FormatError(f"it is damaged: {error}") from error
    segments = loaded.segments()
    if not segments:
        raise FormatError("it loads nothing")
    if len(segments) > 1:
        raise FormatError(f"it has a gap from 0x{segments[0][1]:08X} to 0x{segments[1][0]:08X}")
    ((first, end),) = segments
    start = (loaded.start_addr or {}).get("EIP")
    return HexImage(first, loaded.tobinstr(start=first, size=end - first), start)


def read(board: Board, data: bytes) -> bytes:
    """Return the image that the file loads at the board's load address.

    Raises:
        FormatError: see ``read_hex``; or it loads elsewhere, or starts elsewhere than the image.
    """
    loaded = read_hex(data)
    load = board.application.load_address
    if loaded.address != load:
        raise FormatError(f"it loads at 0x{loaded.address:08X}, not 0x{load:08X}")
    if loaded.start is not None and len(loaded.data) >= 8:
        reset = int.from_bytes(loaded.data[4:8], "little")
        # Linkers differ in whether the entry has the Thumb bit.
        if loaded.start | 1 != reset:
            raise FormatError(f"it starts at 0x{loaded.start:08X}, and the image at 0x{reset:08X}")
    return loaded.data


def write(_board: Board, files: Files) -> bytes:
    """Return the file that make wrote."""
    return files[HEX]


FORMATS: Mapping[Format, FirmwareFormat] = {
    "hex": FirmwareFormat(write, check_by_reading(read), read)
}
