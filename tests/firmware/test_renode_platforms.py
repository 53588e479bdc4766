"""The real firmwares on the memory maps of the boards' Renode platforms, and in Renode itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator import SimulationRequest, simulate
from tests.conftest import BuildFirmwareFor, BuiltFirmware
from tests.unit.renode_support import BOARDS, renode_folder, run_on_platform, unmet
from toolchain.boards import Board
from toolchain.commands.renode import require_same_console
from toolchain.errors import SimulatorUnavailableError
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.renode.program import VARIABLE, Program, find_renode
from toolchain.renode.robot import parse_robot
from toolchain.renode.run import RenodeRequest, run_in_renode

PASSED = "~~~ALL TESTS PASSED~~~"
INFERENCES = 1000

every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


@pytest.fixture(scope="module")
def built(build_firmware_for: BuildFirmwareFor) -> Callable[[Board], BuiltFirmware]:
    return lambda board: build_firmware_for(board, MODELS["sine_int8"])


@pytest.fixture(scope="module")
def renode(pins: Pins) -> Program:
    try:
        return find_renode(os.environ, pins)
    except SimulatorUnavailableError as error:
        pytest.skip(f"not run: {error.what}; {VARIABLE} can name it")


@every_board
def test_scripts_serve_the_firmware_and_show_its_leds(
    board: Board, built: Callable[[Board], BuiltFirmware]
) -> None:
    files = built(board).hello_world
    image = files.bin.read_bytes()
    strict = simulate(SimulationRequest(board, image, files.elf, inferences=INFERENCES))
    left = iter(range(INFERENCES))
    shown = run_on_platform(
        board, image, lambda line: line.startswith("x_value") and next(left) == INFERENCES - 1
    )
    assert "".join(f"{each.line}\n" for each in shown) == strict.console
    lit = [each.brightness for each in shown if each.line.startswith("x_value")]
    assert len(lit) == INFERENCES
    for inference, brightness in zip(strict.inferences, lit, strict=True):
        for name, level in inference.brightness.items():
            assert brightness.get(name, 0.0) == pytest.approx(level, abs=1e-9)
    assert {name for each in lit for name in each} == {led.name for led in board.led}
    # What the board's tests for Renode wait for comes about, in their order; the firmware would go
    # on with the same inputs once more.
    twice = [*shown, *(each for each in shown if each.line.startswith("x_value"))]
    robot = parse_robot((renode_folder(board) / f"{board.name}.robot").read_text(encoding="utf-8"))
    for name, steps in robot.tests.items():
        if steps[0].arguments == ("${BIN}",):
            assert unmet(robot, name, twice) == "", name


@every_board
def test_what_the_robot_test_waits_for_of_the_firmwares_own_test_comes(
    board: Board, built: Callable[[Board], BuiltFirmware]
) -> None:
    image = built(board).hello_world_test.bin.read_bytes()
    shown = run_on_platform(board, image, lambda line: PASSED in line)
    robot = parse_robot((renode_folder(board) / f"{board.name}.robot").read_text(encoding="utf-8"))
    (name,) = (
        each for each, steps in robot.tests.items() if steps[0].arguments == ("${TEST_BIN}",)
    )
    assert unmet(robot, name, shown) == ""


@every_board
def test_renode_sends_what_the_simulator_sends(
    board: Board, built: Callable[[Board], BuiltFirmware], renode: Program
) -> None:
    files = built(board)
    for program, results, text in (
        (files.hello_world, INFERENCES, None),
        (files.hello_world_test, None, PASSED),
    ):
        image = program.bin.read_bytes()
        there = run_in_renode(
            renode, RenodeRequest(board, renode_folder(board), image, results, text)
        )
        here = simulate(SimulationRequest(board, image, program.elf, results, text))
        assert require_same_console(program.bin.name, here.console, there.console) > 1000
        if results is not None:
            assert there.brightness.keys() == {led.name for led in board.led}


@every_board
def test_the_robot_test_of_the_board_passes(
    board: Board, built: Callable[[Board], BuiltFirmware], renode: Program, tmp_path: Path
) -> None:
    beside = Path(renode.path).resolve().with_name("renode-test")
    robot = shutil.which("renode-test") or (str(beside) if beside.is_file() else None)
    if robot is None or renode.image:
        pytest.skip("not run: there is no program 'renode-test' beside Renode")
    files = built(board)
    done = subprocess.run(
        [
            *(robot, "--variable", f"BIN:{files.hello_world.bin}"),
            *("--variable", f"TEST_BIN:{files.hello_world_test.bin}"),
            *("-r", str(tmp_path), str(renode_folder(board) / f"{board.name}.robot")),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    said = done.stdout + done.stderr
    if "ModuleNotFoundError" in said:
        pytest.skip("not run: renode-test has not all of its Python packages")
    assert done.returncode == 0, said
