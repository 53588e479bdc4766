"""The boards' files for Renode agree with board.toml and registers.h, and a mistake is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.renode_support import BOARDS, PROJECT, platform_of, renode_folder
from toolchain.boards import Board
from toolchain.renode.lint import console_name, place_of, problems
from toolchain.renode.repl import (
    Interrupt,
    Reference,
    ReplError,
    parse_platform,
    read_platform,
)

EDGE = BOARDS["sparkfun_edge"]
every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def text_of(board: Board, name: str) -> str:
    return (renode_folder(board) / name).read_text(encoding="utf-8")


@every_board
def test_the_platform_is_the_board(board: Board) -> None:
    assert problems(platform_of(board), board) == ()


@every_board
def test_every_register_that_the_firmware_uses_is_there(board: Board) -> None:
    header = (PROJECT / "boards" / board.name / "registers.h").read_text(encoding="utf-8")
    bases = {int(base, 16) for base in re.findall(r"kBase = (0x[0-9A-F]{8});", header)}
    assert len(bases) >= 3
    places = [place for place in map(place_of, platform_of(board)) if place is not None]
    missing = [
        f"0x{base:08X}"
        for base in sorted(bases)
        if not any(place.begin <= base < place.end for place in places)
    ]
    assert missing == []


def test_ports_of_the_nano_begin_where_renode_has_their_registers() -> None:
    entries = {entry.name: entry for entry in platform_of(BOARDS["arduino_nano_33_ble"])}
    # OUTSET is 0x508 from the chip's base of a port, and 0x8 in Renode; PIN_CNF 0x700 and 0x200.
    for name, base in (("gpio0", 0x5000_0000), ("gpio1", 0x5000_0300)):
        assert entries[name].address == base + 0x508 - 0x8 == base + 0x700 - 0x200


def test_ports_of_the_disco_are_all_that_its_pins_are_on() -> None:
    source = (PROJECT / "boards/stm32f746g_disco/board.cc").read_text(encoding="utf-8")
    used = set(re.findall(r"using gpio::([A-K]);", source))
    entries = platform_of(BOARDS["stm32f746g_disco"])
    ports = {entry.name[-1]: entry.address for entry in entries if "GPIOPort" in entry.type}
    assert ports == {letter: 0x4002_0000 + 0x400 * (ord(letter) - ord("A")) for letter in used}


INTERRUPTS = {
    # BOARDS: the vendors' register descriptions (README.md of each board).
    "sparkfun_edge": {"uart0": 15, "uart1": 16},
    "arduino_nano_33_ble": {"uart0": 2},
    "stm32f746g_disco": {"usart1": 37},
}


@every_board
def test_interrupts_have_the_vendors_numbers(board: Board) -> None:
    there = {
        entry.name: interrupt.number
        for entry in platform_of(board)
        for interrupt in entry.interrupts
        if interrupt.target == "nvic"
    }
    assert there == INTERRUPTS[board.name]


@every_board
def test_nothing_is_fetched_and_no_other_file_is_needed(board: Board) -> None:
    for path in renode_folder(board).iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?:|ApplySVD|\busing\b|\bfilename\b", text), path.name
    names = {path.name for path in renode_folder(board).iterdir()}
    own = {f"{board.name}.repl", f"{board.name}.robot"}
    assert names == own | {"machine.resc", "run_bin.resc", "run_elf.resc"}


@every_board
def test_scripts_start_the_program_as_the_boot_code_would(board: Board) -> None:
    load = f"0x{board.application.load_address:08X}"
    machine = text_of(board, "machine.resc")
    assert f"machine LoadPlatformDescription $ORIGIN/{board.name}.repl\n" in machine
    assert f"showAnalyzer {console_name(board)}\n" in machine
    for name, command in (
        ("run_bin.resc", f"sysbus LoadBinary $bin {load}"),
        ("run_elf.resc", "sysbus LoadELF $elf"),
    ):
        lines = [
            line.strip() for line in text_of(board, name).splitlines() if not line.startswith("#")
        ]
        assert [line for line in lines if line] == [
            *("include $ORIGIN/machine.resc", "macro reset", '"""'),
            *(command, f"sysbus.cpu VectorTableOffset {load}"),
            *('"""', "runMacro $reset"),
        ]


def test_the_files_are_no_part_of_a_firmwares_workspace() -> None:
    from toolchain.pipeline.firmware_steps import SOURCE_SUFFIXES

    suffixes = {path.suffix for board in BOARDS.values() for path in renode_folder(board).iterdir()}
    assert suffixes == {".repl", ".resc", ".robot"}
    assert not suffixes & SOURCE_SUFFIXES


# The reader


def test_an_entry_is_read_with_all_that_it_can_have() -> None:
    text = """// a comment
one: UART.PL011 @ sysbus <0x40000000, +0x100>  // another one
    size: 16
    easy: true
    name: "cortex-m4"
    other: two
    Output -> two@3
    script: '''
if request.IsInit:
    x = 1
'''

two: Some.Thing @ sysbus
"""
    one, two = parse_platform(text)
    assert (one.name, one.type, one.address, one.size, one.line) == (
        *("one", "UART.PL011", 0x4000_0000, 0x100, 2),
    )
    assert one.attributes == {
        "size": 16,
        "easy": True,
        "name": "cortex-m4",
        "other": Reference("two"),
        "script": "if request.IsInit:\n    x = 1\n",
    }
    assert one.interrupts == (Interrupt("Output", "two", 3),)
    assert (two.address, two.size, two.attributes, two.line) == (None, None, {}, 13)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('using "other.repl"', "line 1: not 'name: "),
        ("a: B.C @ none", "line 1: not 'name: "),
        ("    size: 1", "line 1: indented, and no entry"),
        ("a: B.C @ sysbus 0x1\n  size: 1", "line 2: attributes are indented by four"),
        ("a: B.C @ sysbus 0x1\n        size: 1", "line 2: attributes are indented by four"),
        ("a: B.C @ sysbus 0x1\n\tsize: 1", "line 2: a tab"),
        ("a: B.C @ sysbus 0x1\n    size: <1, 2>", "line 2: a value that is not read"),
        ("a: B.C @ sysbus 0x1\n    size", "line 2: neither an attribute nor"),
        ("a: B.C @ sysbus 0x1\n    size: 1\n    size: 2", "line 3: 'size' is there twice"),
        ("a: B.C @ sysbus 1\na: B.C @ sysbus 2", "line 2: 'a' is there twice"),
        ("a: B.C @ sysbus {1}", "line 1: a place on the bus that is not"),
        ("a: B.C @ sysbus 0x1\n    script: '''\nx", "line 2: a string of several lines does not"),
        ("a: B.C @ sysbus 0x1\n    script: '''x'''", "line 2: text after '''"),
        ("a: B.C @ sysbus 0x1\n    script: '''\nx'''", "the script's end, ''', must stand"),
        ("// '''x\na: B.C @ sysbus", "line 1: ''' in a comment"),
        ("a: B.C @ sysbus 0x1\n    [0-3] -> nvic@[1-4]", "line 2: neither an attribute nor"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(ReplError, match=re.escape(message)):
        parse_platform(text)


# The check


def broken(old: str, new: str, board: Board = EDGE) -> tuple[str, ...]:
    text = text_of(board, f"{board.name}.repl")
    assert text.count(old) >= 1, old
    return problems(parse_platform(text.replace(old, new, 1)), board)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("UART.PL011", "UART.PL012", "no type 'UART.PL012' is known"),
        ("priorityMask: 0xE0", "priorityMaks: 0xE0", "takes no 'priorityMaks'"),
        ('cpuType: "cortex-m4f"', "cpuType: 4", "takes no 'cpuType' of this kind"),
        ("nvic: nvic\n", "nvic: flash\n", "takes no 'nvic' of this kind"),
        ("    size: 0x00100000\n", "", "Memory.MappedMemory needs 'size'"),
        ("size: 0x00060000", "size: 0x00060100", "no multiple of 1024 bytes"),
        ("sysbus 0x4001C000", "sysbus <0x4001C000, +0x1000>", "registered with 'address'"),
        ("sysbus 0x4001C000", "sysbus", "registered with 'address', not with 'none'"),
        ("nvic@15", "nvic@240", "no interrupt input nvic@240"),
        ("nvic@15", "nvic@32", "the core has no interrupt 32"),
        ("nvic@15", "flash@0", "no interrupt input flash@0"),
        ("sysbus 0x4001D000", "sysbus 0x4001C800", "have addresses in common"),
        ("size: 0x00060000", "size: 0x00050000", "memory 'ram': "),
        ("ram: Memory", "sram: Memory", "memory 'ram': None here"),
        ('"cortex-m4f"', '"cortex-m7"', "the cpu is a cortex-m7"),
        ("PerformanceInMips: 48", "PerformanceInMips: 96", "not the core's clock in MHz"),
        ("systickFrequency: 48000000", "systickFrequency: 24000000", "systickFrequency is not"),
        ("priorityMask: 0xE0", "priorityMask: 0xF0", "priorityMask does not"),
        ("uart0: UART", "uart9: UART", "the console, UART0, is missing"),
        ("led_red: Misc", "led_rot: Misc", "led_red is missing"),
        ("initable: true", "initable: false", "and it is not initable"),
        ("request.IsWrite:", "request.IsWrite", "is no Python"),
        ("request.Value", "request.value", "has a capital letter since Renode 1.16"),
        ("words = dict()", "words = {}", "its script holds {,"),
        ("('red', 46", '("red", 46', 'its script holds ",'),
        ("MCUH, HCPA = 3,", "MCUH, HCPA = 0_3,", "underscore in a number"),
        ("float(last - low) / (", "(last - low) / (", "drops the remainder in IronPython"),
        ("words = dict()", "size = dict()", "gives a new meaning to size, which is Renode's"),
        ("levels = dict()", "level = dict()", "uses levels, which it does not set"),
        ("float(selected)", "complex(selected)", "uses complex, which it does not set"),
        ("self.InfoLog", "self.Infolog", "Infolog of self, which is not known here"),
        ("GetMachine()", "GetMachines()", "GetMachines of self, which is not known"),
        (".OnGPIO(", ".OnGpio(", "OnGpio of a LED, which is not known here"),
        ("request.IsRead", "request.isRead", "request.isRead, which has a capital letter since"),
        ("request.IsRead", "request.IsReading", "IsReading of request, which is not known"),
        ("request.Value = value", "request.Offset = value", "request.Offset, which cannot be set,"),
        ("def at(offset):", "def at(offset: int):", "is not known to IronPython 2.7"),
        ("def at(offset):", "def at(*, offset):", "is not known to IronPython 2.7"),
        ("word, field =", "word, *field =", "is not known to IronPython 2.7"),
        ("KEY = 0x73", "import os", "a script is functions and its own names only"),
    ],
)
def test_a_mistake_in_a_platform_is_found(old: str, new: str, message: str) -> None:
    found = broken(old, new)
    assert any(message in problem for problem in found), found


def test_a_platform_of_another_board_is_not_taken_for_this_one() -> None:
    found = problems(platform_of(BOARDS["arduino_nano_33_ble"]), EDGE)
    assert any(problem.startswith("memory 'ram'") for problem in found)
    assert any(problem.startswith("led_") for problem in found)


def test_a_file_is_read_as_its_text_is(tmp_path: Path) -> None:
    path = tmp_path / "a.repl"
    path.write_text(text_of(EDGE, "sparkfun_edge.repl"), encoding="utf-8")
    assert read_platform(path) == platform_of(EDGE)
