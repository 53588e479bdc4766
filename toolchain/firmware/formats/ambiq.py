"""Files for the secure bootloader of the Ambiq Apollo3: customer image and wired update.

All words are little-endian, the CRC is that of zlib. Sources: the Apollo3 scripts of Ambiq's SDK
(``create_cust_image_blob.py``, ``create_cust_wireupdate_blob.py``, ``am_defines.py``), whose output
for a non-secure image without authentication and encryption is this, byte for byte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from toolchain.boards import Board, Format, Region
from toolchain.errors import FirmwareDoesNotFitError
from toolchain.firmware.formats.base import (
    IMAGE,
    Files,
    FirmwareFormat,
    FormatError,
    check_by_reading,
)
from toolchain.firmware.image import read_record

IMAGE_HEADER_BYTES = 128
UPDATE_HEADER_BYTES = 96

NON_SECURE_IMAGE = 0xCB
"""Magic of an application that the bootloader does not authenticate."""

NON_SECURE_MAIN = 6
"""Type of the image in a wired update."""

STAGING_ADDRESS = 0x0002_0000
"""Where the bootloader keeps an update before it installs it."""

LARGEST_PAYLOAD = 0x0004_8000
"""Bytes of one part of a wired update, which the bootloader holds in RAM."""

_MAGIC_SHIFT = 24
_ENCRYPTED = 1 << 23
_LENGTH_MASK = (1 << 23) - 1
# CRC at installation; key indices 8, no algorithm.
_SECURITY_WORD = 0x1000_8080
_CRC_START = 8
_ADDRESS_OFFSET = 112
_PROTECTION_MASK = 0x3
_NO_CHILD = 0xFFFF_FFFF
_LAST_VERSION = 0x7FFF

_UPDATE_FIRST_WORD = 0x0800_0800
_FLASH_KEY = 0x1234_4321
_RUN_AS_OTA = 1
_PAGE_BYTES = 0x2000


@dataclass(frozen=True)
class CustomerImage:
    """An application in the bootloader's image header.

    Attributes:
        load_address: where the bootloader installs the application.
        version: 0 to 0x7FFF.
        application: padded to a multiple of 4 bytes.
    """

    load_address: int
    version: int
    application: bytes


@dataclass(frozen=True)
class UpdatePart:
    """One part of a wired update, with the header that the bootloader receives with it.

    Attributes:
        staging_address: where the payload is kept.
        installs: whether the update is installed when it has arrived; true for the first part only.
        payload: at most ``LARGEST_PAYLOAD`` bytes, a multiple of 4.
    """

    staging_address: int
    installs: bool
    payload: bytes


def write_image(application: bytes, load_address: int) -> bytes:
    """Return the customer image blob of a non-secure application, version 0.

    Raises:
        ValueError: the load address is not a multiple of 4, or the application too long for the
            header's 23-bit length.
    """
    if load_address % 4:
        raise ValueError(f"the load address 0x{load_address:08X} is not a multiple of 4")
    padding = -len(application) % 4
    application += bytes([padding]) * padding
    length = IMAGE_HEADER_BYTES + len(application)
    if length > _LENGTH_MASK:
        raise ValueError(f"{length} bytes are more than the header's length can say")
    protected = struct.pack("<II96xIIII", _SECURITY_WORD, 0, load_address, 0, _NO_CHILD, _NO_CHILD)
    protected += application
    first = NON_SECURE_IMAGE << _MAGIC_SHIFT | length
    return struct.pack("<II", first, zlib.crc32(protected)) + protected


def read_image(blob: bytes) -> CustomerImage:
    """Read a customer image blob.

    Raises:
        FormatError: too short, wrong magic, a length that is not the blob's, a wrong CRC, or other
            settings than those of ``write_image``.
    """
    if not blob:
        raise FormatError("it is empty")
    if len(blob) < IMAGE_HEADER_BYTES:
        raise FormatError(f"its {len(blob)} bytes are shorter than the image header")
    first, crc = struct.unpack_from("<II", blob)
    magic, length = first >> _MAGIC_SHIFT, first & _LENGTH_MASK
    if magic != NON_SECURE_IMAGE:
        raise FormatError(
            f"the magic of its image header is 0x{magic:02X}, not 0x{NON_SECURE_IMAGE:02X}"
        )
    if length > len(blob):
        raise FormatError(f"it is cut off: {len(blob):,} of {length:,} bytes are there")
    if length < len(blob):
        raise FormatError(f"{len(blob) - length:,} bytes follow its end")
    if length % 4:
        raise FormatError(f"its length of {length:,} bytes is not a multiple of 4")
    actual = zlib.crc32(blob[_CRC_START:])
    if crc != actual:
        raise FormatError(f"its CRC is 0x{actual:08X}, its image header says 0x{crc:08X}")
    settings = _settings_problem(blob)
    if settings:
        raise FormatError(f"its image header {settings}")
    address, version = struct.unpack_from("<II", blob, _ADDRESS_OFFSET)
    return CustomerImage(address, version, blob[IMAGE_HEADER_BYTES:])


def _settings_problem(blob: bytes) -> str:
    first, _, security = struct.unpack_from("<III", blob)
    address, version, child0, child1 = struct.unpack_from("<IIII", blob, _ADDRESS_OFFSET)
    problems = {
        "says that it is encrypted": first & _ENCRYPTED,
        f"has the security word 0x{security:08X}, not 0x{_SECURITY_WORD:08X} (a CRC alone)": (
            security != _SECURITY_WORD
        ),
        "has a signature or a key, which nothing asked for": any(blob[12:_ADDRESS_OFFSET]),
        "points to child images": (child0, child1) != (_NO_CHILD, _NO_CHILD),
        "asks for protection from copying or writing": address & _PROTECTION_MASK,
        "asks to erase the previous image": version > _LAST_VERSION,
    }
    return next((text for text, is_so in problems.items() if is_so), "")


def write_update(blob: bytes, staging_address: int = STAGING_ADDRESS) -> bytes:
    """Return the wired update of a customer image blob, in as many parts as it takes.

    Raises:
        ValueError: the staging address is not the start of a flash page.
    """
    if staging_address % _PAGE_BYTES:
        raise ValueError(f"the staging address 0x{staging_address:08X} is not a page's")
    blob += bytes(-len(blob) % 4)
    update = bytearray()
    for start in range(0, len(blob), LARGEST_PAYLOAD):
        payload = blob[start : start + LARGEST_PAYLOAD]
        update += struct.pack("<I76x", _UPDATE_FIRST_WORD)
        update += struct.pack("<BBH", NON_SECURE_MAIN, 0 if start else _RUN_AS_OTA, 0)
        update += struct.pack("<III", _FLASH_KEY, staging_address + start, len(payload))
        update += payload
    return bytes(update)


def split_update(update: bytes) -> tuple[bytes, ...]:
    """Return the parts of a wired update, headers included, in the order of the file."""
    size = UPDATE_HEADER_BYTES + LARGEST_PAYLOAD
    return tuple(update[start : start + size] for start in range(0, len(update), size))


def read_update_part(part: bytes) -> UpdatePart:
    """Read one part of a wired update.

    Raises:
        FormatError: a header that is cut off or wrong, or a length that is not the payload's.
    """
    if not part:
        raise FormatError("it is empty")
    if len(part) < UPDATE_HEADER_BYTES:
        raise FormatError(f"{len(part)} bytes are shorter than the header of an update")
    (first,) = struct.unpack_from("<I", part)
    if first != _UPDATE_FIRST_WORD or any(part[4:80]):
        raise FormatError(
            f"its update header begins with 0x{first:08X}: it is no wired update, or an "
            "authenticated or encrypted one"
        )
    kind, options, zero, key, address, length = struct.unpack_from("<BBHIII", part, 80)
    if kind != NON_SECURE_MAIN:
        raise FormatError(f"it is an update of type {kind}, not {NON_SECURE_MAIN}")
    if options > _RUN_AS_OTA or zero:
        raise FormatError(f"its update header has the options 0x{zero << 8 | options:06X}")
    if key != _FLASH_KEY:
        raise FormatError(f"its update header has the flash key 0x{key:08X}")
    payload = part[UPDATE_HEADER_BYTES:]
    if length > len(payload):
        raise FormatError(f"it is cut off: {len(payload):,} of {length:,} bytes are there")
    if length < len(payload):
        raise FormatError(f"{len(payload) - length:,} bytes follow its end")
    if not 0 < length <= LARGEST_PAYLOAD or length % 4:
        raise FormatError(f"a payload of {length:,} bytes is not one of an update")
    return UpdatePart(address, bool(options & _RUN_AS_OTA), payload)


def read_update(update: bytes) -> tuple[UpdatePart, ...]:
    """Read a wired update.

    Raises:
        FormatError: see ``read_update_part``; or the parts do not follow one another.
    """
    parts = tuple(read_update_part(part) for part in split_update(update) or (b"",))
    for number, part in enumerate(parts):
        expected = parts[0].staging_address + number * LARGEST_PAYLOAD
        if part.staging_address != expected:
            raise FormatError(
                f"its part {number + 1} is for 0x{part.staging_address:08X}, "
                f"where 0x{expected:08X} is next"
            )
        if part.installs != (number == 0):
            raise FormatError(
                "its first part does not ask to be installed"
                if number == 0
                else f"its part {number + 1} asks to be installed on its own"
            )
    if parts[0].staging_address % _PAGE_BYTES:
        raise FormatError(f"0x{parts[0].staging_address:08X} is not the start of a flash page")
    return parts


def _read_image(board: Board, data: bytes) -> bytes:
    image = read_image(data)
    load = board.application.load_address
    if image.load_address != load:
        raise FormatError(
            f"its image header is for the load address 0x{image.load_address:08X}, not 0x{load:08X}"
        )
    record = read_record(image.application, load)
    if record is not None:
        padding = len(image.application) - record.length
        if 0 < padding < 4 and image.application.endswith(bytes([padding]) * padding):
            return image.application[:-padding]
    return image.application


def _read_update(board: Board, data: bytes) -> bytes:
    parts = read_update(data)
    blob = b"".join(part.payload for part in parts)
    problem = _staging_problem(board, parts[0].staging_address, len(blob))
    if problem:
        raise FormatError(problem)
    return _read_image(board, blob)


def _staging_problem(board: Board, address: int, length: int) -> str:
    staged = Region(name="staged update", origin=address, length=length)
    if not board.flash.contains(staged.origin, staged.length):
        return f"the update at 0x{address:08X} leaves the flash"
    for region in board.reserved:
        if staged.overlaps(region):
            return (
                f"the update from 0x{address:08X} to 0x{staged.end:08X} covers the "
                f"{region.name} at 0x{region.origin:08X}"
            )
    return ""


def _write_image(board: Board, files: Files) -> bytes:
    return write_image(files[IMAGE], board.application.load_address)


def _write_update(board: Board, files: Files) -> bytes:
    blob = _write_image(board, files)
    problem = _staging_problem(board, STAGING_ADDRESS, len(blob))
    if problem:
        raise FirmwareDoesNotFitError(
            f"the image of {len(files[IMAGE]):,} bytes is too large to be updated over a serial "
            f"line: {problem}",
            next_step="make it smaller, or write its .bin file with a debug probe",
        )
    return write_update(blob)


FORMATS: Mapping[Format, FirmwareFormat] = {
    "ambiq_image": FirmwareFormat(_write_image, check_by_reading(_read_image), _read_image),
    "ambiq_wired_update": FirmwareFormat(
        _write_update, check_by_reading(_read_update), _read_update
    ),
}
