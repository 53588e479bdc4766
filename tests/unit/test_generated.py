from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.boards import Board, board_names, find_board
from toolchain.firmware.generated import (
    generated_files,
    render_aliases,
    render_linker_script,
    render_make_fragment,
    target_arch,
)

BOARDS = Path(__file__).resolve().parents[2] / "boards"
EDGE = find_board(BOARDS, "sparkfun_edge")


def variables(fragment: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) := (.+)$", fragment, re.MULTILINE))


def symbol(script: str, name: str) -> int:
    match = re.search(rf"^{name} = (0x[0-9A-F]{{8}});$", script, re.MULTILINE)
    assert match, name
    return int(match[1], 16)


def region(script: str, name: str) -> tuple[int, int]:
    match = re.search(
        rf"^  {name}\s+\(\w+\)\s+: ORIGIN = (0x[0-9A-F]+), LENGTH = (0x[0-9A-F]+)$",
        script,
        re.MULTILINE,
    )
    assert match, name
    return int(match[1], 16), int(match[2], 16)


SECTIONS: Mapping[str, list[str]] = {
    "sram": [".bss.framebuffer", ".bss.arena"],
    "sdram": [".bss.weights"],
    "dtcm": [],
}


@st.composite
def boards(draw: st.DrawFn) -> Board:
    """Any consistent memory map."""
    interrupts = draw(st.integers(0, 240))
    needed = 4 * (16 + interrupts)
    alignment = draw(st.sampled_from([size for size in (128, 256, 512, 1024) if size >= needed]))
    flash_origin = draw(st.sampled_from([0, 0x0800_0000]))
    load = flash_origin + alignment * draw(st.integers(0, 64))
    flash_length = 0x20_0000
    ram_origin = draw(st.sampled_from([0x1000_0000, 0x2000_0000]))
    ram_length = 0x1000 * draw(st.integers(4, 128))
    stack = 8 * draw(st.integers(1, 0x400))
    names = draw(st.lists(st.sampled_from(sorted(SECTIONS)), unique=True))
    more = [
        {
            "name": name,
            "kind": "ram",
            "origin": 0x3000_0000 + index * 0x10_0000,
            "length": 0x1000 * draw(st.integers(1, 0x100)),
            "sections": SECTIONS[name],
        }
        for index, name in enumerate(names)
    ]
    return EDGE.model_validate(
        {
            **EDGE.model_dump(),
            "core": {
                "cpu": draw(st.sampled_from(["cortex-m4", "cortex-m7"])),
                "fpu": draw(st.sampled_from(["fpv4-sp-d16", "fpv5-sp-d16"])),
                "float_abi": draw(st.sampled_from(["hard", "softfp", "soft"])),
                "interrupts": interrupts,
                "vector_table_alignment": alignment,
                "clock_hz": draw(st.integers(1, 480_000_000)),
            },
            "memory": [
                {"name": "f", "kind": "flash", "origin": flash_origin, "length": flash_length},
                {"name": "r", "kind": "ram", "origin": ram_origin, "length": ram_length},
                *more,
            ],
            "reserved": [],
            "application": {
                "load_address": load,
                "max_length": draw(st.integers(1, flash_origin + flash_length - load)),
                "initial_stack_pointer": ram_origin + ram_length - 8 * draw(st.integers(0, 8)),
                "stack_size": stack,
            },
        }
    )


@given(boards())
def test_the_linker_script_holds_the_memory_map_of_the_board(board: Board) -> None:
    script = render_linker_script(board)
    application = board.application
    assert region(script, "flash") == (application.load_address, application.max_length)
    assert region(script, "ram") == (board.ram.origin, board.ram.length)
    top, limit = symbol(script, "__initial_stack_pointer"), symbol(script, "__stack_limit")
    assert top == application.initial_stack_pointer
    assert top - limit == application.stack_size
    assert board.ram.contains(limit, top - limit)
    assert f". = ALIGN({board.core.vector_table_alignment});\n    __vectors_end" in script
    assert f">= {4 * board.core.vector_words}," in script
    assert "$" not in script


@given(boards())
def test_each_ram_with_sections_gets_them_before_bss_and_is_zeroed(board: Board) -> None:
    script = render_linker_script(board)
    zeroed = re.findall(r"LONG\((\w+)\) LONG\((\w+)\)", script)
    assert zeroed[0] == ("__bss_start", "__bss_end")
    assert len(zeroed) == 1 + len(board.sectioned_rams)
    for ram, (start, end) in zip(board.sectioned_rams, zeroed[1:], strict=True):
        assert region(script, ram.name) == (ram.origin, ram.length)
        match = re.search(
            rf"\.{ram.name} \(NOLOAD\) .*\n  {{\n    {start} = \.;\n((?:    \*\(.+\)\n)+)"
            rf"    \. = ALIGN\(8\);\n    {end} = \.;\n  }} > {ram.name}\n",
            script,
        )
        assert match
        assert tuple(re.findall(r"\*\((\S+)\)", match[1])) == ram.sections
        assert match.start() < script.index(".bss (NOLOAD)")


@given(boards())
def test_the_make_fragment_holds_the_facts_of_the_board(board: Board) -> None:
    assert variables(render_make_fragment(board)) == {
        "TARGET_ARCH": target_arch(board),
        "BOARD_CHIP": board.chip,
        "BOARD_CPU": board.core.cpu,
        "BOARD_FPU": board.core.fpu,
        "BOARD_FLOAT_ABI": board.core.float_abi,
        "BOARD_CLOCK_HZ": str(board.core.clock_hz),
        "BOARD_BAUD": str(board.console.baud),
        "BOARD_VECTOR_WORDS": str(board.core.vector_words),
    }
    assert target_arch(board).endswith("+fp") == (board.core.float_abi != "soft")


@pytest.mark.parametrize("name", board_names(BOARDS))
def test_the_files_of_a_board_lie_in_its_folder_and_name_no_other_board(name: str) -> None:
    board = find_board(BOARDS, name)
    files = generated_files(board)
    folder = PurePosixPath("boards") / name / "generated"
    names = {"memory.ld", "target.mk", *(["aliases.mk"] if board.aliases else [])}
    assert set(files) == {folder / each for each in names}
    for data in files.values():
        assert data.endswith(b"\n")
        assert name.encode() in data
        for other in board_names(BOARDS):
            assert other == name or other.encode() not in data


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True), unique=True, max_size=5))
def test_each_alias_is_a_make_variable_that_holds_the_board(aliases: list[str]) -> None:
    board = EDGE.model_copy(update={"aliases": tuple(aliases)})
    made = variables(render_aliases(board))
    assert made == {f"TARGET_OF_{alias}": "sparkfun_edge" for alias in aliases}


def test_sparkfun_edge() -> None:
    script = render_linker_script(EDGE)
    assert region(script, "flash") == (0xC000, 0xF0000)
    assert symbol(script, "__initial_stack_pointer") == 0x1005_FFF8
    assert variables(render_make_fragment(EDGE))["TARGET_ARCH"] == "cortex-m4+fp"
    assert variables(render_make_fragment(EDGE))["BOARD_VECTOR_WORDS"] == "48"


def test_arduino_nano_33_ble() -> None:
    board = find_board(BOARDS, "arduino_nano_33_ble")
    script = render_linker_script(board)
    assert region(script, "flash") == (0x1_0000, 0xF_0000)
    assert region(script, "ram") == (0x2000_0000, 0x4_0000)
    assert symbol(script, "__initial_stack_pointer") == 0x2004_0000
    assert variables(render_make_fragment(board))["BOARD_VECTOR_WORDS"] == "64"
    assert variables(render_aliases(board)) == {"TARGET_OF_arduino": "arduino_nano_33_ble"}


def test_the_discovery_board_keeps_the_frame_buffer_out_of_the_cores_own_memory() -> None:
    disco = find_board(BOARDS, "disco_f746ng")
    script = render_linker_script(disco)
    assert region(script, "ram") == (0x2000_0000, 0x1_0000)
    assert region(script, "sram") == (0x2001_0000, 0x4_0000)
    assert "*(.bss.framebuffer)" in script
    assert "LONG(__sram" not in render_linker_script(EDGE)


def test_no_file_outside_a_board_folder_names_that_board() -> None:
    project = BOARDS.parent
    shared = [*(project / "tflm").rglob("*"), *(BOARDS / "common").rglob("*")]
    for path in shared:
        if not path.is_file() or path.suffix == ".md":
            continue
        text = "".join(
            line for line in path.read_text().splitlines(True) if not line.startswith(("#  ", "//"))
        )
        for name in board_names(BOARDS):
            assert name not in text, f"{path} names {name}"
