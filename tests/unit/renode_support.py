"""Executes the Python peripherals of Renode platforms here, and puts them into the simulator.

Renode runs them by IronPython 2.7 with `request` and `self` in scope, and the script's own names
staying from one access to the next. They are written so that Python 3 runs them as well; what
they ask of Renode itself is the few methods below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from simulator.boot import read_start_state
from simulator.console import Console
from simulator.core import SystemControlSpace
from simulator.machine import Machine as SimulatedMachine
from simulator.registers import Peripheral
from simulator.symbols import Symbols
from toolchain.boards import Board, read_board
from toolchain.renode.lint import place_of
from toolchain.renode.repl import Entry, read_platform
from toolchain.renode.robot import RobotFile

PROJECT = Path(__file__).resolve().parents[2]
BOARDS = {
    path.parent.name: read_board(path) for path in sorted(PROJECT.glob("boards/*/board.toml"))
}


def renode_folder(board: Board) -> Path:
    return PROJECT / "boards" / board.name / "renode"


def platform_of(board: Board) -> tuple[Entry, ...]:
    return read_platform(renode_folder(board) / f"{board.name}.repl")


class Lamp:
    """Miscellaneous.LED."""

    def __init__(self) -> None:
        self.lit = False

    def OnGPIO(self, number: int, value: bool) -> None:  # noqa: N802
        assert number == 0
        assert isinstance(value, bool)
        self.lit = value


class Bus:
    """SystemBus, as far as scripts read it."""

    def __init__(self, read: Callable[[int, int], int]) -> None:
        self._read = read

    def ReadWord(self, address: int) -> int:  # noqa: N802
        return self._read(address, 2)

    def ReadDoubleWord(self, address: int) -> int:  # noqa: N802
        return self._read(address, 4)


class Machine:
    """IMachine."""

    def __init__(self, lamps: Mapping[str, Lamp], read: Callable[[int, int], int]) -> None:
        self._lamps = lamps
        self.SystemBus = Bus(read)

    def __getitem__(self, name: str) -> Lamp:
        return self._lamps[name.removeprefix("sysbus.")]


@dataclass
class Request:
    """PythonRequest of Renode 1.16."""

    Value: int = 0
    Offset: int = 0
    IsInit: bool = False
    IsRead: bool = False
    IsWrite: bool = False


@dataclass
class Self:
    """What a script calls `self`."""

    machine: Machine
    log: list[str] = field(default_factory=list)

    def GetMachine(self) -> Machine:  # noqa: N802
        return self.machine

    def InfoLog(self, message: str) -> None:  # noqa: N802
        self.log.append(message)

    def WarningLog(self, message: str) -> None:  # noqa: N802
        self.log.append(f"warning: {message}")


class ScriptedPeripheral(Peripheral):
    """A Python.PythonPeripheral in the simulator's address space."""

    def __init__(self, entry: Entry, machine: Machine) -> None:
        place = place_of(entry)
        assert place is not None
        assert entry.script is not None
        super().__init__(entry.name, place.begin, place.end - place.begin)
        self.itself = Self(machine)
        self._request = Request()
        self._scope: dict[str, object] = {"request": self._request, "self": self.itself}
        self._code: CodeType = compile(entry.script, entry.name, "exec")
        self._run(IsInit=True)

    @property
    def log(self) -> list[str]:
        return self.itself.log

    @property
    def levels(self) -> dict[str, float]:
        """Brightness of the LEDs that it drives and that have changed since the start."""
        levels = self._scope.get("levels", {})
        assert isinstance(levels, dict)
        return dict(levels)

    def read(self, offset: int, size: int) -> int:
        assert size == 4
        self._run(IsRead=True, Offset=offset)
        assert 0 <= self._request.Value < 1 << 32
        return self._request.Value

    def write(self, offset: int, size: int, value: int) -> None:
        assert size == 4
        self._run(IsWrite=True, Offset=offset, Value=value)

    def _run(
        self,
        *,
        IsInit: bool = False,  # noqa: N803
        IsRead: bool = False,  # noqa: N803
        IsWrite: bool = False,  # noqa: N803
        Offset: int = 0,  # noqa: N803
        Value: int = 0,  # noqa: N803
    ) -> None:
        request = self._request
        request.IsInit, request.IsRead, request.IsWrite = IsInit, IsRead, IsWrite
        request.Offset, request.Value = Offset, Value
        exec(self._code, self._scope)


class Words(Peripheral):
    """Memory.ArrayMemory, and whatever else is only to keep what it is given."""

    def __init__(self, name: str, base: int, size: int) -> None:
        super().__init__(name, base, size)
        self.words: dict[int, int] = {}

    def read(self, offset: int, size: int) -> int:
        assert size == 4
        return self.words.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        assert size == 4
        self.words[offset] = value


@dataclass
class Transmitter:
    """Which registers of a UART send, and what is read of it while it never waits."""

    data: int
    status: Mapping[int, int]


def extent(entry: Entry) -> tuple[int, int]:
    """Return where an entry begins and how many bytes it has."""
    place = place_of(entry)
    assert place is not None
    return place.begin, place.end - place.begin


class Sender(Words):
    """A UART of Renode as the console sees it: what is written to its data register is sent."""

    def __init__(self, entry: Entry, transmitter: Transmitter, send: Callable[[int], None]) -> None:
        super().__init__(entry.name, *extent(entry))
        self._transmitter = transmitter
        self._send = send

    def read(self, offset: int, size: int) -> int:
        kept = super().read(offset, size)
        return self._transmitter.status.get(offset, kept)

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if offset == self._transmitter.data:
            self._send(value & 0xFF)


class DmaSender(Words):
    """UART.NRF52840_UART with easyDMA: a started transfer is over at once."""

    STARTTX, ENDTX, PTR, MAXCNT = 0x008, 0x120, 0x544, 0x548

    def __init__(
        self, entry: Entry, read: Callable[[int, int], int], send: Callable[[int], None]
    ) -> None:
        super().__init__(entry.name, *extent(entry))
        self._read, self._send = read, send

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if offset == self.STARTTX and value == 1:
            for index in range(self.words[self.MAXCNT]):
                self._send(self._read(self.words[self.PTR] + index, 1))
            self.words[self.ENDTX] = 1


@dataclass
class Shown:
    """What one console line found.

    Attributes:
        line: without its end.
        brightness: of each LED that ever changed, as its script has it.
        log: what the scripts said since the line before.
    """

    line: str
    brightness: dict[str, float]
    log: list[str]


_TRANSMITTERS = {
    "UART.PL011": Transmitter(data=0x00, status={0x18: 0x90}),
    "UART.STM32F7_USART": Transmitter(data=0x28, status={0x1C: 0x2060_00C0}),
}


def run_on_platform(board: Board, image: bytes, until: Callable[[str], bool]) -> list[Shown]:
    """Run an image on the memory map that the board's platform gives, until a line is there.

    The scripts are Renode's; its own peripherals are replaced by the little of them that the
    boards' firmwares look at, and the core and its memories are this project's.
    """
    entries = platform_of(board)
    start = read_start_state(board, image)
    machine = SimulatedMachine(
        board,
        image,
        start.stack_pointer,
        start.entry,
        Symbols.of_file(None, image, board.application.load_address),
    )
    peripherals: list[Peripheral] = []

    def read(address: int, size: int) -> int:
        for each in peripherals:
            if each.holds(address):
                return each.read(address - each.base, size)
        data = machine.read_memory(address, size)
        assert data is not None, f"0x{address:08X}"
        return int.from_bytes(data, "little")

    shown: list[Shown] = []
    lamps = {entry.name: Lamp() for entry in entries if entry.type == "Miscellaneous.LED"}
    scripts = [
        ScriptedPeripheral(entry, Machine(lamps, read))
        for entry in entries
        if entry.type == "Python.PythonPeripheral"
    ]

    def on_line(line: str) -> None:
        brightness: dict[str, float] = {}
        for script in scripts:
            brightness |= script.levels
        for name, level in brightness.items():
            assert lamps[f"led_{name}"].lit == (level >= 0.5)
        log = [message for script in scripts for message in script.log]
        for script in scripts:
            script.log.clear()
        shown.append(Shown(line, brightness, log))
        if until(line):
            machine.stop()

    console = Console(on_line)
    peripherals += scripts
    for entry in entries:
        place = place_of(entry)
        if entry.type in _TRANSMITTERS:
            peripherals.append(Sender(entry, _TRANSMITTERS[entry.type], console.put))
        elif entry.type == "UART.NRF52840_UART":
            peripherals.append(DmaSender(entry, read, console.put))
        elif entry.type in {"Memory.ArrayMemory", "GPIOPort.STM32_GPIOPort"}:
            assert place is not None
            peripherals.append(Words(entry.name, place.begin, place.end - place.begin))
    if any(entry.type == "GPIOPort.NRF52840_GPIO" for entry in entries):
        # Both ports begin inside of one of the engine's pages.
        peripherals.append(Words("gpio", 0x5000_0400, 0x800))
    core = SystemControlSpace(board, machine.clock, machine.has_memory, machine.set_fpu)
    machine.add_peripherals([*peripherals, core])
    machine.run(100_000_000, "the end of the test")
    return shown


def unmet(robot: RobotFile, test: str, shown: Iterable[Shown]) -> str:
    """Return the first step of a test that a run did not come to; empty: it came to all.

    As in Renode, a step waits from where the one before it was met.
    """
    leds = {
        step.result: step.arguments[0].removeprefix("sysbus.led_")
        for step in robot.tests[test]
        if step.keyword == "Create Led Tester"
    }
    waiting = list(shown)
    for step in robot.tests[test]:
        arguments = [robot.value(argument) for argument in step.arguments]
        if step.keyword in {"Wait For Line On Uart", "Wait For Log Entry"}:
            pattern = arguments[0]
            found = re.compile(pattern if "treatAsRegex=true" in arguments else re.escape(pattern))
            in_log = step.keyword == "Wait For Log Entry"
            met = [
                any(found.search(text) for text in (each.log if in_log else [each.line]))
                for each in waiting
            ]
        elif step.keyword == "Assert Led State":
            name = leds[step.arguments[-1].removeprefix("testerId=")]
            met = [
                (each.brightness.get(name, 0.0) >= 0.5) == (arguments[0] == "true")
                for each in waiting
            ]
        else:
            continue
        if True not in met:
            return f"line {step.line}: {step.keyword} {arguments[0]}"
        waiting = waiting[met.index(True) :]
    return ""
