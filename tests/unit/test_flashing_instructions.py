from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.flashing_support import DISCO, EDGE, NANO, file_of, host
from tests.unit.image_support import make_image
from toolchain.boards import Board, Package, board_names, find_board
from toolchain.commands.flash import FlashRequest, plan, prepare
from toolchain.console import PlainReporter, TerminalReporter
from toolchain.firmware.formats import file_name
from toolchain.flashing.instructions import Firmware, instructions
from toolchain.flashing.progress import shown_progress

BOARDS = Path(__file__).resolve().parents[2] / "boards"
INT8 = Firmware("hello_world", "sine_int8")
FLOAT = Firmware("hello_world", "sine_float", "--model sine_float")
ALL = [*(find_board(BOARDS, name) for name in board_names(BOARDS)), NANO, DISCO]


@pytest.mark.parametrize("board", ALL, ids=lambda board: board.name)
def test_the_instructions_name_every_file_step_and_page(board: Board) -> None:
    text = instructions(board, INT8)
    assert text.startswith(f"# Flashing {board.title}\n")
    assert "`sine_int8`" in text
    assert "--model" not in text
    for name in board.package.formats:
        assert f"`{file_name('hello_world', name)}`" in text
    for way in board.flashing:
        for step in way.steps:
            assert step in text
    for link in board.link:
        assert f"[{link.title}]({link.url})" in text
    assert f"./invoke flash --target {board.name}" in text
    assert f"{board.console.baud} baud" in text
    for led in board.led:
        assert led.name in text
    assert "None" not in text
    assert "{" not in text.replace("{{", "")


def test_each_way_has_its_own_command_where_there_are_several() -> None:
    text = instructions(DISCO, FLOAT)
    assert "--target made_up_disco --model sine_float --tool mass_storage`" in text
    assert "--target made_up_disco --model sine_float --tool openocd`" in text
    assert text.index("## By copying") < text.index("## Or by OpenOCD")
    assert "--tool" not in instructions(NANO, FLOAT)


@pytest.mark.parametrize(("board", "tool"), [(NANO, "bossac"), (DISCO, "openocd")])
def test_the_command_by_hand_is_the_one_that_flash_runs(
    board: Board, tool: str, tmp_path: Path
) -> None:
    for name in board.package.formats:
        (tmp_path / file_name("hello_world", name)).write_bytes(
            file_of(board, name, make_image(board))
        )
    job = prepare(FlashRequest(board, tmp_path, tool=tool), host(), dry_run=True)
    ran = shlex.split(plan(job)[-1].replace(str(job.file), job.file.name))
    written = re.search(rf"`({tool} .*?)`", instructions(board, INT8))
    assert written
    assert shlex.split(written[1]) == ran


@pytest.mark.parametrize("board", ALL, ids=lambda board: board.name)
def test_a_model_of_ones_own_has_files_and_console_of_its_own(board: Board) -> None:
    text = instructions(board, Firmware("model_runner", "mine", "--model mine.tflite"))
    assert "hello_world" not in text
    assert "sine" not in text
    assert f"./invoke flash --target {board.name} --model mine.tflite" in text
    assert f"`model_runner: board={board.name}`" in text
    assert "~~~ALL CASES EQUAL~~~" in text


def test_a_library_for_the_arduino_ide_has_its_own_steps() -> None:
    package = Package(formats=(*NANO.package.formats, "arduino_library"))
    text = instructions(NANO.model_copy(update={"package": package}), INT8)
    assert "Add .ZIP Library: `hello_world_arduino.zip`" in text
    assert "Arduino IDE" not in instructions(EDGE, INT8)


def test_progress_is_a_line_for_each_tenth_in_a_log() -> None:
    stream = io.StringIO()
    with shown_progress(PlainReporter(stream), "writing") as progress:
        for done in range(0, 1001, 7):
            progress(done, 1000)
        progress(1000, 1000)
    lines = stream.getvalue().splitlines()
    assert [re.findall(r"\d+ %", line) for line in lines] == [
        [f"{percent} %"] for percent in range(0, 101, 10)
    ]
    assert lines[-1].strip() == "writing: 100 % (1,000 bytes)"


def test_progress_of_nothing_is_complete() -> None:
    stream = io.StringIO()
    with shown_progress(PlainReporter(stream), "writing") as progress:
        progress(0, 0)
    assert "100 %" in stream.getvalue()


def test_progress_is_silent_when_asked() -> None:
    stream = io.StringIO()
    with shown_progress(TerminalReporter(stream), "writing", quiet=True) as progress:
        progress(1, 2)
    assert stream.getvalue() == ""


def test_progress_is_a_bar_on_a_terminal() -> None:
    code = (
        "from toolchain.console import TerminalReporter\n"
        "from toolchain.flashing.progress import shown_progress\n"
        "with shown_progress(TerminalReporter(), 'writing to it') as progress:\n"
        "    progress(50, 200)\n"
        "    progress(200, 200)\n"
    )
    master, slave = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=slave, env=environment, cwd=BOARDS.parent, check=False
    )
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 4096):
            shown += data
    except OSError:  # the terminal has gone with the program
        pass
    os.close(master)
    assert done.returncode == 0
    text = shown.decode()
    assert "writing to it" in text
    assert "200/200 bytes" in text
    assert "━" in text
