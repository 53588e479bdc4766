"""USART1: transmission by polling, checked down to the baud rate on the pin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

LARGEST_BAUD_ERROR = 0.03
"""Of the rate: a receiver that samples in the middle of ten bits stands about this much."""

_CR1, _CR2, _CR3, _BRR, _ISR, _ICR, _RDR, _TDR = 0x00, 0x04, 0x08, 0x0C, 0x1C, 0x20, 0x24, 0x28
_UE, _RE, _TE, _OVER8 = 1 << 0, 1 << 2, 1 << 3, 1 << 15
_FRAME = 1 << 28 | 1 << 12 | 1 << 10  # M1, M0, PCE
_INTERRUPTS = 0x0C00_41F0
_STOP = 3 << 12
_TXE, _TC, _TEACK, _REACK = 1 << 7, 1 << 6, 1 << 21, 1 << 22


@dataclass(frozen=True)
class Line:
    """USART1's place in the chip and on the board.

    Attributes:
        clock: returns the clock that it divides, in Hz; 0: none.
        clock_source: returns the name of that clock.
        baud: what the line's other end expects, bits per second; None: nobody listens.
        pin_problem: returns what is wrong with the pin that it sends by, and where that was
            written; '' if nothing is.
        send: takes each byte.
    """

    clock: Callable[[], int]
    clock_source: Callable[[], str]
    baud: int | None
    pin_problem: Callable[[], tuple[str, int | None]]
    send: Callable[[int], None]


class Usart(Peripheral):
    """USART1 at 0x40011000; what it sends has left when the firmware looks."""

    def __init__(self, line: Line) -> None:
        super().__init__("USART1", 0x4001_1000, 0x400)
        self._line = line
        self._ready = False
        self._seen_empty = False
        self._send = line.send
        self.add(_CR1, "CR1", bits=0x1FFF_FFFF, write=self._write_control)
        self.add(_CR2, "CR2", bits=0xFFFF_FF70, write=self._frame_writer("CR2", _STOP))
        self.add(_CR3, "CR3", bits=0x007E_FFFF, write=self._frame_writer("CR3", 0))
        self.add(_BRR, "BRR", bits=0xFFFF, write=self._frame_writer("BRR", 0xFFFF))
        self.add(_ISR, "ISR", bits=0x007F_DFFF, reset=_TXE | _TC, writable=False)
        self.add(_ICR, "ICR", bits=0x0012_1B5F, readable=False)
        self.add(_RDR, "RDR", bits=0x1FF, writable=False)
        self.add(_TDR, "TDR", bits=0x1FF)

    def hurry(self) -> None:
        """Ask the guards, which are there now, about status and data only after a change.

        A console uses these two registers for each character.
        """
        self._guarded_isr, self._guarded_tdr = self.readers[_ISR], self.writers[_TDR]
        self.readers[_ISR] = self._read_status
        self.writers[_TDR] = self._write_data

    def recheck(self) -> None:
        """Look at clock, pin and rate again before the next byte: they may have changed."""
        self._ready = False

    def _read_status(self) -> int:
        if not self._ready:
            self._guarded_isr()
        self._seen_empty = True
        control = self.values[_CR1]
        if not control & _UE:
            return _TXE | _TC
        acknowledged = (_TEACK if control & _TE else 0) | (_REACK if control & _RE else 0)
        return _TXE | _TC | acknowledged

    def _write_data(self, value: int) -> None:
        if not self._ready:
            self._guarded_tdr(value)
            self._check_transmitter()
            self._ready = True
        if value & ~0xFF:
            raise RuleBrokenError(
                f"0x{value:08X} was written to {self.name}.TDR, more than a byte",
                why="with 8 data bits, bit 8 and above do not exist",
                next_step="convert characters to uint8_t, not through a signed char",
            )
        if not self._seen_empty:
            raise RuleBrokenError(
                "a byte was written to USART1.TDR before it was seen to be empty",
                why="the byte before may still be there and is lost",
                next_step="poll USART1.ISR (0x4001101C) until TXE (bit 7) is 1 before each byte",
            )
        self._seen_empty = False
        self._send(value)

    def _frame_writer(self, name: str, modelled: int) -> Callable[[int, int], None]:
        def write(old: int, new: int) -> None:
            self._ready = False
            if new & ~modelled:
                raise RuleBrokenError(
                    f"0x{new:08X} was written to USART1.{name}",
                    why=f"bits 0x{new & ~modelled:08X} are not modelled: DMA, flow control, other "
                    "protocols",
                )
            if old != new:
                self._check_disabled(f"USART1.{name}")

        return write

    def _check_disabled(self, what: str) -> None:
        if self.values[_CR1] & _UE:
            raise RuleBrokenError(
                f"{what} was changed while USART1 is enabled",
                why="frame and rate may change only while UE (bit 0 of CR1) is 0",
                next_step="write it before UE",
            )

    def _write_control(self, old: int, new: int) -> None:
        self._ready = False
        if new & _INTERRUPTS:
            raise RuleBrokenError(
                "an interrupt of USART1 was enabled",
                why="the simulator delivers no interrupts",
                next_step="poll USART1.ISR",
            )
        modelled = _UE | _RE | _TE | _FRAME | _OVER8
        if new & ~modelled:
            raise RuleBrokenError(
                f"0x{new:08X} was written to USART1.CR1",
                why=f"bits 0x{new & ~modelled:08X} are not modelled",
            )
        if old & new & _UE and (old ^ new) & (_FRAME | _OVER8):
            self._check_disabled("the frame in USART1.CR1")

    def _check_transmitter(self) -> None:
        control = self.values[_CR1]
        for bit, name in ((_UE, "UE, bit 0"), (_TE, "TE, bit 3")):
            if not control & bit:
                raise RuleBrokenError(
                    "USART1 was given a byte while it does not transmit",
                    why=f"{name} of USART1.CR1, is 0",
                    next_step="write 0xD to USART1.CR1 (0x40011000): UE, RE, TE",
                )
        problem, place = self._line.pin_problem()
        if problem:
            raise RuleBrokenError(
                "USART1 sent a byte that reaches no pin",
                why=problem,
                next_step="give the console's pin function 7: MODER 2, AFRL or AFRH 7",
                address=place,
            )
        if control & _FRAME or self.values[_CR2] & _STOP:
            raise RuleBrokenError(
                "USART1 sends other frames than 8N1",
                why="M1, M0 and PCE of CR1 and STOP of CR2 must be 0",
            )
        self._check_baud()

    def _check_baud(self) -> None:
        clock, divider = self._line.clock(), self.values[_BRR]
        if not clock:
            raise RuleBrokenError(
                "USART1 has no clock to divide",
                why="USART1SEL of RCC.DCKCFGR2 chooses a clock that is not modelled",
                next_step="choose HSI: 2",
            )
        if self.values[_CR1] & _OVER8:
            # The lowest three bits are shifted right by one.
            divider = divider & ~0xF | (divider & 7) << 1
        if divider < 16:
            raise RuleBrokenError(
                "USART1 has no baud rate", why=f"BRR is {self.values[_BRR]}; 16 is the least"
            )
        if self._line.baud is None:
            return
        baud = clock * (2 if self.values[_CR1] & _OVER8 else 1) / divider
        error = baud / self._line.baud - 1
        if abs(error) > LARGEST_BAUD_ERROR:
            raise RuleBrokenError(
                f"USART1 sends at {baud:,.0f} baud, {error:+.1%} off {self._line.baud:,}",
                why=f"its clock is {self._line.clock_source()}, {clock / 1e6:g} MHz, and BRR is "
                f"{self.values[_BRR]}; a receiver stands {LARGEST_BAUD_ERROR:.0%}",
                next_step=f"BRR = clock / baud: {round(clock / self._line.baud)}",
            )
