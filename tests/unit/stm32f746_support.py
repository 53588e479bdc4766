"""Tiny firmwares for an STM32F746G Discovery, in parts that can be left out or changed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from simulator import SimulationResult
from tests.unit.simulator_support import (
    Assembler,
    Blamed,
    Operation,
    Peek,
    Poke,
    Raw,
    WaitSet,
    firmware,
    run_image,
)
from toolchain.boards import Board, read_board
from toolchain.errors import SimulationFaultError

DISCO = read_board(Path(__file__).parents[2] / "boards" / "stm32f746g_disco" / "board.toml")
DARK = DISCO.model_copy(update={"display": None})
"""The board without its panel, for firmwares that do not draw."""

CR, PLLCFGR, CFGR, AHB1ENR, AHB2ENR, APB1ENR, APB2ENR = (
    0x4002_3800 + offset for offset in (0x00, 0x04, 0x08, 0x30, 0x34, 0x40, 0x44)
)
PLLSAICFGR, DCKCFGR1, DCKCFGR2 = 0x4002_3888, 0x4002_388C, 0x4002_3890
ACR = 0x4002_3C00
PWR_CR1, PWR_CSR1 = 0x4000_7000, 0x4000_7004
USART1 = 0x4001_1000
USART_CR1, USART_CR2, USART_CR3, BRR, ISR, TDR = (
    USART1 + offset for offset in (0x00, 0x04, 0x08, 0x0C, 0x1C, 0x28)
)
TIM1 = 0x4001_0000
TIM_CR1, TIM_CR2, DIER, EGR, CCMR1, PSC, ARR, CCR1 = (
    TIM1 + offset for offset in (0x00, 0x04, 0x0C, 0x14, 0x18, 0x28, 0x2C, 0x34)
)
LTDC = 0x4001_6800
SSCR, BPCR, AWCR, TWCR, GCR, SRCR, BCCR = (
    LTDC + offset for offset in (0x08, 0x0C, 0x10, 0x14, 0x18, 0x24, 0x2C)
)
L1CR, WHPCR, WVPCR, PFCR, CACR, DCCR, BFCR, CFBAR, CFBLR, CFBLNR, CLUTWR = (
    LTDC + 0x84 + offset
    for offset in (0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x1C, 0x28, 0x2C, 0x30, 0x40)
)
CPACR, CCR, CCSIDR, CSSELR = 0xE000_ED88, 0xE000_ED14, 0xE000_ED80, 0xE000_ED84
MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RASR = 0xE000_ED94, 0xE000_ED98, 0xE000_ED9C, 0xE000_EDA0
ICIALLU, DCISW = 0xE000_EF50, 0xE000_EF60

FRAME_BUFFER = 0x2001_0000
Parts = tuple[Operation, ...]
FPU = Poke(CPACR, 0xF << 20)


def port(letter: str, register: str) -> int:
    """Return the address of a port's register."""
    offsets = ("MODER", "OTYPER", "OSPEEDR", "PUPDR", "IDR", "ODR", "BSRR", "LCKR", "AFRL", "AFRH")
    return 0x4002_0000 + 0x400 * "ABCDEFGHIJK".index(letter) + 4 * offsets.index(register)


def stream(number: int, register: str) -> int:
    """Return the address of a register of a stream of DMA2."""
    registers = ("CR", "NDTR", "PAR", "M0AR", "M1AR", "FCR")
    return 0x4002_6410 + 0x18 * number + 4 * registers.index(register)


def changed(parts: Iterable[Operation], changes: Mapping[int, int | None]) -> tuple[Operation, ...]:
    """Return ``parts`` with other values written to these addresses; None: not written at all."""
    found: set[int] = set()
    made: list[Operation] = []
    for part in parts:
        if isinstance(part, Poke) and part.address in changes:
            found.add(part.address)
            value = changes[part.address]
            if value is not None:
                made.append(Blamed(Poke(part.address, value)))
        else:
            made.append(part)
    assert found == set(changes)
    return tuple(made)


def unblamed(parts: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return ``parts`` with nothing to blame."""
    return tuple(part.operation if isinstance(part, Blamed) else part for part in parts)


def without(parts: Iterable[Operation], address: int) -> tuple[Operation, ...]:
    """Return ``parts`` without whatever reads or writes this address."""
    kept = tuple(
        part
        for part in parts
        if not (isinstance(part, Poke | Peek | WaitSet) and part.address == address)
    )
    assert len(kept) < len(tuple(parts))
    return kept


# 216 MHz, in the order of the reference manual.
HSE: Parts = (Poke(CR, 0x0001_0083), WaitSet(CR, 17))
OVER_DRIVE: Parts = (
    *(Poke(PWR_CR1, 0x0001_C000), WaitSet(PWR_CSR1, 16)),
    *(Poke(PWR_CR1, 0x0003_C000), WaitSet(PWR_CSR1, 17)),
)
WAIT_STATES: Parts = (Poke(ACR, 0x307), Peek(ACR))
PWREN = Poke(APB1ENR, 1 << 28)
PLL_FACTORS = 0x2940_6C19
PLL: Parts = (*HSE, Poke(PLLCFGR, PLL_FACTORS), Poke(CR, 0x0101_0083))
DIVIDERS = 5 << 10 | 4 << 13
TO_PLL: Parts = (Poke(CFGR, DIVIDERS), WaitSet(CR, 25), Poke(CFGR, DIVIDERS | 2))
AT_216_MHZ: Parts = (PWREN, *PLL, *OVER_DRIVE, *WAIT_STATES, *TO_PLL, WaitSet(CFGR, 3))

PORTS_AND_DMA = 0x0050_0753
CLOCKED: Parts = (
    Poke(AHB1ENR, PORTS_AND_DMA),
    Poke(APB2ENR, 1 << 26 | 1 << 4 | 1),
    Poke(DCKCFGR2, 2),
)
UART_PIN: Parts = (Poke(port("A", "AFRH"), 0x70), Poke(port("A", "MODER"), 0xA808_0000))
UART: Parts = (Poke(BRR, 139), Poke(USART_CR1, 0xD))
CONSOLE: Parts = (*CLOCKED, *UART_PIN, *UART)

# The LED: PI1 set at the compare value 3,000 of 4,000 counts, cleared at their end: a quarter.
LED_PIN = Poke(port("I", "MODER"), 1 << 2)
FLASH_WORDS = DISCO.application.load_address + 4 * DISCO.core.vector_words
"""Address of two constants that ``image_of`` puts behind the vector table: set PI1, clear PI1."""

TO_PORT = 6 << 25 | 2 << 13 | 2 << 11 | 1 << 8 | 1 << 6 | 1


def fed(number: int, source: int) -> tuple[Operation, ...]:
    """Let a stream of DMA2 write a word to port I."""
    return (
        Poke(stream(number, "NDTR"), 1),
        Poke(stream(number, "PAR"), port("I", "BSRR")),
        Poke(stream(number, "M0AR"), source),
        Poke(stream(number, "CR"), TO_PORT),
    )


STREAMS: Parts = (*fed(1, FLASH_WORDS), *fed(5, FLASH_WORDS + 4))
TIMER: Parts = (
    *(Poke(PSC, 0), Poke(ARR, 3999), Poke(CCMR1, 1 << 3), Poke(CCR1, 3000), Poke(EGR, 1)),
    *(Poke(DIER, 1 << 8 | 1 << 9), Poke(TIM_CR1, 1)),
)
LED: Parts = (LED_PIN, *STREAMS, *TIMER)

# The display, with clock gates on.
DISPLAY_PINS: Parts = (
    *(Poke(port("E", "MODER"), 2 << 8), Poke(port("E", "AFRL"), 0x000E_0000)),
    *(Poke(port("G", "MODER"), 2 << 24), Poke(port("G", "AFRH"), 0x0009_0000)),
    Poke(port("I", "MODER"), 0xA128_0004),
    *(Poke(port("I", "AFRH"), 0xEE00_0EE0), Poke(port("J", "MODER"), 0xA8AA_AAAA)),
    *(Poke(port("J", "AFRL"), 0xEEEE_EEEE), Poke(port("J", "AFRH"), 0xEEE0_EEEE)),
    *(Poke(port("K", "MODER"), 0x0000_AA6A), Poke(port("K", "AFRL"), 0xEEEE_0EEE)),
    *(Poke(port(letter, "OSPEEDR"), 0xAAAA_AAAA) for letter in "EGIJK"),
)
PIXEL_CLOCK: Parts = (
    *(Poke(PLLSAICFGR, 0x5400_3000), Poke(DCKCFGR1, 1 << 16)),
    *(Poke(CR, 0x1000_0083), WaitSet(CR, 29)),
)
PANEL: Parts = (
    *(Poke(SSCR, 0x0028_0009), Poke(BPCR, 0x0035_000B)),
    *(Poke(AWCR, 0x0215_011B), Poke(TWCR, 0x0235_011D)),
)
LAYER: Parts = (
    *(Poke(WHPCR, 0x0215_0036), Poke(WVPCR, 0x011B_000C), Poke(PFCR, 5), Poke(CACR, 0xFF)),
    *(Poke(CFBAR, FRAME_BUFFER), Poke(CFBLR, 0x01E0_01E3), Poke(CFBLNR, 272)),
    *(Poke(CLUTWR, 0x00F4_B400), Poke(CLUTWR, 0x01DB_4437), Poke(L1CR, 0x11)),
)
SWITCHES: Parts = (Poke(port("I", "BSRR"), 1 << 12), Poke(port("K", "BSRR"), 1 << 3))
DISPLAY: Parts = (
    *(*DISPLAY_PINS, *PIXEL_CLOCK, *PANEL, *LAYER),
    *(Poke(SRCR, 1), Poke(GCR, 0x2221), *SWITCHES),
)

# Caches and memory protection.
INVALIDATE: Parts = tuple(
    Poke(DCISW, way << 30 | set_ << 5) for way in range(4) for set_ in range(32)
)
DATA_CACHE: Parts = (*INVALIDATE, Poke(CCR, 0x5_0200))
UNCACHED_REGION = 0x1308_C323
UNCACHED: Parts = (Poke(MPU_RBAR, 0x2000_0010), Poke(MPU_RASR, UNCACHED_REGION), Poke(MPU_CTRL, 5))


def cleared() -> Raw:
    """Set the frame buffer and a line more to zero; fast with the floating-point unit on."""
    code = Assembler(0)
    for register, value in enumerate((FRAME_BUFFER, 0, 480 * 273 // 4)):
        code.load(register, value)
    code.emit(0xF840, 0x1B04, 0x3A01, 0xD1FB)  # str r1, [r0], #4; subs r2, #1; bne
    return Raw(struct.unpack(f"<{len(code.code) // 2}H", bytes(code.code)))


def say(text: str, *, polled: bool = True) -> Raw:
    """Send text by USART1; ``polled``: look at TXE before each byte."""
    code = Assembler(0)
    code.load(0, USART1)
    for byte in text.encode("latin-1"):
        if polled:
            # ldr r2, [r0, #0x1c]; lsls r2, r2, #24; bpl
            code.emit(0x69C2, 24 << 6 | 0x12, 0xD5FC)
        code.load(1, byte)
        code.emit(0x6281)  # str r1, [r0, #0x28]
    return Raw(struct.unpack(f"<{len(code.code) // 2}H", bytes(code.code)))


DONE = say("done\r\n")
CONSTANTS = Raw(struct.unpack("<4H", struct.pack("<II", 1 << 1, 1 << 17)))


def image_of(
    *parts: Operation | Iterable[Operation], board: Board = DARK
) -> tuple[bytes, int | None]:
    """Assemble a firmware; return it and the address of the instruction to blame."""
    made = firmware(
        *parts,
        functions=[CONSTANTS],
        stack_pointer=board.application.initial_stack_pointer,
        board=board,
    )
    return made.image, made.blamed


def run(
    *parts: Operation | Iterable[Operation], board: Board = DARK, inferences: int | None = None
) -> SimulationResult:
    """Run a firmware until it says ``done``, or so many result lines."""
    image, _blamed = image_of(*parts, board=board)
    return run_image(image, board=board, inferences=inferences)


def check_refused(
    message: str,
    *parts: Operation | Iterable[Operation],
    board: Board = DARK,
    inferences: int | None = None,
) -> None:
    """Check that a firmware breaks the rule that ``message`` says, by its blamed operation."""
    image, blamed = image_of(*parts, board=board)
    with pytest.raises(SimulationFaultError, match=f"(?s){message}") as caught:
        run_image(image, board=board, inferences=inferences)
    if blamed is not None:
        assert f"at 0x{blamed:08X}" in caught.value.what
