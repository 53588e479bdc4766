"""Tiny firmwares for the simulator's tests, assembled here: no compiler is needed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import pytest

from simulator import SimulationRequest, SimulationResult, simulate
from toolchain.boards import Board, read_board
from toolchain.errors import SimulationFaultError

EDGE = read_board(Path(__file__).parents[2] / "boards" / "sparkfun_edge" / "board.toml")

NOP = 0xBF00
BKPT = 0xBE00
SVC = 0xDF00
UDF = 0xDE00
WFI = 0xBF30
WFE = 0xBF20
YIELD = 0xBF10
BX_LR = 0x4770
BRANCH_TO_SELF = 0xE7FE
VMOV_S0_R0 = (0xEE00, 0x0A10)

CPACR = 0xE000_ED88
CLKKEY, CCTRL = 0x4000_4014, 0x4000_4018
CACHECFG = 0x4001_8000
DEVPWREN, DEVPWRSTATUS = 0x4002_1008, 0x4002_1018
GPIO = 0x4001_0000
PADKEY, CTENCFG = GPIO + 0x60, GPIO + 0x118
CTIMER = 0x4000_8000
UART0 = 0x4001_C000
DR, FR, IBRD, FBRD, LCRH, CR = (UART0 + offset for offset in (0, 0x18, 0x24, 0x28, 0x2C, 0x30))


@dataclass(frozen=True)
class Poke:
    """Stores a word; ``size`` 1 stores its low byte."""

    address: int
    value: int
    size: int = 4


@dataclass(frozen=True)
class Peek:
    """Loads a word."""

    address: int


@dataclass(frozen=True)
class WaitSet:
    """Polls until a bit is 1."""

    address: int
    bit: int


@dataclass(frozen=True)
class Raw:
    """Half-words of machine code."""

    halfwords: tuple[int, ...]


@dataclass(frozen=True)
class Load:
    """Sets a register of the core, 0 to 12."""

    register: int
    value: int


@dataclass(frozen=True)
class Say:
    """Sends text by UART0; ``polled``: looks at TXFF before each byte."""

    text: str
    polled: bool = True


@dataclass(frozen=True)
class Call:
    """Calls the function at this address; negative: back from the end of the image's code."""

    address: int


@dataclass(frozen=True)
class Blamed:
    """The operation whose memory access a fault must name."""

    operation: Poke | Peek | WaitSet | Raw


Operation = Poke | Peek | WaitSet | Raw | Load | Say | Call | Blamed


@dataclass
class Assembler:
    """Machine code from ``origin`` on."""

    origin: int
    code: bytearray = field(default_factory=bytearray)
    blamed: int | None = None

    @property
    def here(self) -> int:
        return self.origin + len(self.code)

    def emit(self, *halfwords: int) -> None:
        for halfword in halfwords:
            self.code += struct.pack("<H", halfword)

    def load(self, register: int, value: int) -> None:
        """movw and movt; always four half-words."""
        for opcode, half in ((0xF240, value & 0xFFFF), (0xF2C0, value >> 16)):
            first = opcode | (half >> 11 & 1) << 10 | half >> 12
            self.emit(first, (half >> 8 & 7) << 12 | register << 8 | half & 0xFF)

    def add(self, operation: Operation) -> None:
        match operation:
            case Blamed(inner):
                self.add(inner)
                assert self.blamed is not None
            case Poke(address, value, size):
                self.load(0, address)
                self.load(1, value)
                self.blamed = self.here
                self.emit({4: 0x6001, 2: 0x8001, 1: 0x7001}[size])  # str(h|b) r1, [r0]
            case Peek(address):
                self.load(0, address)
                self.blamed = self.here
                self.emit(0x6802)  # ldr r2, [r0]
            case WaitSet(address, bit):
                self.load(0, address)
                self.blamed = self.here
                self.emit(0x6802, (31 - bit) << 6 | 0x12, 0xD5FC)  # ldr; lsls r2, r2, #n; bpl
            case Raw(halfwords):
                self.blamed = self.here
                self.emit(*halfwords)
            case Load(register, value):
                self.load(register, value)
            case Call(address):
                self.load(3, address | 1)
                self.emit(0x4798)  # blx r3
            case Say(text, polled):
                self.load(0, UART0)
                for byte in text.encode("latin-1"):
                    if polled:
                        self.emit(0x6982, 26 << 6 | 0x12, 0xD4FC)  # ldr r2, [r0, #0x18]; lsls; bmi
                    self.load(1, byte)
                    self.emit(0x6001)
            case _:
                assert_never(operation)


@dataclass(frozen=True)
class Firmware:
    """An image and the address of the instruction that its fault must name."""

    image: bytes
    blamed: int | None


def firmware(
    *parts: Operation | Iterable[Operation],
    functions: Iterable[Operation] = (),
    stack_pointer: int = EDGE.application.initial_stack_pointer,
    board: Board = EDGE,
) -> Firmware:
    """Assemble an image that runs ``parts`` and then halts in an endless loop.

    ``functions`` come first, right after the vector table: ``FUNCTIONS`` is their address.
    """
    start = board.application.load_address
    code = Assembler(start + 4 * board.core.vector_words)
    blamed = None
    for operation in functions:
        code.add(operation)
        if isinstance(operation, Blamed):
            blamed = code.blamed
    entry = code.here
    for part in parts:
        for operation in part if isinstance(part, Iterable) else (part,):
            code.add(operation)
            if isinstance(operation, Blamed):
                blamed = code.blamed
    code.emit(BRANCH_TO_SELF)
    vectors = [stack_pointer, entry | 1, *[entry | 1] * (board.core.vector_words - 2)]
    return Firmware(struct.pack(f"<{len(vectors)}I", *vectors) + bytes(code.code), blamed)


FUNCTIONS = EDGE.application.load_address + 4 * EDGE.core.vector_words


def pad(number: int, value: int) -> Poke:
    """Set one pad's byte, the other three as they are after reset."""
    others = 0x18181818 & ~(0xFF << 8 * (number & 3))
    if number & ~3 == 48:
        others &= 0xFFFF
    return Poke(GPIO + (number & ~3), others | value << 8 * (number & 3))


def expect(value: int) -> tuple[Operation, ...]:
    """Halt at a breakpoint unless the last peek loaded this."""
    return Load(1, value), Raw((0x428A, 0xD000, BKPT))  # cmp r2, r1; beq over the breakpoint


def forever(*operations: Operation) -> Raw:
    """Do this again and again."""
    code = Assembler(0)
    for operation in operations:
        code.add(operation)
    halfwords = struct.unpack(f"<{len(code.code) // 2}H", bytes(code.code))
    return Raw((*halfwords, 0xE000 | -(len(halfwords) + 2) & 0x7FF))  # b back


# A good start, in the order that the data sheet wants. Tests leave out or replace one part.
FPU = (Poke(CPACR, 0xF << 20),)
CLOCK = (Poke(CLKKEY, 0x47), Poke(CCTRL, 0), Poke(CLKKEY, 0))
CACHE = (Poke(CACHECFG, 0x0010_0780), Poke(CACHECFG, 0x0010_0781))
POWER = (Poke(DEVPWREN, 1 << 7), WaitSet(DEVPWRSTATUS, 2))
UNLOCK, LOCK = Poke(PADKEY, 0x73), Poke(PADKEY, 0)
UART_PADS = (UNLOCK, Poke(GPIO + 48, 0x0200), LOCK)
UART = (
    *(Poke(CR, 0), Poke(CR, 0x18), Poke(IBRD, 13), Poke(FBRD, 1), Poke(LCRH, 0x70)),
    Poke(CR, 0x319),
)
CONSOLE = (*POWER, *UART_PADS, *UART)

# The red LED: pad 46, CT24, timer A6 at source 2; 3,000 of 12,000 counts high.
CTRL6, CMPRA6, GLOBEN, OUTCFG2 = CTIMER + 0xCC, CTIMER + 0xC4, CTIMER + 0x100, CTIMER + 0x10C
CLR, RUN = 0x08C2, 0x00C3  # CLK 1, FN 3, with CLR and with EN
COMPARE = 11999 << 16 | 8999
TIMER = (Poke(CTRL6, CLR), Poke(CMPRA6, COMPARE), Poke(CTRL6, RUN))
LED_OUTPUT = Poke(CTENCFG, 0xFFFF_FFFF & ~(1 << 24))
LED_PAD = (UNLOCK, pad(46, 0x10), LOCK)
LED = (*TIMER, LED_OUTPUT, *LED_PAD)

RESULT = "x_value: 1.0*2^0, y_value: 1.0*2^-1 raw: in=-87 out=64 x=0x3f800000 y=0x3f000000\r\n"


def run(
    *parts: Operation | Iterable[Operation],
    board: Board = EDGE,
    elf: Path | None = None,
    inferences: int | None = None,
    until_text: str | None = None,
    budget: int = 20_000_000,
    native_counter: bool = True,
    functions: Iterable[Operation] = (),
) -> SimulationResult:
    """Run a firmware; without an end it must say ``done``."""
    made = firmware(*parts, board=board, functions=functions)
    return run_image(
        made.image,
        board=board,
        elf=elf,
        inferences=inferences,
        until_text=until_text,
        budget=budget,
        native_counter=native_counter,
    )


def brightness(*parts: Operation | Iterable[Operation]) -> dict[str, float]:
    """Run a firmware with a console, then let it print a result; return the LEDs."""
    result = run(CONSOLE, *parts, Say(RESULT), inferences=1)
    return dict(result.inferences[0].brightness)


def run_image(
    image: bytes,
    *,
    board: Board = EDGE,
    elf: Path | None = None,
    inferences: int | None = None,
    until_text: str | None = None,
    budget: int = 20_000_000,
    native_counter: bool = True,
) -> SimulationResult:
    if inferences is None and until_text is None:
        until_text = "done"
    return simulate(
        SimulationRequest(board, image, elf, inferences, until_text, budget),
        native_counter=native_counter,
    )


def refused(
    *parts: Operation | Iterable[Operation],
    board: Board = EDGE,
    functions: Iterable[Operation] = (),
    budget: int = 20_000_000,
) -> str:
    """Run a firmware that must break a rule at its blamed operation; return the message."""
    made = firmware(*parts, board=board, functions=functions)
    assert made.blamed is not None, "no operation is blamed"
    with pytest.raises(SimulationFaultError) as caught:
        run_image(made.image, board=board, budget=budget)
    address = re.search(r", at 0x([0-9A-F]{8})$", caught.value.what)
    assert address is not None, caught.value.what
    assert int(address[1], 16) == made.blamed, f"0x{made.blamed:08X} is to blame: {caught.value}"
    return str(caught.value)


def symbol_file(path: Path, image: bytes, functions: dict[str, tuple[int, int]]) -> Path:
    """Write an ELF file with the image as its segment and symbols: name to address and size."""
    load = EDGE.application.load_address
    names = b"\0"
    symbols = bytes(16)
    for name, (address, size) in functions.items():
        symbols += struct.pack("<IIIBBH", len(names), address | 1, size, 0x12, 0, 1)
        names += name.encode() + b"\0"
    section_names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at = 52 + 32
    places = []
    body = b""
    for part in (image, symbols, names, section_names):
        places.append(at + len(body))
        body += part
    headers = bytes(40)
    for kind, section, place, size, link, entry_size in (
        (1, b".text", places[0], len(image), 0, 0),
        (2, b".symtab", places[1], len(symbols), 3, 16),
        (3, b".strtab", places[2], len(names), 0, 0),
        (3, b".shstrtab", places[3], len(section_names), 0, 0),
    ):
        headers += struct.pack(
            "<10I",
            section_names.index(b"\0" + section + b"\0") + 1,
            kind,
            2 if kind == 1 else 0,
            load if kind == 1 else 0,
            place,
            size,
            link,
            1 if kind == 2 else 0,
            4,
            entry_size,
        )
    identity = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = identity + struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, load | 1, 52, at + len(body), 0x0500_0400, 52, 32, 1, 40, 5, 4
    )
    segment = struct.pack("<8I", 1, at, load, load, len(image), len(image), 5, 4)
    path.write_bytes(header + segment + body + headers)
    return path
