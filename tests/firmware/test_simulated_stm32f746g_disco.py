"""The real firmware of the STM32F746G Discovery, on the simulated chip."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from PIL import Image

from simulator import Inference, SimulationResult
from simulator.console import parse_test_cases
from tests.conftest import BuildFirmwareFor, BuildVariantFor, BuiltFirmware
from tests.firmware.simulated_support import run
from toolchain.boards import Board, find_board
from toolchain.building.built import BuiltFirmware as CheckedFirmware
from toolchain.commands.simulate import simulate_all
from toolchain.errors import SimulationFaultError, StepFailedError
from toolchain.firmware.elf import ram_used, read_firmware_elf
from toolchain.firmware.size import SizeReport, size_report
from toolchain.layout import Layout
from toolchain.models import MODELS

BOARD_CC = "boards/stm32f746g_disco/board.cc"
DISPLAY_CC = "boards/stm32f746g_disco/display.cc"

GROUND, DOT = (0xF4, 0xB4, 0x00), (0xDB, 0x44, 0x37)
RADIUS = 10
DOT_PIXELS = sum(
    x * x + y * y <= RADIUS * RADIUS
    for x in range(-RADIUS, RADIUS + 1)
    for y in range(-RADIUS, RADIUS + 1)
)
LED_STEP = 1 / 250
"""Of the LED's brightness: the timer counts 250 in a period, and is on for 249 at most."""


@pytest.fixture(scope="module")
def disco(layout: Layout) -> Board:
    return find_board(layout.boards, "disco_f746ng")


@pytest.fixture(scope="module")
def firmware(disco: Board, build_firmware_for: BuildFirmwareFor) -> BuiltFirmware:
    return build_firmware_for(disco, MODELS["sine_int8"])


@pytest.fixture(scope="module")
def cycle(disco: Board, firmware: BuiltFirmware) -> SimulationResult:
    """One period of the sine, and the beginning of the next."""
    return run(disco, firmware.hello_world, inferences=71)


@pytest.fixture(scope="module")
def size(disco: Board, firmware: BuiltFirmware) -> SizeReport:
    files = firmware.hello_world
    elf = read_firmware_elf(files.elf.read_bytes())
    return size_report(disco, elf, files.map.read_text())


def test_the_image_starts_at_the_beginning_of_the_flash(firmware: BuiltFirmware) -> None:
    image = firmware.hello_world.bin.read_bytes()
    stack_pointer, reset = struct.unpack_from("<II", image)
    assert stack_pointer == 0x2001_0000
    assert reset & 1
    assert 0x0800_0200 <= reset < 0x0800_0000 + len(image)


def test_the_release_firmware_is_small(
    disco: Board, firmware: BuiltFirmware, size: SizeReport
) -> None:
    ram = {part.layer: part.ram for part in size.layers}
    assert size.flash_used == firmware.hello_world.bin.stat().st_size <= 20 * 1024
    assert ram["frame buffer"] == 480 * 272
    assert size.ram_used - ram["frame buffer"] <= 6 * 1024
    elf = read_firmware_elf(firmware.hello_world.elf.read_bytes())
    assert ram_used(disco, elf) == size.ram_used == sum(ram.values())


def test_frame_buffer_and_arena_lie_where_board_toml_says(
    disco: Board, firmware: BuiltFirmware
) -> None:
    elf = read_firmware_elf(firmware.hello_world.elf.read_bytes())
    sections = {section.name: section for section in elf.sections}
    (sram,) = disco.sectioned_rams
    assert sections[".sram"].address == sram.origin == 0x2001_0000
    assert sections[".sram"].size >= 480 * 272 + 1200
    assert not sections[".sram"].in_file
    assert disco.ram.contains(sections[".bss"].address, sections[".bss"].size)


def test_the_banner_names_board_and_model(cycle: SimulationResult) -> None:
    banner = cycle.console.splitlines()[0]
    assert banner.startswith("hello_world: board=stm32f746g_disco model=sine_int8 type=int8 ")


def test_70_inferences_are_one_period(cycle: SimulationResult) -> None:
    xs = [each.x for each in cycle.inferences]
    assert xs[:70] == sorted(xs[:70])
    assert xs[69] == pytest.approx(2 * math.pi * 69 / 70, abs=1e-5)
    assert xs[70] == xs[0] == 0.0


def test_the_led_is_as_bright_as_the_sine_is_high(cycle: SimulationResult) -> None:
    shown = [each.brightness["green"] for each in cycle.inferences]
    for brightness, inference in zip(shown, cycle.inferences, strict=True):
        wanted = min(max((1 + inference.y) / 2, 0.0), 1.0)
        assert brightness == pytest.approx(wanted, abs=1.001 * LED_STEP)
    assert max(shown) == 1 - LED_STEP
    assert min(shown) < 0.02


def test_without_its_crystal_the_board_says_so_and_works_at_16_mhz(
    disco: Board, firmware: BuiltFirmware, cycle: SimulationResult
) -> None:
    board = disco.model_copy(update={"core": disco.core.model_copy(update={"crystal_hz": None})})
    slow = run(board, firmware.hello_world, inferences=71)
    warning, banner = slow.console.splitlines()[:2]
    assert warning == "board: the 25 MHz crystal does not start; running at 16 MHz"
    assert slow.console.removeprefix(f"{warning}\n") == cycle.console
    assert banner.startswith("hello_world: ")
    assert [each.brightness for each in slow.inferences] == [
        each.brightness for each in cycle.inferences
    ]
    assert slow.screen == cycle.screen


def centre(inference: Inference) -> tuple[int, int]:
    """Return where upstream's program puts the dot, moved inwards where it would leave."""
    x = RADIUS + int(inference.x * (480 - 2 * RADIUS) / (2 * math.pi))
    y = RADIUS + int((272 - 2 * RADIUS) / 2 * (1 - inference.y))
    return min(max(x, RADIUS), 479 - RADIUS), min(max(y, RADIUS), 271 - RADIUS)


@pytest.mark.parametrize("inferences", [1, 2, 18, 36, 53, 70, 71])
def test_the_display_shows_one_dot_where_x_and_y_say(
    disco: Board, firmware: BuiltFirmware, tmp_path: Path, inferences: int
) -> None:
    (made,) = simulate_all([built(disco, firmware, tmp_path)], inferences)
    assert made.display == tmp_path / "display.png"
    with Image.open(made.display) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (480, 272))
        colours = {colour: count for count, colour in picture.getcolors() or []}
        dots = [(x, y) for y in range(272) for x in range(480) if picture.getpixel((x, y)) == DOT]
    assert colours == {GROUND: 480 * 272 - DOT_PIXELS, DOT: DOT_PIXELS}
    wanted = centre(made.result.inferences[-1])
    for axis in range(2):
        middle = sum(dot[axis] for dot in dots) / len(dots)
        assert middle == pytest.approx(wanted[axis], abs=1)


def built(board: Board, firmware: BuiltFirmware, folder: Path) -> CheckedFirmware:
    return CheckedFirmware(
        board=board,
        model=MODELS["sine_int8"],
        build_type="release",
        folder=folder,
        artifacts=(),
        image=firmware.hello_world.bin,
        elf=firmware.hello_world.elf,
        size=SizeReport(0, 0, 0, 0, 0, ()),
    )


def test_a_board_without_a_display_has_no_picture_of_it(
    board: Board, built_firmware: BuiltFirmware, tmp_path: Path
) -> None:
    (made,) = simulate_all([built(board, built_firmware, tmp_path)], 2)
    assert made.display is None
    assert not (tmp_path / "display.png").exists()


def test_every_input_gives_what_the_other_core_gives(
    disco: Board, board: Board, firmware: BuiltFirmware, built_firmware: BuiltFirmware
) -> None:
    passed = "~~~ALL TESTS PASSED~~~"
    here = run(disco, firmware.hello_world_test, until_text=passed)
    there = run(board, built_firmware.hello_world_test, until_text=passed)
    cases = parse_test_cases(here.console)
    assert [case.input for case in cases] == list(range(-128, 128))
    assert cases == parse_test_cases(there.console)


OVER_DRIVE = """\
  pwr::CR1_ODEN::Set(1);
  while (pwr::CSR1_ODRDY::Read() == 0) {
  }
  pwr::CR1_ODSWEN::Set(1);
  while (pwr::CSR1_ODSWRDY::Read() == 0) {
  }
"""
POLLED = "    while (usart1::ISR_TXE::Read() == 0) {\n    }\n"
CALL_OF_CLOCKS = "  if (has_crystal) RunAt216MHz();\n"
START_OF_CLOCKS = "  StartClocks();\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            BOARD_CC,
            "APB2ENR_USART1EN::Of(1) | ",
            "",
            r"USART1 was used while its clock is off, .*StartConsole",
        ),
        (
            BOARD_CC,
            "kWaitStates = 7",
            "kWaitStates = 0",
            r"switched to 216 MHz with 0 wait states of flash, .*RunAt216MHz",
        ),
        (BOARD_CC, OVER_DRIVE, "", r"the core was given 216 MHz, .*RunAt216MHz.*no over-drive"),
        (
            BOARD_CC,
            CALL_OF_CLOCKS,
            START_OF_CLOCKS + CALL_OF_CLOCKS,
            r"over-drive was switched to while GPIOA, .* is clocked, .*RunAt216MHz",
        ),
        (BOARD_CC, POLLED, "", r"before it was seen to be empty, .*BoardConsoleWrite"),
        (
            BOARD_CC,
            "DCKCFGR2_USART1SEL::Set(kUsartFromHsi)",
            "DCKCFGR2_USART1SEL::Set(0)",
            r"USART1 sends at 776,978 baud, .*PCLK2, 108 MHz",
        ),
        (
            BOARD_CC,
            "{A, 9, kUsart}",
            "{A, 9, kLcd}",
            r"reaches no pin, .*SetUpPins.*PA9 has function 14",
        ),
        (
            BOARD_CC,
            "CCSIDR_NUMSETS::Read() + 1",
            "CCSIDR_NUMSETS::Read()",
            r"data cache was enabled with 4 of its 128 lines .*EnableCaches",
        ),
        (
            BOARD_CC,
            "kOtherEighths = 0xC3",
            "kOtherEighths = 0xE3",
            r"cannot show the frame buffer .*DisplayInit.*data cache is on there",
        ),
        (
            BOARD_CC,
            "{G, 12, kLcdB4}",
            "{G, 12, kLcd}",
            r"the panel gets no picture, .*SetUpPins.*PG12 has function 14.*LTDC's B4 is 9",
        ),
        (
            BOARD_CC,
            "  CR1::Write(CR1_CEN::Of(1));\n",
            "",
            r"PI1 waits for transfers that TIM1 never asks for",
        ),
        (
            BOARD_CC,
            "compare == 0 ? 1 : compare",
            "compare",
            r"PI1 is set and cleared within 0 clocks of the core, .*BoardSetLed",
        ),
        (
            DISPLAY_CC,
            "kDisplayWidth, 32}",
            "kDisplayWidth, 31}",
            r"LTDC.TWCR is 0x0234011D, the panel needs 0x0235011D, .*DisplayInit",
        ),
        (
            DISPLAY_CC,
            "reinterpret_cast<uintptr_t>(g_frame_buffer)",
            "reinterpret_cast<uintptr_t>(&g_dot_x)",
            r"cannot show the frame buffer from 0x2000.*DisplayInit.*DTCM",
        ),
        (
            DISPLAY_CC,
            "PLLSAIR::Of(5)",
            "PLLSAIR::Of(7)",
            r"pixel clock is 6\.85\d* MHz, -28\.6% off, .*DisplayInit",
        ),
        (
            DISPLAY_CC,
            "  ltdc::SRCR::Write(ltdc::SRCR_IMR::Of(1));\n",
            "",
            r"LTDC\.L1CR was written and not taken over, .*DisplayInit",
        ),
        (
            DISPLAY_CC,
            "  gpio::At(gpio::K).BSRR = 1u << 3;   // its backlight\n",
            "",
            r"the panel is dark, .*PK3 is not an output that is high",
        ),
    ],
)
def test_a_broken_start_is_refused_by_the_name_of_its_fault(
    disco: Board,
    build_variant_for: BuildVariantFor,
    file: str,
    old: str,
    new: str,
    message: str,
) -> None:
    files = build_variant_for(disco, {file: (old, new)})
    with pytest.raises(SimulationFaultError, match=f"(?s){message}"):
        run(disco, files, inferences=20)


def test_startup_must_zero_the_rams_beside_the_stacks_too(
    disco: Board, build_variant_for: BuildVariantFor
) -> None:
    only_the_first = {"boards/common/startup.cc": ("++range", "range = __zero_table_end")}
    with pytest.raises(SimulationFaultError, match="colour number 165, which was never set"):
        run(disco, build_variant_for(disco, only_the_first), inferences=2)


def test_a_frame_buffer_beside_the_stack_does_not_link(
    disco: Board, build_variant_for: BuildVariantFor
) -> None:
    section = ' __attribute__((section(".bss.framebuffer")))'
    with pytest.raises(StepFailedError, match="overflowed by"):
        build_variant_for(disco, {DISPLAY_CC: (section, "")})
