"""The commands that the boards' files and our command line give to Renode's monitor."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath

import pytest

from tests.unit.renode_support import BOARDS, platform_of, renode_folder
from toolchain.boards import Board
from toolchain.renode.monitor import monitor_problems
from toolchain.renode.run import renode_arguments

EDGE = BOARDS["sparkfun_edge"]
GIVEN = frozenset({"$bin", "$elf"})
every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


@every_board
@pytest.mark.parametrize("name", ["machine.resc", "run_bin.resc", "run_elf.resc"])
def test_the_scripts_of_a_board_are_what_the_monitor_takes(board: Board, name: str) -> None:
    text = (renode_folder(board) / name).read_text(encoding="utf-8")
    assert monitor_problems(text, platform_of(board), GIVEN) == ()


@every_board
@pytest.mark.parametrize("folder", ["/run/renode", "/a folder"])
def test_the_command_line_is_what_the_monitor_takes(board: Board, folder: str) -> None:
    arguments = renode_arguments(board, PurePosixPath(folder))
    line = "; ".join(value for option, value in pairwise(arguments) if option == "-e")
    assert line.count(";") == 4
    assert monitor_problems(line, platform_of(board)) == ()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("machine.resc", "mach create", "mach make", "mach takes 'create', string, not"),
        ("machine.resc", '"sparkfun_edge"', "sparkfun edge", "mach takes 'create', string, not"),
        ("machine.resc", "LoadPlatformDescription", "LoadPlatform", "no command is known for"),
        ("machine.resc", "$ORIGIN/", "$ORIGN/", "could not be cut into tokens at '/sparkfun"),
        ("machine.resc", "$ORIGIN/", "$ORIGIN/~", "no path after $ORIGIN at '/~sparkfun"),
        ("machine.resc", "sysbus.uart0", "sysbus.uart9", "sysbus.uart9 is no UART of the"),
        ("machine.resc", "sysbus.uart0", "sysbus.led_red", "sysbus.led_red is no UART of the"),
        ("run_bin.resc", "$bin 0x", "$binary 0x", "line 9: $binary is not set"),
        ("run_bin.resc", " 0x0000C000\n    sysbus.cpu", "\n    sysbus.cpu", "sysbus takes path,"),
        ("run_bin.resc", "sysbus.cpu", "sysbus.core", "no command is known for 'sysbus.core"),
        ("run_bin.resc", "VectorTableOffset 0", "VectorTableOfset 0", "no command is known for"),
        ("run_bin.resc", "runMacro $reset", "runMacro $restart", "$restart is not set"),
        ("run_bin.resc", "runMacro $reset", "runMacro reset", "runMacro takes variable, not"),
        ("run_bin.resc", "include ", "includes ", "no command is known for 'includes"),
        ("run_bin.resc", "runMacro", "$bin=12; runMacro", "$bin is not set to a path"),
        ("run_elf.resc", "LoadELF $elf", "LoadELF elf", "sysbus takes path, not 'elf'"),
    ],
)
def test_a_mistake_in_a_script_is_found(name: str, old: str, new: str, message: str) -> None:
    text = (renode_folder(EDGE) / name).read_text(encoding="utf-8")
    assert old in text
    found = monitor_problems(text.replace(old, new), platform_of(EDGE), GIVEN)
    assert any(message in problem for problem in found), found


def test_a_variable_must_be_given() -> None:
    text = (renode_folder(EDGE) / "run_bin.resc").read_text(encoding="utf-8")
    assert monitor_problems(text, platform_of(EDGE)) == ("line 9: $bin is not set",)
