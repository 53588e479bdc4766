"""UART0 and UART1: transmission by polling, checked down to the baud rate on the pad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

FIFO_DEPTH = 32
LARGEST_BAUD_ERROR = 0.03
"""Of the rate: a receiver that samples in the middle of ten bits stands about this much."""

_DR, _FR, _IBRD, _FBRD, _LCRH, _CR = 0x00, 0x18, 0x24, 0x28, 0x2C, 0x30
_UARTEN, _CLKEN, _TXE = 1 << 0, 1 << 3, 1 << 8
_EMPTY = 0x90  # TXFE and RXFE
_CLOCK_HZ = {1: 24_000_000, 2: 12_000_000, 3: 6_000_000, 4: 3_000_000}
_MODELLED_CONTROL = 0x0379  # UARTEN, CLKEN, CLKSEL, TXE, RXE
_FEN = 1 << 4
_FRAME = 0x6F  # WLEN, STP2, EPS, PEN, BRK
_EIGHT_BITS_NO_PARITY = 0x60


@dataclass(frozen=True)
class UartPort:
    """One UART's place in the chip.

    Attributes:
        number: 0 or 1.
        power_bit: of PWRCTRL.DEVPWREN.
        baud: what the line's other end expects, bits per second; None: nobody listens.
        is_enabled: whether its DEVPWREN bit is set.
        is_seen_on: whether its power domain is on and the program has seen it.
        transmit_pad_problem: what is wrong with its transmit pad, '' if nothing.
        send: takes each byte.
    """

    number: int
    power_bit: int
    baud: int | None
    is_enabled: Callable[[], bool]
    is_seen_on: Callable[[], bool]
    transmit_pad_problem: Callable[[], str]
    send: Callable[[int], None]


class Uart(Peripheral):
    """A UART at 0x4001C000 or 0x4001D000; what it sends has left at once."""

    def __init__(self, port: UartPort) -> None:
        super().__init__(f"UART{port.number}", 0x4001_C000 + 0x1000 * port.number)
        self._port = port
        self._ready = False
        self._unseen = 0
        self._divisor64 = 0
        self.add(_DR, "DR", bits=0xFF, readable=False)
        self.add(_FR, "FR", bits=0x1FF, writable=False)
        self.add(_IBRD, "IBRD", bits=0xFFFF, write=self._frame_writer("IBRD"))
        self.add(_FBRD, "FBRD", bits=0x3F, write=self._frame_writer("FBRD"))
        self.add(_LCRH, "LCRH", bits=0xFF, write=self._frame_writer("LCRH"))
        self.add(_CR, "CR", bits=0xFFFF, reset=0x300, write=self._write_control)
        self.add(0x34, "IFLS", bits=0x3F, reset=0x12)
        self.add(0x38, "IER", bits=0x7FF, write=self._write_interrupts)
        self.add(0x44, "IEC", bits=0x7FF, readable=False)
        self._send = port.send
        self.readers |= {at: self._powered_read(read) for at, read in self.readers.items()}
        self.writers |= {at: self._powered_write(write) for at, write in self.writers.items()}
        # The console polls and writes these for each character.
        self.readers[_FR] = self._read_flags
        self.writers[_DR] = self._write_data

    def recheck(self) -> None:
        """Look at power and pads again before the next byte: they changed."""
        self._ready = False

    def _powered_read(self, read: Callable[[], int]) -> Callable[[], int]:
        def guarded() -> int:
            self._check_power()
            return read()

        return guarded

    def _powered_write(self, write: Callable[[int], None]) -> Callable[[int], None]:
        def guarded(value: int) -> None:
            self._check_power()
            write(value)

        return guarded

    def _check_power(self) -> None:
        port = self._port
        if not port.is_enabled():
            raise RuleBrokenError(
                f"{self.name} was used while it has no power",
                why=f"bit {port.power_bit} of PWRCTRL.DEVPWREN is 0; the access would fault",
                next_step=f"set bit {port.power_bit} of PWRCTRL.DEVPWREN (0x40021008) first",
            )
        if not port.is_seen_on():
            raise RuleBrokenError(
                f"{self.name} was used before its power domain was seen to be on",
                why="power takes a while to come; PWRCTRL.DEVPWRSTATUS bit 2 (HCPA) shows it",
                next_step="poll DEVPWRSTATUS (0x40021018) until bit 2 is 1",
            )

    def _read_flags(self) -> int:
        if not self._ready:
            self._check_power()
        self._unseen = 0
        return _EMPTY

    def _write_data(self, value: int) -> None:
        if not self._ready:
            self._check_transmitter()
            self._ready = True
        if value & ~0xFF:
            raise RuleBrokenError(
                f"0x{value:08X} was written to {self.name}.DR, more than a byte",
                why="bits 8 and up are the receiver's error flags",
                next_step="convert characters to uint8_t, not through a signed char",
            )
        depth = FIFO_DEPTH if self.values[_LCRH] & _FEN else 1
        self._unseen += 1
        if self._unseen > depth:
            raise RuleBrokenError(
                f"{depth + 1} bytes were sent by {self.name} without a look at its flags",
                why=f"the transmit buffer holds {depth}; further bytes are lost",
                next_step=f"wait until TXFF (bit 5 of {self.name}.FR) is 0 before each byte",
            )
        self._send(value)

    def _frame_writer(self, name: str) -> Callable[[int, int], None]:
        def write(_old: int, _new: int) -> None:
            self._ready = False
            if self.values[_CR] & _UARTEN:
                raise RuleBrokenError(
                    f"{self.name}.{name} was written while {self.name} is enabled",
                    why="frame and baud rate may change only while UARTEN is 0",
                    next_step=f"clear {self.name}.CR first",
                )
            if name == "LCRH":
                # The divisors take effect together with a write to LCRH.
                self._divisor64 = self.values[_IBRD] * 64 + self.values[_FBRD]

        return write

    def _write_control(self, _old: int, new: int) -> None:
        self._ready = False
        if new & ~_MODELLED_CONTROL:
            raise RuleBrokenError(
                f"0x{new:04X} was written to {self.name}.CR",
                why=f"bits 0x{new & ~_MODELLED_CONTROL:04X} (loop back, infrared, modem lines, "
                "flow control) are not modelled",
            )
        if new & _UARTEN:
            self._check_clock()

    def _write_interrupts(self, _old: int, new: int) -> None:
        if new:
            raise RuleBrokenError(
                f"an interrupt of {self.name} was enabled",
                why="the simulator delivers no interrupts",
                next_step=f"poll {self.name}.FR",
            )

    def _check_clock(self) -> int:
        """Return the clock in Hz."""
        control = self.values[_CR]
        code = control >> 4 & 7
        if not control & _CLKEN or code not in _CLOCK_HZ:
            raise RuleBrokenError(
                f"{self.name} was enabled without a clock",
                why=f"in {self.name}.CR, CLKEN is {control >> 3 & 1} and CLKSEL is {code}; "
                "0 is no clock, 1 is 24 MHz",
                next_step=f"write 0x18 to {self.name}.CR (CLKEN, 24 MHz) before UARTEN",
            )
        return _CLOCK_HZ[code]

    def _check_transmitter(self) -> None:
        self._check_power()
        control = self.values[_CR]
        if not control & _UARTEN:
            raise RuleBrokenError(
                f"{self.name} was written while it is not enabled",
                why=f"UARTEN (bit 0 of {self.name}.CR) is 0",
            )
        clock = self._check_clock()
        if not control & _TXE:
            raise RuleBrokenError(
                f"{self.name} was written while its transmitter is off",
                why=f"TXE (bit 8 of {self.name}.CR) is 0",
            )
        problem = self._port.transmit_pad_problem()
        if problem:
            raise RuleBrokenError(
                f"{self.name} sent a byte that reaches no pad",
                why=problem,
                next_step=f"set FNCSEL of the console's pad to {self.name}'s transmit signal",
            )
        if self.values[_LCRH] & _FRAME != _EIGHT_BITS_NO_PARITY:
            raise RuleBrokenError(
                f"{self.name} sends other frames than 8N1",
                why=f"LCRH is 0x{self.values[_LCRH]:02X}; 8 bits, no parity, one stop bit need "
                "WLEN = 3, PEN = 0, STP2 = 0 and BRK = 0",
                next_step=f"write 0x70 to {self.name}.LCRH",
            )
        self._check_baud(clock)

    def _check_baud(self, clock: int) -> None:
        if self._divisor64 != self.values[_IBRD] * 64 + self.values[_FBRD]:
            raise RuleBrokenError(
                f"{self.name}'s divisors were written after LCRH",
                why="IBRD and FBRD take effect only when LCRH is written after them",
                next_step="write IBRD, FBRD, then LCRH",
            )
        if self._divisor64 < 64:
            raise RuleBrokenError(
                f"{self.name} has no baud rate", why="IBRD is 0; the divisor must be 1 or more"
            )
        if self._port.baud is None:
            return
        baud = clock * 4 / self._divisor64
        error = baud / self._port.baud - 1
        if abs(error) > LARGEST_BAUD_ERROR:
            raise RuleBrokenError(
                f"{self.name} sends at {baud:,.0f} baud, {error:+.1%} off {self._port.baud:,}",
                why=f"its clock is {clock // 1_000_000} MHz, IBRD {self.values[_IBRD]} and FBRD "
                f"{self.values[_FBRD]}; a receiver stands {LARGEST_BAUD_ERROR:.0%}",
                next_step="divisor = clock / (16 * baud): IBRD its integer, FBRD its 64ths",
            )
