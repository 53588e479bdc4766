"""The checks on a linked firmware, against ELF files written byte by byte."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.image_support import make_image
from toolchain.boards import find_board
from toolchain.errors import FirmwareDoesNotFitError, FirmwareInvalidError
from toolchain.firmware.elf import (
    FirmwareElf,
    Section,
    Segment,
    check_firmware,
    ram_used,
    read_firmware_elf,
)

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
LOAD = BOARD.application.load_address
RESET = LOAD + 4 * BOARD.core.vector_words + 1
IMAGE = make_image(BOARD)
GOOD = FirmwareElf(
    machine="EM_ARM",
    bits=32,
    little_endian=True,
    flags=0x0500_0400,
    entry=RESET,
    segments=(Segment(LOAD, IMAGE),),
    sections=(
        Section(".text", LOAD, len(IMAGE), in_file=True),
        Section(".bss", BOARD.ram.origin, 0x400, in_file=False),
    ),
)


def elf_file(image: bytes, *, flags: int = 0x0500_0400, machine: int = 40) -> bytes:
    """Return a 32-bit little-endian executable with one segment loading ``image`` at LOAD."""
    identity = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, RESET, 52, 0, flags, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 84, LOAD, LOAD, len(image), len(image), 5, 4)
    return identity + header + segment + image


def with_words(*words: int) -> tuple[FirmwareElf, bytes]:
    image = struct.pack(f"<{len(words)}I", *words) + IMAGE[4 * len(words) :]
    return replace(GOOD, segments=(Segment(LOAD, image),)), image


def test_a_good_firmware_passes() -> None:
    check_firmware(BOARD, GOOD, IMAGE)
    assert ram_used(BOARD, GOOD) == 0x400


def test_a_real_file_is_read() -> None:
    elf = read_firmware_elf(elf_file(IMAGE))
    assert elf.flat_image == IMAGE
    assert (elf.machine, elf.bits, elf.entry) == ("EM_ARM", 32, RESET)
    check_firmware(BOARD, elf, IMAGE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": "EM_X86_64"}, "not Arm's"),
        ({"bits": 64}, "64-bit"),
        ({"little_endian": False}, "big-endian"),
        ({"flags": 0x0400_0400}, "EABI version 5"),
        ({"flags": 0x0500_0200}, "hard-float"),
        ({"entry": RESET + 4}, "not the entry"),
        ({"segments": (Segment(0, IMAGE),)}, "loads at 0x00000000"),
        ({"segments": ()}, "loads at"),
    ],
)
def test_a_wrong_header_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FirmwareInvalidError, match=message):
        check_firmware(BOARD, replace(GOOD, **change), IMAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stack_pointer", "reset", "message"),
    [
        (BOARD.ram.end, RESET, "initial stack pointer is 0x10060000"),
        (BOARD.application.initial_stack_pointer, RESET - 1, "no Thumb bit"),
        (BOARD.application.initial_stack_pointer, 0x101, "outside the image"),
        (
            BOARD.application.initial_stack_pointer,
            LOAD + len(IMAGE) + 1,
            "outside the image",
        ),
    ],
)
def test_a_wrong_vector_table_is_refused(stack_pointer: int, reset: int, message: str) -> None:
    elf, image = with_words(stack_pointer, reset)
    with pytest.raises(FirmwareInvalidError, match=message):
        check_firmware(BOARD, elf, image)


def test_an_image_that_is_not_the_elf_is_refused() -> None:
    with pytest.raises(FirmwareInvalidError, match="not what the ELF file loads"):
        check_firmware(BOARD, GOOD, IMAGE[:-1] + b"\x01")


def test_an_image_without_a_whole_table_is_refused() -> None:
    with pytest.raises(FirmwareInvalidError, match="shorter than its vector table"):
        check_firmware(BOARD, GOOD, IMAGE[:190])


def test_too_much_flash_or_ram_does_not_fit() -> None:
    with pytest.raises(FirmwareDoesNotFitError, match="takes 983,040"):
        check_firmware(BOARD, GOOD, bytes(BOARD.application.max_length + 1))
    big = Section(".bss", BOARD.ram.origin, BOARD.ram.length, in_file=False)
    with pytest.raises(FirmwareDoesNotFitError, match="bytes of RAM"):
        check_firmware(BOARD, replace(GOOD, sections=(big,)), IMAGE)


def test_each_ram_must_hold_what_lies_in_it() -> None:
    disco = find_board(Path(__file__).resolve().parents[2] / "boards", "stm32f746g_disco")
    (sram,) = disco.sectioned_rams
    load = disco.application.load_address
    image = make_image(disco)
    good = replace(
        GOOD,
        entry=load + 4 * disco.core.vector_words + 1,
        segments=(Segment(load, image),),
        sections=(Section(".sram", sram.origin, sram.length, in_file=False),),
    )
    check_firmware(disco, good, image)
    assert ram_used(disco, good) == sram.length
    for section in (
        Section(".sram", sram.origin, sram.length + 1, in_file=False),
        Section(".bss", disco.ram.origin, disco.ram.length - 8, in_file=False),
    ):
        with pytest.raises(FirmwareDoesNotFitError, match="bytes of RAM there"):
            check_firmware(disco, replace(good, sections=(section,)), image)


@given(st.binary(max_size=300))
def test_noise_is_never_read_as_an_elf(noise: bytes) -> None:
    with pytest.raises(FirmwareInvalidError):
        read_firmware_elf(noise)


@given(st.integers(0, 83), st.integers(0, 255))
def test_a_damaged_header_is_an_error_or_a_reading(offset: int, value: int) -> None:
    damaged = bytearray(elf_file(IMAGE))
    damaged[offset] = value
    try:
        elf = read_firmware_elf(bytes(damaged))
    except FirmwareInvalidError:
        return
    if elf != read_firmware_elf(elf_file(IMAGE)):
        try:
            check_firmware(BOARD, elf, IMAGE)
        except (FirmwareInvalidError, FirmwareDoesNotFitError):
            return
        # Fields that neither the boot code nor a programmer reads may differ.
        assert elf.flat_image == IMAGE
