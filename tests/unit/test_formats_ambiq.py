from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.image_support import make_image, with_word
from toolchain.boards import Format, find_board
from toolchain.errors import FirmwareDoesNotFitError
from toolchain.firmware.formats import FormatError, find_format
from toolchain.firmware.formats.ambiq import (
    IMAGE_HEADER_BYTES,
    LARGEST_PAYLOAD,
    STAGING_ADDRESS,
    UPDATE_HEADER_BYTES,
    read_image,
    read_update,
    split_update,
    write_image,
    write_update,
)
from toolchain.firmware.formats.base import IMAGE

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
AMBIQ_FORMATS: tuple[Format, ...] = ("ambiq_image", "ambiq_wired_update")
APPLICATION = bytes(range(10))
BLOB = write_image(APPLICATION, 0xC000)
UPDATE = write_update(BLOB)


def sealed(blob: bytes) -> bytes:
    """Return ``blob`` with the CRC that its content asks for."""
    return with_word(blob, 4, zlib.crc32(blob[8:]))


def test_the_image_is_the_vendors_byte_for_byte() -> None:
    assert len(BLOB) == 140
    assert BLOB[:16] == bytes.fromhex("8c0000cb 28a720a7 80800010 00000000")
    assert zlib.crc32(BLOB) == 0x835D_6A98


def test_the_update_is_the_vendors_byte_for_byte() -> None:
    assert len(UPDATE) == 236
    assert zlib.crc32(UPDATE) == 0xEFD9_9DC7


def test_the_header_of_a_field_report_is_reproduced() -> None:
    blob = write_image(bytes(0x460C), 0xC000)
    assert struct.unpack_from("<I4xI", blob) == (0xCB00_468C, 0x1000_8080)
    assert struct.unpack_from("<IIII", blob, 112) == (0xC000, 0, 0xFFFF_FFFF, 0xFFFF_FFFF)


@given(st.binary(min_size=1, max_size=400), st.integers(0, 0x3FFF).map(lambda page: 4 * page))
def test_an_image_is_read_as_it_was_written(application: bytes, address: int) -> None:
    image = read_image(write_image(application, address))
    padding = -len(application) % 4
    assert image.load_address == address
    assert image.application == application + bytes([padding]) * padding


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_any_changed_byte_of_an_image_is_noticed(offset: int, change: int) -> None:
    damaged = bytearray(BLOB)
    damaged[offset] ^= change
    with pytest.raises(FormatError):
        read_image(bytes(damaged))


@given(st.integers(0, 95), st.integers(1, 255))
def test_any_changed_byte_of_an_updates_header_is_noticed(offset: int, change: int) -> None:
    damaged = bytearray(UPDATE)
    damaged[offset] ^= change
    try:
        (part,) = read_update(bytes(damaged))
    except FormatError:
        return
    # Only the staging address says nothing that the rest of the part could contradict.
    assert part.staging_address != STAGING_ADDRESS
    assert 88 <= offset < 92


@given(st.integers(0, len(UPDATE) - 1))
def test_a_file_that_is_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(FormatError):
        read_update(UPDATE[:length])
    with pytest.raises(FormatError):
        read_image(BLOB[: min(length, len(BLOB) - 1)])


@given(st.binary(min_size=1, max_size=100))
def test_bytes_behind_the_end_are_noticed(more: bytes) -> None:
    with pytest.raises(FormatError, match="follow its end"):
        read_image(BLOB + more)
    with pytest.raises(FormatError, match="follow its end"):
        read_update(UPDATE + more)


@pytest.mark.parametrize(
    ("offset", "word", "message"),
    [
        (0, 0xC000_008C, "magic of its image header is 0xC0"),
        (0, 0xCB80_008C, "says that it is encrypted"),
        (8, 0x1200_8080, "security word 0x12008080"),
        (20, 1, "a signature or a key"),
        (112, 0xC001, "protection"),
        (116, 0x8000, "erase the previous image"),
        (120, 0x1_0000, "child images"),
    ],
)
def test_an_image_that_asks_for_something_else_is_refused(
    offset: int, word: int, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read_image(sealed(with_word(BLOB, offset, word)))


@pytest.mark.parametrize(
    ("offset", "word", "message"),
    [
        (0, 0x0800_0801, "no wired update"),
        (4, 1, "no wired update"),
        (80, 0x0000_0103, "update of type 3"),
        (80, 0x0000_0006, "does not ask to be installed"),
        (80, 0x0000_0306, "options"),
        (84, 0xD894_E09E, "flash key 0xD894E09E"),
        (88, 0x2_1000, "not the start of a flash page"),
    ],
)
def test_an_update_of_another_kind_is_refused(offset: int, word: int, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_update(with_word(UPDATE, offset, word))


@pytest.mark.parametrize(
    ("length", "parts"),
    [(4, 1), (LARGEST_PAYLOAD, 1), (LARGEST_PAYLOAD + 4, 2), (2 * LARGEST_PAYLOAD + 8, 3)],
)
def test_a_long_update_has_parts_that_follow_one_another(length: int, parts: int) -> None:
    blob = bytes(index * 7 % 251 for index in range(length))
    update = write_update(blob)
    assert len(update) == length + parts * UPDATE_HEADER_BYTES
    read = read_update(update)
    assert [part.staging_address for part in read] == [
        STAGING_ADDRESS + number * LARGEST_PAYLOAD for number in range(parts)
    ]
    assert [part.installs for part in read] == [True] + [False] * (parts - 1)
    assert b"".join(part.payload for part in read) == blob
    chunks = split_update(update)
    assert b"".join(chunks) == update
    assert [len(chunk) for chunk in chunks[:-1]] == [UPDATE_HEADER_BYTES + LARGEST_PAYLOAD] * (
        parts - 1
    )


def test_parts_in_another_order_are_refused() -> None:
    first, second, third = split_update(write_update(bytes(2 * LARGEST_PAYLOAD + 4)))
    with pytest.raises(FormatError):
        read_update(second + first + third)
    with pytest.raises(FormatError, match="is next"):
        read_update(first + first + third)


@given(st.integers(1, 64))
def test_the_boards_image_comes_back_without_its_padding(size: int) -> None:
    image = make_image(BOARD, bytes(size))
    for kind in map(find_format, AMBIQ_FORMATS):
        assert kind.read is not None
        data = kind.write(BOARD, {IMAGE: image})
        assert kind.read(BOARD, data) == image
        kind.check(BOARD, {IMAGE: image}, data)


def test_a_file_for_another_image_does_not_pass_its_check() -> None:
    image, other = make_image(BOARD), make_image(BOARD, bytes(256))
    for kind in map(find_format, AMBIQ_FORMATS):
        data = kind.write(BOARD, {IMAGE: other})
        with pytest.raises(FormatError, match="differ from byte 193 on"):
            kind.check(BOARD, {IMAGE: image}, data)


def test_another_load_address_is_refused() -> None:
    kind = find_format("ambiq_image")
    assert kind.read is not None
    with pytest.raises(FormatError, match="load address 0x00010000, not 0x0000C000"):
        kind.read(BOARD, write_image(make_image(BOARD), 0x1_0000))


def test_an_update_never_covers_what_is_not_the_applications() -> None:
    kind = find_format("ambiq_wired_update")
    assert kind.read is not None
    largest = 0xF_E000 - STAGING_ADDRESS - IMAGE_HEADER_BYTES
    fits = kind.write(BOARD, {IMAGE: bytes(largest)})
    assert kind.read(BOARD, fits) == bytes(largest)
    with pytest.raises(FirmwareDoesNotFitError, match="update descriptor"):
        kind.write(BOARD, {IMAGE: bytes(largest + 4)})
    for staging in (0, 0xF_C000, 0x10_0000):
        with pytest.raises(FormatError, match=r"covers the|leaves the flash"):
            kind.read(BOARD, write_update(write_image(bytes(0x4000), 0xC000), staging))


def test_addresses_that_the_bootloader_cannot_use_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        write_image(b"", 0xC002)
    with pytest.raises(ValueError, match="not a page's"):
        write_update(BLOB, 0x2_0004)
    with pytest.raises(ValueError, match="more than the header"):
        write_image(bytes(1 << 23), 0xC000)


@given(st.binary(max_size=400))
def test_noise_is_never_read(noise: bytes) -> None:
    with pytest.raises(FormatError):
        read_image(noise)
    with pytest.raises(FormatError):
        read_update(noise)
