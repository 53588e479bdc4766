from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intelhex import IntelHex

from tests.unit.image_support import make_image
from toolchain.boards import Format, find_board
from toolchain.firmware.formats import FormatError, file_name, find_format
from toolchain.firmware.formats.base import HEX, IMAGE
from toolchain.firmware.formats.intel_hex import read_hex

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
LOAD = BOARD.application.load_address
IMAGE_BYTES = make_image(BOARD)


def hex_of(data: bytes, address: int = LOAD, start: int | None = None) -> bytes:
    image = IntelHex()
    image.frombytes(data, address)
    if start is not None:
        image.start_addr = {"EIP": start}
    text = io.StringIO()
    image.write_hex_file(text)
    return text.getvalue().encode()


def read(name: Format, data: bytes) -> bytes:
    kind = find_format(name)
    assert kind.read is not None
    return kind.read(BOARD, data)


def test_every_format_has_a_name_and_a_writer() -> None:
    formats: tuple[Format, ...] = get_args(Format)
    for name in formats:
        assert callable(find_format(name).write)
        assert file_name("some_application", name).startswith("some_application")
    assert len({file_name("a", name) for name in formats}) == len(formats)


@given(st.binary(min_size=1, max_size=300), st.integers(0, 0xFFFF_0000))
def test_a_hex_file_is_read_as_another_library_writes_it(data: bytes, address: int) -> None:
    loaded = read_hex(hex_of(data, address))
    assert (loaded.address, loaded.data, loaded.start) == (address, data, None)


def test_a_written_file_passes_its_check() -> None:
    files = {IMAGE: IMAGE_BYTES, HEX: hex_of(IMAGE_BYTES, start=LOAD + 0xC0)}
    for kind in (find_format("bin"), find_format("hex")):
        kind.check(BOARD, files, kind.write(BOARD, files))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (hex_of(IMAGE_BYTES[:-1]), "differ from byte 463 on"),
        (hex_of(IMAGE_BYTES, LOAD + 4), "loads at 0x0000C004, not 0x0000C000"),
        (hex_of(IMAGE_BYTES, start=LOAD), "starts at 0x0000C000"),
        (hex_of(IMAGE_BYTES)[:-13], "cut off"),
        (hex_of(IMAGE_BYTES) + b":0100000000FF\n", "cut off"),
        (hex_of(IMAGE_BYTES) + b":00000001FF\n", "follow its end-of-file"),
        (hex_of(IMAGE_BYTES).replace(b":10C0000", b":10C0001", 1), "damaged"),
        (hex_of(b"\0" * 32) + hex_of(b"\1"), "follow its end-of-file"),
        (b":00000001FF\n", "loads nothing"),
        (b"hello", "not an Intel HEX file"),
        (b"\xff\xfe", "not text"),
        (b" \n", "empty"),
    ],
)
def test_a_wrong_hex_file_does_not_pass(text: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        find_format("hex").check(BOARD, {IMAGE: IMAGE_BYTES, HEX: text}, text)


def test_a_gap_is_named() -> None:
    image = IntelHex()
    image.frombytes(IMAGE_BYTES[:64], LOAD)
    image.frombytes(IMAGE_BYTES[80:], LOAD + 80)
    text = io.StringIO()
    image.write_hex_file(text)
    with pytest.raises(FormatError, match="gap from 0x0000C040 to 0x0000C050"):
        read_hex(text.getvalue().encode())


def test_bytes_that_are_loaded_twice_are_refused() -> None:
    twice = hex_of(b"\0" * 4).decode().splitlines()
    with pytest.raises(FormatError, match="overlap"):
        read_hex("\n".join([*twice[:-1], *twice]).encode())


@given(st.integers(0, len(hex_of(IMAGE_BYTES)) - 1), st.sampled_from(b"0123456789ABCDEF:\n "))
def test_a_changed_character_is_noticed_or_changes_nothing(offset: int, character: int) -> None:
    text = bytearray(hex_of(IMAGE_BYTES))
    text[offset] = character
    try:
        assert read("hex", bytes(text)) == IMAGE_BYTES
    except FormatError:
        return


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x7fELF\x01\x01\x01" + bytes(100), "ELF file"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"UF2\nWQ]\x9e" + bytes(500), "UF2"),
        (hex_of(IMAGE_BYTES), "Intel HEX"),
    ],
)
def test_a_file_of_another_format_is_no_flat_image(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read("bin", data)
