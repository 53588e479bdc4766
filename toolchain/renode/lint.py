"""Checks a board's platform for Renode without Renode: types, the memory map, scripts, the board.

What Renode would refuse when it loads the file is found here, and what it would take but would
not be the board of ``board.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toolchain.boards import Board
from toolchain.renode.peripherals import CPU_TYPES, TYPES, PeripheralType
from toolchain.renode.repl import Entry, Reference, Value
from toolchain.renode.scripts import script_problems

CONSOLES: Mapping[str, str] = {"UART0": "uart0", "UARTE0": "uart0", "USART1": "usart1"}
"""Name in Renode of each console of a ``board.toml``."""

_PRIORITY_MASKS = {"apollo3": 0xE0, "nrf52840": 0xE0, "stm32f746": 0xF0}


@dataclass(frozen=True)
class Place:
    """What an entry takes of the address space.

    Attributes:
        begin: address of the first byte.
        end: address one past the last.
    """

    name: str
    begin: int
    end: int

    def overlaps(self, other: Place) -> bool:
        """Return whether the two have an address in common."""
        return self.begin < other.end and other.begin < self.end


def place_of(entry: Entry) -> Place | None:
    """Return the addresses of an entry of a known type; None: it has none."""
    if entry.address is None:
        return None
    size = entry.size or entry.attributes.get("size") or TYPES[entry.type].size
    return Place(entry.name, entry.address, entry.address + int(str(size)))


def console_name(board: Board) -> str:
    """Return the path of the board's console in Renode's machine.

    Raises:
        KeyError: the boards' platforms have no name for it.
    """
    return f"sysbus.{CONSOLES[board.console.peripheral]}"


def problems(platform: tuple[Entry, ...], board: Board) -> tuple[str, ...]:
    """Return what is wrong with a platform for a board, one sentence each; empty: nothing."""
    by_name = {entry.name: entry for entry in platform}
    found = [problem for entry in platform for problem in _of_entry(entry, by_name)]
    if found:
        # What follows takes every entry for one of a known type with all that it needs.
        return tuple(found)
    return (*_overlaps(platform), *_of_board(by_name, board))


def _of_entry(entry: Entry, by_name: Mapping[str, Entry]) -> Iterator[str]:
    where = f"{entry.name} (line {entry.line})"
    kind = TYPES.get(entry.type)
    if kind is None:
        yield f"{where}: no type '{entry.type}' is known here"
        return
    for key, value in entry.attributes.items():
        if not _fits(value, kind.attributes.get(key), by_name):
            yield f"{where}: {entry.type} takes no '{key}' of this kind"
    for key in sorted(kind.required - entry.attributes.keys()):
        yield f"{where}: {entry.type} needs '{key}'"
    yield from (f"{where}: {what}" for what in _registration(entry, kind))
    size = entry.attributes.get("size")
    if isinstance(size, int) and (size <= 0 or size % kind.page):
        yield f"{where}: its size is no multiple of {kind.page} bytes"
    yield from (f"{where}: {what}" for what in _connections(entry, kind, by_name))
    if entry.script is not None:
        yield from (f"{where}: {what}" for what in _of_script(entry))


def _fits(value: Value, wanted: type | str | None, by_name: Mapping[str, Entry]) -> bool:
    if isinstance(wanted, str):
        target = by_name.get(value.name) if isinstance(value, Reference) else None
        return target is not None and target.type == wanted
    return wanted is not None and type(value) is wanted


def _registration(entry: Entry, kind: PeripheralType) -> Iterator[str]:
    given = "none" if entry.address is None else "address" if entry.size is None else "range"
    if given != kind.place:
        yield f"{entry.type} is registered with '{kind.place}', not with '{given}'"


def _connections(entry: Entry, kind: PeripheralType, by_name: Mapping[str, Entry]) -> Iterator[str]:
    if len(entry.interrupts) > kind.outputs:
        yield f"{entry.type} has {kind.outputs} interrupt outputs"
    for interrupt in entry.interrupts:
        target = by_name.get(interrupt.target)
        inputs = TYPES[target.type].inputs if target and target.type in TYPES else 0
        if interrupt.number >= inputs:
            yield f"there is no interrupt input {interrupt.target}@{interrupt.number}"


def _of_script(entry: Entry) -> Iterator[str]:
    script = entry.script or ""
    yield from script_problems(script)
    if "request.IsInit" in script and entry.attributes.get("initable") is not True:
        yield "its script waits for request.IsInit, and it is not initable"


def _overlaps(platform: tuple[Entry, ...]) -> Iterator[str]:
    places = [place for place in map(place_of, platform) if place is not None]
    for number, place in enumerate(places):
        for other in places[:number]:
            if place.overlaps(other):
                yield f"{place.name} and {other.name} have addresses in common"


def _of_board(by_name: Mapping[str, Entry], board: Board) -> Iterator[str]:
    yield from _of_memories(by_name, board)
    yield from _of_core(by_name, board)
    console = by_name.get(CONSOLES.get(board.console.peripheral, ""))
    if console is None or not console.type.startswith("UART."):
        yield f"the console, {board.console.peripheral}, is missing"
    wanted = {f"led_{led.name}" for led in board.led}
    there = {entry.name for entry in by_name.values() if entry.type == "Miscellaneous.LED"}
    for name in sorted(wanted ^ there):
        yield f"{name} is {'missing' if name in wanted else 'no LED of the board'}"
    for entry in by_name.values():
        for interrupt in entry.interrupts:
            if interrupt.target == "nvic" and interrupt.number >= board.core.interrupts:
                yield f"{entry.name}: the core has no interrupt {interrupt.number}"


def _of_memories(by_name: Mapping[str, Entry], board: Board) -> Iterator[str]:
    there = {
        entry.name: (entry.address, entry.attributes["size"])
        for entry in by_name.values()
        if entry.type == "Memory.MappedMemory"
    }
    wanted = {memory.name: (memory.origin, memory.length) for memory in board.memory}
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            yield f"memory '{name}': {there.get(name)} here, {wanted.get(name)} in board.toml"


def _of_core(by_name: Mapping[str, Entry], board: Board) -> Iterator[str]:
    cpu, nvic = by_name.get("cpu"), by_name.get("nvic")
    if cpu is None or cpu.type != "CPU.CortexM" or nvic is None:
        yield "there is no cpu with an nvic"
        return
    if cpu.attributes["cpuType"] not in CPU_TYPES[board.core.cpu]:
        yield f"the cpu is a {cpu.attributes['cpuType']}, not a {board.core.cpu}"
    if cpu.attributes.get("PerformanceInMips") != board.core.clock_hz // 1_000_000:
        yield "PerformanceInMips is not the core's clock in MHz"
    if nvic.attributes.get("systickFrequency") != board.core.clock_hz:
        yield "systickFrequency is not the core's clock"
    if nvic.attributes.get("priorityMask") != _PRIORITY_MASKS.get(board.chip):
        yield "priorityMask does not have as many bits as the chip's priorities"
