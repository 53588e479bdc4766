"""The real firmware of the SparkFun Edge, and firmwares with one mistake in them, simulated."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import Inference, SimulationResult
from simulator.console import parse_test_cases
from tests.conftest import BuildVariant, BuiltFirmware, FirmwareFiles
from tests.firmware.simulated_support import run, single
from toolchain.boards import Board
from toolchain.errors import SimulationFaultError
from toolchain.layout import Layout

INFERENCES = 1000
PWM_STEP = 1 / 12_000
BOARD = "boards/sparkfun_edge/board.cc"
REGISTERS = "boards/sparkfun_edge/registers.h"
STARTUP = "boards/common/startup.cc"
MEMORY = "boards/sparkfun_edge/generated/memory.ld"
MAIN = "tflm/hello_world/main_functions.cc"


@pytest.fixture(scope="module")
def simulated(board: Board, built_firmware: BuiltFirmware) -> SimulationResult:
    return run(board, built_firmware.hello_world, inferences=INFERENCES)


def test_the_firmware_boots_and_prints_its_banner(simulated: SimulationResult) -> None:
    banner, first, *_ = simulated.console.splitlines()
    match = re.fullmatch(
        r"hello_world: board=sparkfun_edge model=sine_int8 type=int8 arena=(\d+)/(\d+)", banner
    )
    assert match is not None, banner
    assert 0 < int(match[1]) <= int(match[2])
    assert first.startswith("x_value: ")


def test_a_thousand_inferences_go_through_one_period(simulated: SimulationResult) -> None:
    assert len(simulated.inferences) == INFERENCES
    assert len(simulated.console.splitlines()) == INFERENCES + 1
    period = single(2 * math.pi)
    for index, inference in enumerate(simulated.inferences):
        assert inference.x == single(single(index / INFERENCES) * period)
        assert abs(inference.y - math.sin(inference.x)) < 0.12
        assert inference.raw_in is not None
        assert inference.raw_out is not None


def test_the_period_begins_again(board: Board, built_firmware: BuiltFirmware) -> None:
    longer = run(board, built_firmware.hello_world, inferences=INFERENCES + 3)
    again = [(each.x_bits, each.y_bits, each.brightness) for each in longer.inferences[INFERENCES:]]
    assert again == [(e.x_bits, e.y_bits, e.brightness) for e in longer.inferences[:3]]


def test_every_run_executes_the_same_instructions(
    board: Board, built_firmware: BuiltFirmware, simulated: SimulationResult
) -> None:
    assert run(board, built_firmware.hello_world, inferences=INFERENCES) == simulated
    assert simulated.counted == "invoke"
    counts = [inference.instructions for inference in simulated.inferences]
    assert 3_000 < min(counts) <= max(counts) < 12_000
    assert sum(counts) < simulated.instructions


def test_an_inference_with_the_same_input_takes_the_same_instructions(
    simulated: SimulationResult,
) -> None:
    counts: dict[int | None, set[int]] = {}
    for inference in simulated.inferences:
        counts.setdefault(inference.raw_in, set()).add(inference.instructions)
    assert all(len(each) == 1 for each in counts.values())
    assert len(counts) > 200


def test_both_counters_count_the_same(board: Board, built_firmware: BuiltFirmware) -> None:
    native, python = (
        run(board, built_firmware.hello_world, inferences=3, native_counter=native)
        for native in (True, False)
    )
    assert native == python


def expected_brightness(inference: Inference) -> dict[str, float]:
    y = inference.y
    below, above = max(-y, 0.0), max(y, 0.0)
    return {
        "red": below if below >= 0.75 else 0.0,
        "blue": below,
        "green": above,
        "yellow": above if above >= 0.75 else 0.0,
    }


def test_the_leds_are_as_bright_as_the_sine(simulated: SimulationResult) -> None:
    for inference in simulated.inferences:
        for name, expected in expected_brightness(inference).items():
            seen = inference.brightness[name]
            assert abs(seen - min(expected, 1.0)) <= PWM_STEP, (name, inference)
            # What is dark is dark altogether: no short pulse remains.
            assert (seen == 0.0) == (expected < PWM_STEP / 2), (name, inference)


def test_each_led_shines_in_its_part_of_the_period(simulated: SimulationResult) -> None:
    lit = {
        name: [index for index, each in enumerate(simulated.inferences) if each.brightness[name]]
        for name in ("red", "blue", "green", "yellow")
    }
    assert max(lit["green"]) < min(lit["blue"])
    assert set(lit["yellow"]) < set(lit["green"])
    assert set(lit["red"]) < set(lit["blue"])
    assert all(simulated.inferences[index].y >= 0.75 for index in lit["yellow"])
    assert all(simulated.inferences[index].y <= -0.75 for index in lit["red"])
    assert min(map(len, lit.values())) > 100


def test_without_the_elf_the_console_and_the_leds_are_the_same(
    board: Board, built_firmware: BuiltFirmware, simulated: SimulationResult
) -> None:
    bare = run(board, built_firmware.hello_world, inferences=INFERENCES, with_elf=False)
    assert bare.console == simulated.console
    assert bare.instructions == simulated.instructions
    assert bare.counted == "line"
    for one, other in zip(bare.inferences, simulated.inferences, strict=True):
        assert (one.x_bits, one.y_bits) == (other.x_bits, other.y_bits)
        assert one.brightness == other.brightness
        assert one.instructions > other.instructions


def test_the_test_firmware_prints_every_input_and_passes(
    board: Board, built_firmware: BuiltFirmware, simulated: SimulationResult
) -> None:
    result = run(board, built_firmware.hello_world_test, until_text="~~~ALL TESTS PASSED~~~")
    assert result.console.startswith("hello_world_test: board=sparkfun_edge model=sine_int8 ")
    assert result.console.endswith("~~~ALL TESTS PASSED~~~\n")
    cases = parse_test_cases(result.console)
    assert [case.input for case in cases] == list(range(-128, 128))
    outputs = {case.input: case.output for case in cases}
    for inference in simulated.inferences:
        assert inference.raw_in is not None
        assert outputs[inference.raw_in] == inference.raw_out


def test_the_test_firmware_halts_after_its_verdict(
    board: Board, built_firmware: BuiltFirmware
) -> None:
    with pytest.raises(SimulationFaultError) as caught:
        run(board, built_firmware.hello_world_test, until_text="something else")
    assert "the core sleeps (wfe)" in caught.value.what
    assert "BoardHalt" in caught.value.what
    assert "the console said last: ~~~ALL TESTS PASSED~~~" in caught.value.why


@dataclass(frozen=True)
class Mistake:
    """One mistake in the firmware's sources.

    Attributes:
        file: in the workspace; ``old`` is replaced by ``new`` there.
        cause: what the message must say, a regular expression.
        function: that the message must name.
        source: file and a piece of the line that the message must name; nothing: any line, in a
            file of the pinned tree.
    """

    file: str
    old: str
    new: str
    cause: str
    function: str
    source: tuple[str, str]


MISTAKES = {
    "the address of UART0 is wrong": Mistake(
        REGISTERS,
        "constexpr uint32_t kBase = 0x4001C000;",
        "constexpr uint32_t kBase = 0x4001E000;",
        r"4 bytes were written to 0x4001E030.*nothing is at this address",
        "StartConsole",
        (BOARD, "CR::WriteWord(0);"),
    ),
    "the address of a clock register is wrong": Mistake(
        REGISTERS,
        "using CCTRL = Register<kBase + 0x18>;",
        "using CCTRL = Register<kBase + 0x1C>;",
        r"write to 0x4000401C, offset 0x1C of CLKGEN, where no register is modelled",
        "RunAt48MHz",
        (BOARD, "clkgen::CCTRL::Write"),
    ),
    "the floating-point unit is not enabled": Mistake(
        STARTUP,
        "CpacrCp10::Of(kFullAccess) | CpacrCp11::Of(kFullAccess)",
        "CpacrCp10::Of(0) | CpacrCp11::Of(0)",
        r"a floating-point instruction ran while the floating-point unit is off",
        "GetQuantizedConvolutionMultipler",
        ("tensorflow/lite/kernels/kernel_util.cc", ""),
    ),
    "UART0 has no power": Mistake(
        BOARD,
        "pwrctrl::DEVPWREN_PWRUART0::Set(1);",
        "",
        r"waits for ever on PWRCTRL.DEVPWRSTATUS.*no device is switched on in PWRCTRL.DEVPWREN",
        "StartConsole",
        (BOARD, "while (pwrctrl::DEVPWRSTATUS_HCPA::Read() == 0)"),
    ),
    "the pads stay locked": Mistake(
        BOARD,
        "PadsUnlocked() { gpio::PADKEY::Write(gpio::PADKEY_PADKEY::Of(gpio::kKey)); }",
        "PadsUnlocked() {}",
        r"GPIO.PADREGM was written while the pads are locked",
        "StartConsole",
        (BOARD, "Tx::PADREG::Change("),
    ),
    "the timer outputs stay off": Mistake(
        BOARD,
        "gpio::CtOutputDisable<kOutput>::Set(0);",
        "",
        r"pad \d\d was given to timer output CT2\d, which is switched off.*"
        r"clear bit 2\d of GPIO.CTENCFG",
        "Start",
        (BOARD, "Pad::PADREG::Change("),
    ),
    "the baud rate is wrong": Mistake(
        BOARD,
        "(24000000 * 4 + BOARD_BAUD / 2) / BOARD_BAUD",
        "(24000000 * 2 + BOARD_BAUD / 2) / BOARD_BAUD",
        r"UART0 sends at 230,\d+ baud, \+\d+\.\d% off 115,200",
        "BoardConsoleWrite",
        (BOARD, "uart0::DR::Write("),
    ),
    "a local variable is larger than the stack": Mistake(
        MAIN,
        "void loop() {\n",
        "void loop() {\n"
        "  volatile char history[9000];\n"
        "  history[0] = 1;\n"
        "  if (history[0] == 0) return;\n",
        r"the stack overflowed: its pointer is \d{4} bytes below its top",
        "loop",
        (MAIN, "void loop() {"),
    ),
    "a function calls itself for ever": Mistake(
        MAIN,
        "void loop() {\n",
        "int g_depth = 0;\n"
        "__attribute__((noinline)) int Deeper(int depth) {\n"
        "  if (depth == 1000000) return depth;\n"
        "  g_depth = depth;\n"
        "  return Deeper(depth + 1) + g_depth;\n"
        "}\n\n"
        "void loop() {\n  Deeper(0);\n",
        r"the stack overflowed.*deep calls",
        "Deeper",
        (MAIN, "int Deeper(int depth) {"),
    ),
    "a constant is written": Mistake(
        MAIN,
        "  BoardInit();\n",
        "  BoardInit();\n  const_cast<int&>(kInferencesPerCycle) = 500;\n",
        r"4 bytes were written to flash at 0x000[01][0-9A-F]{4}.*lost its const",
        "setup",
        (MAIN, "const_cast<int&>"),
    ),
}


def fault_of(board: Board, files: FirmwareFiles) -> SimulationFaultError:
    with pytest.raises(SimulationFaultError) as caught:
        run(board, files, inferences=20)
    return caught.value


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_cause_its_function_and_its_line(
    name: str, board: Board, build_variant: BuildVariant, layout: Layout
) -> None:
    mistake = MISTAKES[name]
    error = fault_of(board, build_variant({mistake.file: (mistake.old, mistake.new)}))
    assert re.search(mistake.cause, str(error), re.DOTALL), error
    assert re.search(rf"\b{mistake.function}\b", error.what), error
    file, piece = mistake.source
    if not piece:
        assert re.search(rf"\({re.escape(file)}:\d+\)", error.what), error
        return
    source = (layout.project / Path(file)).read_text()
    if file == mistake.file:
        source = source.replace(mistake.old, mistake.new, 1)
    lines = [number for number, line in enumerate(source.splitlines(), 1) if piece in line]
    assert lines, piece
    assert any(f"({file}:{line})" in error.what for line in lines), error


def test_a_stack_pointer_that_the_bootloader_refuses_is_refused(
    board: Board, build_variant: BuildVariant
) -> None:
    old, new = "__initial_stack_pointer = 0x1005FFF8", "__initial_stack_pointer = 0x10060000"
    error = fault_of(board, build_variant({MEMORY: (old, new)}))
    assert "the initial stack pointer, is 0x10060000, at 0x0000C000" in error.what
    assert "the Apollo3 secure bootloader refuses" in error.why
    assert "use 0x1005FFF8 or lower" in error.next_step
