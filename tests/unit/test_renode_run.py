"""How a Renode is found, started, listened to and ended: by a stand-in that takes our command line.

Renode itself runs in tests/firmware/test_renode_platforms.py, where it is. The stand-in knows
nothing of firmwares: it writes what a test gives it to the file that it is told to write to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.commands_support import EDGE, INT8_PAIRS, x_value_line
from tests.unit.renode_stand_in import SPEAK, STUBBORN, UNTIL_QUIT, Start, stand_in
from tests.unit.renode_support import PROJECT, renode_folder
from toolchain.commands.renode import require_same_console
from toolchain.errors import (
    SimulationIncompleteError,
    SimulatorUnavailableError,
    UsageError,
    VerificationError,
)
from toolchain.pins import PINS_FILE, load_pins
from toolchain.renode.program import Program, build_arguments, find_renode, image_name
from toolchain.renode.run import RenodeRequest, renode_arguments, run_in_renode

PINS = load_pins(PROJECT / PINS_FILE)
BANNER = "hello_world: a tiny one\r\n"
LINES = [x_value_line(*pair) for pair in list(INT8_PAIRS.items())[:5]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    return stand_in(tmp_path, monkeypatch)


def processes(tmp_path: Path) -> list[int]:
    return [int(line.split()[0]) for line in (tmp_path / "notes").read_text().splitlines()]


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def request(results: int | None = None, text: str | None = None) -> RenodeRequest:
    return RenodeRequest(EDGE, renode_folder(EDGE), b"an image", results, text, limit_seconds=30.0)


def test_a_run_ends_after_so_many_results_and_the_rest_is_left_out(
    start: Start, tmp_path: Path
) -> None:
    program = start(SPEAK + UNTIL_QUIT, BANNER + "".join(LINES) + "half a li")
    result = run_in_renode(program, request(results=3))
    assert result.console == (BANNER + "".join(LINES[:3])).encode()
    assert result.text == result.console.decode().replace("\r\n", "\n")
    assert [line.raw_in for line in result.results] == list(INT8_PAIRS)[:3]
    assert result.brightness == {"red": (0.25, 0.75)}
    (line,) = (tmp_path / "notes").read_text().splitlines()
    assert line.split()[1] == b"an image".hex()
    assert not any(is_running(each) for each in processes(tmp_path))


def test_a_run_ends_at_a_text(start: Start) -> None:
    program = start(SPEAK + UNTIL_QUIT, "test: in=1 out=2\r\n~~~ALL TESTS PASSED~~~\r\nmore\r\n")
    result = run_in_renode(program, request(text="~~~"))
    assert result.text.splitlines() == ["test: in=1 out=2", "~~~ALL TESTS PASSED~~~"]


def test_cases_are_counted_as_results(start: Start) -> None:
    program = start(SPEAK + UNTIL_QUIT, "case 0 equal: 0b1c\r\ncase 1 different: 2d 00\r\n")
    result = run_in_renode(program, request(results=2))
    assert [(case.number, case.equal, case.outputs) for case in result.cases] == [
        (0, True, (b"\x0b\x1c",)),
        (1, False, (b"\x2d", b"\x00")),
    ]


def test_what_does_not_end_is_ended_with_all_that_it_started(start: Start, tmp_path: Path) -> None:
    program = start(SPEAK + STUBBORN, BANNER + LINES[0])
    assert len(run_in_renode(program, request(results=1)).results) == 1
    started = processes(tmp_path)
    deadline = time.monotonic() + 20
    while any(is_running(each) for each in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started
    assert not any(is_running(each) for each in started)


def test_a_run_that_takes_too_long_is_given_up(start: Start, tmp_path: Path) -> None:
    program = start(SPEAK + UNTIL_QUIT, BANNER)
    with pytest.raises(SimulationIncompleteError) as caught:
        run_in_renode(program, replace(request(results=2), limit_seconds=1.0))
    assert str(caught.value).startswith("1 s in Renode went by without 2 lines with a result")
    assert not any(is_running(each) for each in processes(tmp_path))


def test_a_renode_that_ends_by_itself_is_an_error_with_its_last_words(start: Start) -> None:
    program = start("print('No such file: libmono')\nsys.exit(3)")
    with pytest.raises(SimulatorUnavailableError) as caught:
        run_in_renode(program, request(results=1))
    assert "exit code 3" in str(caught.value)
    assert "No such file: libmono" in str(caught.value)
    assert "--simulator unicorn" in str(caught.value)


def test_what_was_sent_before_renode_ended_still_counts(start: Start) -> None:
    program = start(SPEAK, BANNER + LINES[0])
    assert len(run_in_renode(program, request(results=1)).results) == 1


def test_a_command_that_renode_refuses_ends_the_run_at_once(start: Start) -> None:
    words = "There was an error executing command 'include @run_bin.resc'"
    program = start(
        f'print("{words}", "Error E25: no constructor", sep="\\n", flush=True)' + UNTIL_QUIT
    )
    with pytest.raises(SimulationIncompleteError, match="Error E25: no constructor"):
        run_in_renode(program, request(results=1))


def test_a_core_that_renode_halts_ends_the_run_at_once(start: Start) -> None:
    words = "[ERROR] cpu: PC does not lay in memory or PC and SP are equal to zero. CPU was halted."
    program = start(f'print("{words}", flush=True)' + UNTIL_QUIT)
    with pytest.raises(SimulationIncompleteError, match="the core was halted") as caught:
        run_in_renode(program, request(results=1))
    assert "PC does not lay in memory" in str(caught.value)


def test_a_firmware_that_stops_itself_and_a_line_that_cannot_be_read_end_the_run(
    start: Start,
) -> None:
    for said, message in (
        ("error: exception 0x00000003 at 0x0000c100", "the firmware stopped itself: exception"),
        ("x_value: nonsense", "a line that cannot be read"),
    ):
        program = start(SPEAK + UNTIL_QUIT, f"{BANNER}{said}\r\n")
        with pytest.raises(SimulationIncompleteError, match=message):
            run_in_renode(program, request(results=1))


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "renode"
    program.write_bytes(b"\x7fELFnothing")
    program.chmod(0o755)
    with pytest.raises(SimulatorUnavailableError, match="cannot be started"):
        run_in_renode(Program(str(program)), request(results=1))


def test_a_run_needs_one_end() -> None:
    for results, text in ((None, None), (1, "~~~"), (0, None), (None, "")):
        with pytest.raises(UsageError):
            request(results, text)


# Finding it


def program_in(folder: Path, name: str, text: str = "exit 0") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_renode_is_what_its_variable_names_then_what_is_on_the_path(tmp_path: Path) -> None:
    there = program_in(tmp_path / "bin", "renode")
    other = program_in(tmp_path / "other", "renode")
    path = {"PATH": str(tmp_path / "bin")}
    assert find_renode({**path, "RENODE": str(other)}, PINS) == Program(str(other))
    assert find_renode(path, PINS) == Program(str(there))


def test_a_variable_that_names_nothing_is_an_error_even_with_one_on_the_path(
    tmp_path: Path,
) -> None:
    program_in(tmp_path / "bin", "renode")
    environ = {"PATH": str(tmp_path / "bin"), "RENODE": str(tmp_path / "missing")}
    with pytest.raises(SimulatorUnavailableError, match="which is no program"):
        find_renode(environ, PINS)


HAS_THE_IMAGE = f'[ "$1" = info ] || {{ [ "$5" = {image_name(PINS)} ] && echo sha256:1; }}'


def test_the_image_is_taken_where_an_engine_has_it(tmp_path: Path) -> None:
    client = program_in(tmp_path / "bin", "docker", HAS_THE_IMAGE)
    found = find_renode({"PATH": str(tmp_path / "bin")}, PINS)
    assert found == Program(str(client), image_name(PINS))
    command = found.command(tmp_path, "renode-1")
    assert command[:2] == (str(client), "run")
    assert command[-1] == image_name(PINS)
    assert f"{tmp_path}:/run/renode" in command
    assert command[command.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert found.seen(tmp_path) == PurePosixPath("/run/renode")
    assert found.removal("renode-1") == (str(client), "rm", "--force", "renode-1")


def test_the_image_is_found_in_a_rootless_engine_that_only_this_project_looks_for(
    tmp_path: Path,
) -> None:
    socket = tmp_path / "docker.sock"
    socket.touch()
    only_there = f'[ "$1 $2" = "--host unix://{socket}" ] || exit 1; shift 2\n'
    text = only_there + '[ "$1" = info ] && echo "[name=seccomp name=rootless]"\n' + HAS_THE_IMAGE
    client = program_in(tmp_path / "bin", "docker", text)
    environ = {"PATH": str(tmp_path / "bin"), "XDG_RUNTIME_DIR": str(tmp_path)}
    found = find_renode(environ, PINS)
    assert found == Program(str(client), image_name(PINS), f"unix://{socket}", rootless=True)
    command = found.command(tmp_path, "renode-1")
    assert command[:4] == (str(client), "--host", f"unix://{socket}", "run")
    assert command[command.index("--user") + 1] == "0:0"
    removal = (str(client), "--host", f"unix://{socket}", "rm", "--force", "renode-1")
    assert found.removal("renode-1") == removal


@pytest.mark.parametrize("name", ["renode", "docker"])
@pytest.mark.parametrize("path", ["bin", "./bin", "missing:../{folder}/bin"])
def test_a_program_on_a_relative_path_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    (tmp_path / "bin").mkdir()
    program_in(tmp_path / "bin", name, "echo something")
    monkeypatch.chdir(tmp_path)
    found = find_renode({"PATH": path.format(folder=tmp_path.name)}, PINS)
    assert Path(found.path).is_absolute()
    assert Path(found.path).samefile(tmp_path / "bin" / name)


@pytest.mark.parametrize("missing", ["machine.resc", "run_bin.resc", f"{EDGE.name}.repl"])
def test_a_missing_file_of_a_board_is_named_before_anything_starts(
    start: Start, tmp_path: Path, missing: str
) -> None:
    folder = tmp_path / "a_board" / "renode"
    shutil.copytree(renode_folder(EDGE), folder)
    (folder / missing).unlink()
    program = start(SPEAK + UNTIL_QUIT, BANNER)
    with pytest.raises(UsageError) as caught:
        run_in_renode(program, replace(request(results=1), folder=folder))
    assert f"lacks {missing}" in caught.value.what
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize("docker", [None, "exit 1", "echo no daemon >&2; exit 125"])
def test_without_any_there_is_one_clear_error(tmp_path: Path, docker: str | None) -> None:
    (tmp_path / "bin").mkdir()
    if docker is not None:
        program_in(tmp_path / "bin", "docker", docker)
    with pytest.raises(SimulatorUnavailableError) as caught:
        find_renode({"PATH": str(tmp_path / "bin")}, PINS)
    assert caught.value.exit_code == 39
    assert "--simulator unicorn" in str(caught.value)
    assert PINS.renode.version in str(caught.value)
    reason = "no 'docker' on PATH" if docker is None else "reaches has the image"
    assert reason in str(caught.value)


@pytest.mark.parametrize("option", ["--simulator", "--engine"])
@pytest.mark.parametrize("task", ["simulate", "verify"])
def test_the_commands_say_so_before_they_build_anything(
    task: str, option: str, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "invoke",
            task,
            "--target",
            "sparkfun_edge",
            option,
            "renode",
        ],
        cwd=PROJECT,
        env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 39, done.stderr
    assert done.stderr.startswith("error: Renode is not on this computer\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_renodes_arguments_name_every_file_where_renode_sees_it() -> None:
    arguments = renode_arguments(EDGE, PurePosixPath("/run/renode"))
    files = re.findall(r"/run/renode/([\w.]+)", " ".join(arguments))
    assert files == ["renode.config", "renode.log", "image.bin", "run_bin.resc", "console.txt"]


def test_a_space_in_a_path_is_escaped_for_the_monitor() -> None:
    arguments = renode_arguments(EDGE, PurePosixPath("/my tmp/a"))
    assert "include @/my\\ tmp/a/run_bin.resc" in arguments
    assert arguments[arguments.index("--config") + 1] == "/my tmp/a/renode.config"


def test_a_console_that_no_platform_has_is_an_error(start: Start) -> None:
    console = EDGE.console.model_copy(update={"peripheral": "UART7"})
    board = EDGE.model_copy(update={"console": console})
    with pytest.raises(UsageError, match="console of SparkFun Edge, UART7"):
        renode_arguments(board, PurePosixPath("/run/renode"))
    with pytest.raises(UsageError, match="UART7"):
        run_in_renode(start(SPEAK + UNTIL_QUIT, BANNER), replace(request(results=1), board=board))


@pytest.mark.parametrize("name", ["a;b", 'a"b', "a\\b", "ä", "a\tb"])
def test_a_folder_that_the_monitor_cannot_name_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match="set TMPDIR"):
        renode_arguments(EDGE, PurePosixPath("/tmp") / name)


def test_the_image_is_built_of_what_is_pinned_and_of_nothing_else() -> None:
    text = (PROJECT / "docker" / "renode.Dockerfile").read_text()
    wanted = set(re.findall(r"^ARG (\w+)$", text, re.MULTILINE))
    arguments = build_arguments(PINS, "docker", PROJECT)
    given = dict(
        value.split("=", 1) for option, value in pairwise(arguments) if option == "--build-arg"
    )
    assert given.keys() == wanted
    assert given["RENODE_SHA256"] == PINS.renode.sha256
    assert given["BASE"] == f"debian@{PINS.debian.registry_digest}"
    assert PINS.renode.version in given["RENODE_ARCHIVE"]
    assert "sha256sum --check" in text
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] != "0:0"
    versions = {
        version
        for path in PROJECT.glob("boards/*/renode/*.repl")
        for version in re.findall(r"Renode (\d+\.\d+\.\d+)", path.read_text())
    }
    assert versions == {PINS.renode.version}


# The comparison of two simulators


def test_the_same_bytes_are_the_same() -> None:
    assert require_same_console("it", "a\nb\n", b"a\r\nb\r\n") == 6


@pytest.mark.parametrize(
    ("renode", "message"),
    [
        (b"a\r\nc\r\n", "line 2 is 'c' instead of 'b'"),
        (b"a\r\nb\n", "5 bytes came instead of 6"),
        (b"a\r\n", "3 bytes came instead of 6"),
        (b"a\r\n\xff\r\n", r"line 2 is '\xff' instead of 'b'"),
    ],
)
def test_another_byte_is_an_error(renode: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as caught:
        require_same_console("it", "a\nb\n", renode)
    assert message in str(caught.value)
