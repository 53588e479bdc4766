"""Tiny firmwares for the nRF52840, in the words of simulator_support."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from simulator import SimulationResult
from tests.unit.simulator_support import (
    FPU,
    RESULT,
    Firmware,
    Operation,
    Poke,
    WaitSet,
    firmware,
    run_image,
)
from toolchain.boards import Board, read_board
from toolchain.errors import SimulationFaultError

NANO = read_board(Path(__file__).parents[2] / "boards" / "arduino_nano_33_ble" / "board.toml")
RAM = NANO.ram.origin

CLOCK = 0x4000_0000
HFCLKSTART, HFCLKSTARTED, HFCLKSTAT = CLOCK, CLOCK + 0x100, CLOCK + 0x40C

P0, P1 = 0x5000_0000, 0x5000_0300
OUT, OUTSET, OUTCLR, IN, DIR, DIRSET, DIRCLR = range(0x504, 0x520, 4)
OUTPUT, INPUT, RESET_CNF = 0x3, 0x0, 0x2

UARTE0, UARTE1 = 0x4000_2000, 0x4002_8000
STARTTX, STOPTX, ENDTX, TXSTOPPED = 0x008, 0x00C, 0x120, 0x158
SHORTS, INTEN, INTENSET, ENABLE = 0x200, 0x300, 0x304, 0x500
PSEL_TXD, PSEL_RXD, BAUDRATE, TXD_PTR, MAXCNT, CONFIG = 0x50C, 0x514, 0x524, 0x544, 0x548, 0x56C

PWM0, PWM1 = 0x4001_C000, 0x4002_1000
STOP, SEQSTART0, SEQSTART1 = 0x004, 0x008, 0x00C
MODE, COUNTERTOP, PRESCALER, DECODER, LOOP = 0x504, 0x508, 0x50C, 0x510, 0x514
SEQ0, SEQ1 = 0x520, 0x540
CNT, REFRESH = 4, 8
PSEL_OUT = 0x560
HIGH_FIRST = 0x8000

TEXT = RAM + 0x100
"""Where ``say`` puts its text."""
SEQUENCE = RAM + 0x80

Parts: TypeAlias = "Operation | Iterable[Parts]"


def cnf(pin: int, value: int) -> Poke:
    """Configure a pin by its number: 35 is P1.03."""
    return Poke((P0, P1)[pin // 32] + 0x700 + 4 * (pin % 32), value)


def words(address: int, data: bytes) -> tuple[Poke, ...]:
    """Store bytes in RAM, padded to whole words."""
    data = data.ljust((len(data) + 3) & ~3, b"\0")
    values = struct.unpack(f"<{len(data) // 4}I", data)
    return tuple(Poke(address + 4 * index, value) for index, value in enumerate(values))


def halves(address: int, *values: int) -> tuple[Poke, ...]:
    """Store half-words in RAM."""
    return words(address, struct.pack(f"<{len(values)}H", *values))


def start_sending(address: int, size: int, base: int = UARTE0) -> tuple[Poke, ...]:
    return (
        Poke(base + ENDTX, 0),
        Poke(base + TXD_PTR, address),
        Poke(base + MAXCNT, size),
        Poke(base + STARTTX, 1),
    )


def say(text: str, address: int = TEXT) -> tuple[Operation, ...]:
    """Send text by UARTE0, from RAM, and wait until it has left."""
    data = text.encode("latin-1")
    return (
        *words(address, data),
        *start_sending(address, len(data)),
        WaitSet(UARTE0 + ENDTX, 0),
    )


# A good start, in the order that the product specification wants. Tests leave out or replace one
# part.
CRYSTAL = (Poke(HFCLKSTARTED, 0), Poke(HFCLKSTART, 1), WaitSet(HFCLKSTARTED, 0))
TX_HIGH, TX_OUTPUT = Poke(P1 + OUTSET, 1 << 3), cnf(35, OUTPUT)
RX_INPUT = cnf(42, INPUT)
PINS = (TX_HIGH, TX_OUTPUT, RX_INPUT)
SELECT_TX, SELECT_RX = Poke(UARTE0 + PSEL_TXD, 35), Poke(UARTE0 + PSEL_RXD, 42)
BAUD, FRAME = Poke(UARTE0 + BAUDRATE, 0x01D6_0000), Poke(UARTE0 + CONFIG, 0)
ENABLE_UARTE = Poke(UARTE0 + ENABLE, 8)
CONSOLE = (*PINS, SELECT_TX, SELECT_RX, BAUD, FRAME, ENABLE_UARTE)

LED_OUTPUT, LED_SELECT, ENABLE_PWM = (
    cnf(13, OUTPUT),
    Poke(PWM0 + PSEL_OUT, 13),
    Poke(PWM0 + ENABLE, 1),
)
TOP = Poke(PWM0 + COUNTERTOP, 200)
PLAY = Poke(PWM0 + SEQSTART0, 1)


def sequence(*values: int, at: int = SEQUENCE, seq: int = SEQ0) -> tuple[Poke, ...]:
    return (
        *halves(at, *values),
        Poke(PWM0 + seq, at),
        Poke(PWM0 + seq + CNT, len(values)),
    )


# The LED is high for 50 of 200 counts.
QUARTER = sequence(HIGH_FIRST | 50)
LED = (LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, *QUARTER, PLAY)


def flat(*parts: Parts) -> Iterator[Operation]:
    for part in parts:
        if isinstance(part, Iterable):
            yield from flat(*part)
        else:
            yield part


def nano_firmware(*parts: Parts, board: Board = NANO) -> Firmware:
    return firmware(
        FPU,
        flat(*parts),
        board=board,
        stack_pointer=board.application.initial_stack_pointer,
    )


def run_nano(
    *parts: Parts,
    board: Board = NANO,
    inferences: int | None = None,
    budget: int = 20_000_000,
) -> SimulationResult:
    """Run a firmware; without an end it must say ``done``."""
    image = nano_firmware(*parts, board=board).image
    return run_image(image, board=board, inferences=inferences, budget=budget)


def led(*parts: Parts, board: Board = NANO) -> float:
    """Run a firmware with a console, then let it print a result; return the LED's brightness."""
    result = run_nano(CONSOLE, *parts, say(RESULT), board=board, inferences=1)
    return result.inferences[0].brightness["builtin"]


def nano_refused(*parts: Parts, board: Board = NANO) -> str:
    """Run a firmware that must break a rule at its blamed operation; return the message."""
    made = nano_firmware(*parts, board=board)
    assert made.blamed is not None, "no operation is blamed"
    with pytest.raises(SimulationFaultError) as caught:
        run_image(made.image, board=board)
    address = re.search(r", at 0x([0-9A-F]{8})$", caught.value.what)
    assert address is not None, caught.value.what
    assert int(address[1], 16) == made.blamed, f"0x{made.blamed:08X} is to blame: {caught.value}"
    return str(caught.value)
