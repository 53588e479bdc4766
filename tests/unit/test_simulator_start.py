from __future__ import annotations

import struct

import pytest

from simulator import SimulationRequest
from simulator.chips import chip_names
from tests.unit.simulator_support import (
    CONSOLE,
    EDGE,
    FPU,
    Peek,
    Say,
    firmware,
    run,
    run_image,
)
from toolchain.boards import Region
from toolchain.errors import BoardDescriptionError, SimulationFaultError, UsageError

GOOD = firmware(FPU, CONSOLE, Say("done\r\n")).image
START = EDGE.application.load_address


def with_word(index: int, word: int) -> bytes:
    image = bytearray(GOOD)
    struct.pack_into("<I", image, 4 * index, word)
    return bytes(image)


def reset_vector() -> int:
    return int(struct.unpack_from("<I", GOOD, 4)[0])


def test_a_good_image_runs_to_its_end() -> None:
    result = run_image(GOOD)
    assert result.console == "done\n"
    assert result.instructions > 50


def test_the_largest_image_starts() -> None:
    assert run_image(GOOD.ljust(EDGE.application.max_length, b"\xff")).console == "done\n"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (with_word(0, 0x1006_0000), "secure bootloader refuses.*end of SRAM"),
        (with_word(0, 0x2000_0000), "secure bootloader refuses"),
        (with_word(0, 0x0000_0000), "initial stack pointer, is 0x00000000"),
        (with_word(0, 0x1005_FFF4), "multiple of 8"),
        (with_word(0, 0x1000_1000), "leaves no room for the stack"),
        (with_word(1, reset_vector() & ~1), "bit 0 clear"),
        (with_word(1, 0x0010_0001), "reset vector is 0x00100001, outside the image"),
        (with_word(1, START | 1), "outside the image"),
        (with_word(1, START + len(GOOD) | 1), "outside the image"),
        (GOOD.ljust(EDGE.application.max_length + 1, b"\xff"), "1 more than there is room for"),
        (GOOD[:191], "less than its vector table needs"),
        (b"", "less than its vector table needs"),
    ],
)
def test_the_boot_code_refuses(image: bytes, message: str) -> None:
    with pytest.raises(SimulationFaultError, match=rf"(?s){message}") as caught:
        run_image(image)
    assert f"at 0x{START:08X}" in caught.value.what


def test_an_image_over_a_reserved_region_is_refused() -> None:
    reserved = (*EDGE.reserved, Region(name="settings", origin=START + 0x80, length=0x100))
    board = EDGE.model_copy(update={"reserved": reserved})
    with pytest.raises(SimulationFaultError, match="overlaps the settings"):
        run_image(GOOD, board=board)


def test_the_highest_stack_pointer_that_the_bootloader_takes_is_taken() -> None:
    assert run_image(with_word(0, 0x1005_FFF8)).console == "done\n"


def test_a_board_with_an_unknown_chip_is_one_error() -> None:
    with pytest.raises(BoardDescriptionError, match=r"no model of the chip 'apollo9'.*\n.*apollo3"):
        run_image(GOOD, board=EDGE.model_copy(update={"chip": "apollo9"}))
    assert "apollo3" in chip_names()


@pytest.mark.parametrize(("field", "value"), [("tx_pin", "50"), ("tx_pin", "P1"), ("tx_pin", "-1")])
def test_a_board_with_a_pin_that_the_chip_does_not_have_is_one_error(
    field: str, value: str
) -> None:
    console = EDGE.console.model_copy(update={field: value})
    with pytest.raises(BoardDescriptionError, match=f"no pad '{value}'"):
        run_image(GOOD, board=EDGE.model_copy(update={"console": console}))


def test_a_board_with_a_console_that_the_chip_does_not_have_is_one_error() -> None:
    console = EDGE.console.model_copy(update={"peripheral": "USART1"})
    with pytest.raises(BoardDescriptionError, match="USART1"):
        run_image(GOOD, board=EDGE.model_copy(update={"console": console}))


@pytest.mark.parametrize(
    ("inferences", "text"), [(None, None), (1, "done"), (0, None), (-1, None), (None, "")]
)
def test_a_request_without_a_proper_end_is_refused(
    inferences: int | None, text: str | None
) -> None:
    with pytest.raises(UsageError):
        SimulationRequest(EDGE, GOOD, None, inferences, text)


def test_a_request_without_budget_is_refused() -> None:
    with pytest.raises(UsageError):
        SimulationRequest(EDGE, GOOD, None, 1, instruction_budget=0)


def test_nothing_of_the_flash_but_the_application_is_there() -> None:
    with pytest.raises(SimulationFaultError, match=r"0x00008000(?s:.*)the secure bootloader"):
        run(Peek(0x8000))
