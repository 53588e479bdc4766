"""The real firmware of the Arduino Nano 33 BLE, on the simulated chip."""

from __future__ import annotations

import struct

import pytest

from simulator import SimulationResult
from simulator.console import parse_test_cases
from tests.conftest import BuildFirmwareFor, BuildVariantFor, BuiltFirmware, FirmwareFiles
from tests.firmware.simulated_support import run, single
from toolchain.boards import Board, find_board
from toolchain.errors import SimulationFaultError
from toolchain.firmware.elf import ram_used, read_firmware_elf
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.pipeline import Pipeline

BOARD_CC = "boards/arduino_nano_33_ble/board.cc"


@pytest.fixture(scope="module")
def nano(layout: Layout) -> Board:
    return find_board(layout.boards, "arduino")


@pytest.fixture(scope="module")
def firmware(nano: Board, build_firmware_for: BuildFirmwareFor) -> BuiltFirmware:
    return build_firmware_for(nano, MODELS["sine_int8"])


@pytest.fixture(scope="module")
def cycle(nano: Board, firmware: BuiltFirmware) -> SimulationResult:
    """One period of the sine."""
    return run(nano, firmware.hello_world, inferences=1000)


def upstream_brightness(y: float) -> int:
    return min(255, max(0, int(single(127.5 * single(y + 1)))))


def test_the_image_starts_where_the_bootloader_looks(firmware: BuiltFirmware) -> None:
    image = firmware.hello_world.bin.read_bytes()
    stack_pointer, reset = struct.unpack_from("<II", image)
    assert stack_pointer == 0x2004_0000
    assert reset & 1
    assert 0x1_0100 <= reset < 0x1_0000 + len(image)


def test_the_release_firmware_is_small(nano: Board, firmware: BuiltFirmware) -> None:
    files = firmware.hello_world
    assert files.bin.stat().st_size <= 20 * 1024
    assert ram_used(nano, read_firmware_elf(files.elf.read_bytes())) <= 6 * 1024


def test_the_banner_names_board_and_model(cycle: SimulationResult) -> None:
    banner = cycle.console.splitlines()[0]
    assert banner.startswith("hello_world: board=arduino_nano_33_ble model=sine_int8 type=int8 ")


def test_the_led_follows_the_sine_as_upstream_writes_it(cycle: SimulationResult) -> None:
    assert len(cycle.inferences) == 1000
    assert cycle.inferences[999].x > 6.27
    shown = [each.brightness for each in cycle.inferences]
    expected = [{"builtin": upstream_brightness(each.y) / 255} for each in cycle.inferences]
    assert shown == expected
    levels = {each["builtin"] for each in shown}
    assert min(levels) < 0.1
    assert max(levels) > 0.9


def test_every_input_gives_what_the_other_board_gives(
    nano: Board, board: Board, firmware: BuiltFirmware, built_firmware: BuiltFirmware
) -> None:
    passed = "~~~ALL TESTS PASSED~~~"
    here = run(nano, firmware.hello_world_test, until_text=passed)
    there = run(board, built_firmware.hello_world_test, until_text=passed)
    cases = parse_test_cases(here.console)
    assert [case.input for case in cases] == list(range(-128, 128))
    assert cases == parse_test_cases(there.console)


def test_the_float_model_runs_too(nano: Board, build_firmware_for: BuildFirmwareFor) -> None:
    files = build_firmware_for(nano, MODELS["sine_float"]).hello_world
    result = run(nano, files, inferences=50)
    assert "type=float" in result.console.splitlines()[0]
    expected = [{"builtin": upstream_brightness(each.y) / 255} for each in result.inferences]
    assert [each.brightness for each in result.inferences] == expected


def test_both_boards_of_the_core_share_library_and_interpreter(
    pipeline: Pipeline, nano: Board, board: Board
) -> None:
    model = MODELS["sine_int8"]
    assert pipeline.firmwares.library(nano, "release") == pipeline.firmwares.library(
        board, "release"
    )
    compiled = [pipeline.firmwares.interpreter(each, model, "release") for each in (nano, board)]
    assert compiled[0] == compiled[1]
    steps = pipeline.firmware_steps([nano, board], [model], "release")
    verbs = [step.name.split()[0] for step in steps]
    assert [verbs.count(verb) for verb in ("library", "interpreter", "firmware")] == [1, 1, 2]


TX_OUTPUT = "  Tx::PIN_CNF::Write(Tx::PIN_CNF_DIR::Of(gpio::kOutput) |"
POINTER = "uarte0::TXD_PTR::WriteWord(reinterpret_cast<uintptr_t>(halves_[filling_]));"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            POINTER,
            "static const uint8_t kText[64] = {'x'};\n"
            "uarte0::TXD_PTR::WriteWord(reinterpret_cast<uintptr_t>(kText));",
            r"EasyDMA was pointed at flash: UARTE0.TXD.PTR is 0x0001[0-9A-F]{4}, at .*Send",
        ),
        ("PSEL_TXD_PIN::Of(3)", "PSEL_TXD_PIN::Of(4)", r"enabled with P1.04 .*StartConsole"),
        (TX_OUTPUT, TX_OUTPUT.replace("gpio::kOutput", "0"), r"P1.03 is not an output.*StartConso"),
        (
            "  ENABLE::Write(ENABLE_ENABLE::Of(kEnabled));\n",
            "",
            r"started while UARTE0 is not enabled.*Send",
        ),
        (
            "    uarte0::EVENTS_ENDTX::WriteWord(event::kNotYet);\n",
            "",
            r"started while one runs, at .*Send.*\n.*left set by the transmission before",
        ),
        (
            "    using Pin = gpio::Pin<13>;",
            "    using Pin = gpio::Pin<14>;",
            r"PWM0 drives P0.13, w",
        ),
    ],
)
def test_a_firmware_that_breaks_a_rule_is_stopped_where_it_does(
    nano: Board, build_variant_for: BuildVariantFor, old: str, new: str, message: str
) -> None:
    files = build_variant_for(nano, {BOARD_CC: (old, new)})
    with pytest.raises(SimulationFaultError, match=message) as caught:
        run(nano, files, inferences=2)
    assert f"({BOARD_CC}:" in caught.value.what


def lit(board: Board, files: FirmwareFiles) -> list[float]:
    result = run(board, files, inferences=5)
    return [each.brightness["builtin"] for each in result.inferences]


def test_a_led_whose_sequence_is_never_started_is_dark(
    nano: Board, build_variant_for: BuildVariantFor, firmware: BuiltFirmware
) -> None:
    start = "    pwm0::TASKS_SEQSTART0::WriteWord(task::kStart);\n"
    assert min(lit(nano, firmware.hello_world)) > 0.3
    assert set(lit(nano, build_variant_for(nano, {BOARD_CC: (start, "")}))) == {0.0}


def test_without_a_crystal_the_firmware_goes_on(
    nano: Board, build_variant_for: BuildVariantFor, firmware: BuiltFirmware
) -> None:
    start = "  clock::TASKS_HFCLKSTART::WriteWord(task::kStart);\n"
    without = run(nano, build_variant_for(nano, {BOARD_CC: (start, "")}), inferences=2)
    usual = run(nano, firmware.hello_world, inferences=2)
    assert without.console == usual.console
    assert 20_000 < without.instructions - usual.instructions < 200_000
