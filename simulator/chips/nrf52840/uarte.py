"""UARTE0 and UARTE1: transmission by EasyDMA, checked down to the baud rate on the pin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.chips.nrf52840.easydma import EasyDma
from simulator.chips.nrf52840.gpio import Gpio, pin_name
from simulator.chips.nrf52840.peripheral import ENABLE, NordicPeripheral
from simulator.rules import RuleBrokenError

LARGEST_BAUD_ERROR = 0.03
"""Of the rate: a receiver that samples in the middle of ten bits stands about this much."""

_STARTTX, _STOPTX = 0x008, 0x00C
_TXDRDY, _ENDTX, _ERROR, _TXSTARTED, _TXSTOPPED = 0x11C, 0x120, 0x124, 0x150, 0x158
_RTS, _TXD, _CTS, _RXD = 0x508, 0x50C, 0x510, 0x514
_BAUDRATE = 0x524
_PTR, _MAXCNT, _AMOUNT = 0x544, 0x548, 0x54C
_CONFIG = 0x56C
_DISABLED, _LEGACY, _ENABLED = 0, 4, 8
_EVEN_PARITY = 7
_CLOCK_HZ = 16_000_000
_LOOKS_UNTIL_SENT = 2
"""How often ENDTX is read until all has left: a program that does not wait is noticed."""


@dataclass(frozen=True)
class UartePort:
    """One UARTE's place in the chip.

    Attributes:
        number: 0 or 1.
        base: address.
        console_pin: transmit pin of the board's console; None: this is not the console's UARTE.
        baud: what the line's other end expects, bits per second; None: nobody listens.
        gpio: the pins.
        dma: reads what is sent.
        other_driver: returns what else drives a pin, '' if nothing.
        before_sending: called before each transmission; may refuse it.
        send: takes each byte.
    """

    number: int
    base: int
    console_pin: int | None
    baud: int | None
    gpio: Gpio
    dma: EasyDma
    other_driver: Callable[[int, str], str]
    before_sending: Callable[[], None]
    send: Callable[[int], None]


def actual_baud(register: int) -> float:
    """Return the rate, in bits per second, that a value of BAUDRATE makes; 0 for 0.

    The rate is the 16 MHz clock divided by a whole number. So are all actual rates that the SVD
    gives with its values.
    """
    return _CLOCK_HZ / (2**32 // register) if register else 0.0


class Uarte(NordicPeripheral):
    """A UARTE; the UART without EasyDMA at the same address, and receiving, are not modelled.

    What is sent reaches the console when the transmission starts, and the transmission ends when
    the program has looked for its end.
    """

    def __init__(self, port: UartePort) -> None:
        super().__init__(f"UARTE{port.number}", port.base)
        self._port = port
        self._looks = _LOOKS_UNTIL_SENT
        self._sending = b""
        self._pointer = 0
        self.add_task(_STARTTX, "TASKS_STARTTX", self._start)
        self.add_task(_STOPTX, "TASKS_STOPTX", self._stop)
        self.add_event(_TXDRDY, "EVENTS_TXDRDY")
        self.add_event(_ENDTX, "EVENTS_ENDTX", self._read_end)
        self.add_event(_ERROR, "EVENTS_ERROR")
        self.add_event(_TXSTARTED, "EVENTS_TXSTARTED")
        self.add_event(_TXSTOPPED, "EVENTS_TXSTOPPED")
        self.add_shorts(0x60)
        self.add_interrupts(0x5A_0397)
        self.add(ENABLE, "ENABLE", bits=0xF, write=self._write_enable)
        for offset, name in ((_RTS, "RTS"), (_TXD, "TXD"), (_CTS, "CTS"), (_RXD, "RXD")):
            self.add_pin_select(offset, f"PSEL.{name}")
        self.add(_BAUDRATE, "BAUDRATE", reset=0x0400_0000)
        self.add(_PTR, "TXD.PTR")
        self.add(_MAXCNT, "TXD.MAXCNT", bits=0xFFFF)
        self.add(_AMOUNT, "TXD.AMOUNT", bits=0xFFFF, writable=False)
        self.add(_CONFIG, "CONFIG", bits=0x1F, write=self._write_config)

    @property
    def driven_pins(self) -> tuple[int, ...]:
        """The pins, 0 to 47, whose level this peripheral decides."""
        pin = self.selected_pin(_TXD)
        return () if pin is None or self.values[ENABLE] != _ENABLED else (pin,)

    @property
    def _is_sending(self) -> bool:
        return self._looks < _LOOKS_UNTIL_SENT

    def waiting_for(self, offset: int) -> str:
        """Say why no transmission ends."""
        if offset != _ENDTX or self._is_sending:
            return ""
        return f"no transmission runs: 1 was not written to {self.name}.TASKS_STARTTX since"

    def _read_end(self) -> int:
        if self._is_sending:
            self._looks += 1
            if not self._is_sending:
                self._end()
        return self.values[_ENDTX]

    def _end(self) -> None:
        size = len(self._sending)
        if self._fetch(size) != self._sending:
            raise RuleBrokenError(
                f"{self.name}'s buffer was changed while it was being sent",
                why=f"EasyDMA reads the {size} bytes at 0x{self._pointer:08X} one by one until "
                "EVENTS_ENDTX, so that some of the old ones were lost",
                next_step="wait for EVENTS_ENDTX before the buffer is filled again, or take turns "
                "between two",
            )
        self.values[_AMOUNT] = size
        self.happened(_TXDRDY, _ENDTX)

    def _fetch(self, size: int) -> bytes:
        return self._port.dma.read(f"{self.name}.TXD.PTR", self._pointer, size)

    def _write_enable(self, old: int, new: int) -> None:
        if new == _LEGACY:
            raise RuleBrokenError(
                f"{self.name} was enabled as the UART without EasyDMA (ENABLE = 4)",
                why="the simulator models the UARTE only",
                next_step=f"write 8 to {self.name}.ENABLE, and use TXD.PTR and TXD.MAXCNT",
            )
        if new not in {_DISABLED, _ENABLED}:
            raise RuleBrokenError(
                f"{new} was written to {self.name}.ENABLE",
                why="0 disables the UARTE and 8 enables it",
                next_step=f"write 8 to {self.name}.ENABLE",
            )
        if new == _DISABLED and self._is_sending:
            raise RuleBrokenError(
                f"{self.name} was disabled while it was sending",
                why="the rest of the text is lost",
                next_step="wait for EVENTS_ENDTX first",
            )
        if new == _ENABLED and old != _ENABLED:
            self._check_pins()

    def _check_pins(self) -> None:
        port = self._port
        pin = self.selected_pin(_TXD)
        if pin is not None:
            self._check_console_pin(pin)
            self._check_output(pin, "enabled")
            if not port.gpio.level(pin):
                raise RuleBrokenError(
                    f"{self.name} was enabled while its transmit pin {pin_name(pin)} is not high",
                    why="the line idles high; a low level is the start of a character that nobody "
                    "sent",
                    next_step=f"set {pin_name(pin)} high (OUTSET), make it an output, then enable",
                )
            other = port.other_driver(pin, self.name)
            if other:
                raise RuleBrokenError(
                    f"{self.name} was enabled on {pin_name(pin)}, which {other} drives",
                    why="only one peripheral may drive a pin",
                )
        receive = self.selected_pin(_RXD)
        if receive is not None and not port.gpio.is_input(receive):
            raise RuleBrokenError(
                f"{self.name} was enabled while its receive pin {pin_name(receive)} is no input",
                why="in PIN_CNF, DIR must be 0 (input) and INPUT 0 (buffer connected); after reset "
                "INPUT is 1",
                next_step=f"configure {pin_name(receive)} as an input before enabling",
            )

    def _check_console_pin(self, pin: int) -> None:
        wanted = self._port.console_pin
        if wanted is not None and pin != wanted:
            raise RuleBrokenError(
                f"{self.name} was enabled with {pin_name(pin)} as its transmit pin",
                why=f"the board's console is on {pin_name(wanted)}, so that nobody would hear it",
                next_step=f"write {wanted} (0x{wanted:02X}) to {self.name}.PSEL.TXD",
            )

    def _check_output(self, pin: int, what: str) -> None:
        if not self._port.gpio.is_output(pin):
            raise RuleBrokenError(
                f"{self.name} was {what} while its transmit pin {pin_name(pin)} is not an output",
                why=f"DIR of {pin_name(pin)} is 0; pins that a peripheral drives must be "
                "configured as outputs",
                next_step="set DIR in the pin's PIN_CNF first",
            )

    def _write_config(self, _old: int, new: int) -> None:
        if new >> 1 & 7 not in {0, _EVEN_PARITY}:
            raise RuleBrokenError(
                f"PARITY of {self.name}.CONFIG was set to {new >> 1 & 7}",
                why="0 is no parity and 7 is even parity",
            )

    def _start(self) -> None:
        if self.values[ENABLE] != _ENABLED:
            raise RuleBrokenError(
                f"a transmission of {self.name} was started while {self.name} is not enabled",
                why=f"{self.name}.ENABLE is {self.values[ENABLE]}",
                next_step=f"write 8 to {self.name}.ENABLE first",
            )
        if self._is_sending:
            stale = self.values[_ENDTX]
            raise RuleBrokenError(
                f"a transmission of {self.name} was started while one runs",
                why="EVENTS_ENDTX was left set by the transmission before, and taken for the end "
                "of this one"
                if stale
                else "EVENTS_ENDTX, which shows its end, was not waited for",
                next_step="clear EVENTS_ENDTX before TASKS_STARTTX, and wait for it afterwards",
            )
        pin = self.selected_pin(_TXD)
        if pin is None:
            raise RuleBrokenError(
                f"{self.name} sends to no pin",
                why=f"CONNECT, bit 31 of {self.name}.PSEL.TXD, is 1: disconnected",
                next_step=f"write the pin to {self.name}.PSEL.TXD, bit 31 clear, before ENABLE",
            )
        self._check_output(pin, "started")
        self._check_frame()
        self._port.before_sending()
        self._send()

    def _check_frame(self) -> None:
        config = self.values[_CONFIG]
        if config:
            raise RuleBrokenError(
                f"{self.name} sends other frames than 8N1",
                why=f"CONFIG is 0x{config:02X}; no flow control, no parity and one stop bit are 0",
                next_step=f"write 0 to {self.name}.CONFIG",
            )
        wanted = self._port.baud
        if wanted is None:
            return
        baud = actual_baud(self.values[_BAUDRATE])
        error = baud / wanted - 1
        if abs(error) > LARGEST_BAUD_ERROR:
            raise RuleBrokenError(
                f"{self.name} sends at {baud:,.0f} baud, {error:+.1%} off {wanted:,}",
                why=f"BAUDRATE is 0x{self.values[_BAUDRATE]:08X} (0x04000000 after reset); a "
                f"receiver stands {LARGEST_BAUD_ERROR:.0%}",
                next_step="take the value from the data sheet; 115200 baud is 0x01D60000",
            )

    def _send(self) -> None:
        size = self.values[_MAXCNT]
        if not size:
            raise RuleBrokenError(
                f"a transmission of no bytes was started ({self.name}.TXD.MAXCNT is 0)",
                why="nothing is sent, and its end may never come",
                next_step="start no transmission when there is nothing to send",
            )
        self._pointer = self.values[_PTR]
        self._sending = self._fetch(size)
        self._looks = 0
        self.happened(_TXSTARTED)
        for byte in self._sending:
            self._port.send(byte)

    def _stop(self) -> None:
        if self._is_sending:
            raise RuleBrokenError(
                f"{self.name} was stopped while it was sending",
                why="the rest of the text is lost",
                next_step="wait for EVENTS_ENDTX first",
            )
        self.happened(_TXSTOPPED)
