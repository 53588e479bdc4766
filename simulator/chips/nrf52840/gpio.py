"""P0 and P1: the pins' direction, level and configuration."""

from __future__ import annotations

import re
from collections.abc import Callable

from simulator.registers import WORD, Peripheral
from simulator.rules import RuleBrokenError

BASE = 0x5000_0000
PORT_OFFSETS = (0, 0x300)
PORT_PINS = (32, 16)
_PINS_OF_A_PORT = 32
_OUT, _IN, _DIR, _CNF = 0x504, 0x510, 0x514, 0x700
_SET, _CLEAR = 0x4, 0x8

_DIR_BIT = 1 << 0
_INPUT_DISCONNECTED = 1 << 1
_CNF_BITS = 0x0003_070F
_CNF_RESET = _INPUT_DISCONNECTED
_PULL_UP = 3
_UNDEFINED_PULL, _UNDEFINED_SENSE = 2, 1
_NO_HIGH_DRIVES = {6, 7}  # S0D1, H0D1
_NO_LOW_DRIVES = {4, 5}  # D0S1, D0H1

_PIN_NAME = re.compile(r"P([01])\.(\d\d)")


def pin_name(pin: int) -> str:
    """Return the name of a pin by its number in PSEL registers: 35 is P1.03."""
    return f"P{pin // _PINS_OF_A_PORT}.{pin % _PINS_OF_A_PORT:02}"


def is_pin(pin: int) -> bool:
    """Return whether the chip has the pin of this number."""
    port, index = divmod(pin, _PINS_OF_A_PORT)
    return 0 <= port < len(PORT_PINS) and index < PORT_PINS[port]


def parse_pin(name: str) -> int | None:
    """Return the number of the pin with this name; None: the chip has no such pin."""
    match = _PIN_NAME.fullmatch(name)
    if match is None:
        return None
    pin = int(match[1]) * _PINS_OF_A_PORT + int(match[2])
    return pin if int(match[2]) < PORT_PINS[int(match[1])] else None


class Gpio(Peripheral):
    """Both ports at 0x50000000; their register blocks overlap, so they are one peripheral here.

    Args:
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(self, program_counter: Callable[[], int]) -> None:
        super().__init__("GPIO", BASE)
        self._program_counter = program_counter
        self._set_early: dict[int, int] = {}
        self._configured_at: dict[int, int] = {}
        for port in range(len(PORT_OFFSETS)):
            self._add_port(port)

    def is_output(self, pin: int) -> bool:
        """Return whether a pin's output driver is on."""
        return bool(self._configuration(pin) & _DIR_BIT)

    def is_input(self, pin: int) -> bool:
        """Return whether a pin is an input whose buffer is connected."""
        return not self._configuration(pin) & (_DIR_BIT | _INPUT_DISCONNECTED)

    def level(self, pin: int) -> bool | None:
        """Return the level that a pin drives; None: it drives none."""
        if not self.is_output(pin):
            return None
        high = bool(self.values[_at(pin, _OUT)] >> pin % _PINS_OF_A_PORT & 1)
        drive = self._configuration(pin) >> 8 & 7
        return None if drive in (_NO_HIGH_DRIVES if high else _NO_LOW_DRIVES) else high

    def configured_at(self, pin: int) -> int | None:
        """Return the address of the instruction that configured a pin last, if any did."""
        return self._configured_at.get(pin)

    def check_outputs(self) -> None:
        """Check that each pin that was set high is an output by now.

        A pin's level may be set before its direction, and should be: there is no glitch then.

        Raises:
            RuleBrokenError: one is not; blames the instruction that set it.
        """
        for pin, address in self._set_early.items():
            raise RuleBrokenError(
                f"{pin_name(pin)} was set high and never made an output",
                why=f"DIR of {pin_name(pin)} is 0, so its output driver is off",
                next_step=f"set DIR, bit 0 of P{pin // _PINS_OF_A_PORT}.PIN_CNF"
                f"[{pin % _PINS_OF_A_PORT}] (0x{BASE + self._cnf(pin):08X})",
                address=address,
            )

    @staticmethod
    def _cnf(pin: int) -> int:
        return _at(pin, _CNF + 4 * (pin % _PINS_OF_A_PORT))

    def _configuration(self, pin: int) -> int:
        return self.values[self._cnf(pin)]

    def _add_port(self, port: int) -> None:
        start, pins = PORT_OFFSETS[port], PORT_PINS[port]
        bits = WORD >> _PINS_OF_A_PORT - pins
        first = port * _PINS_OF_A_PORT
        self._add_with_set_and_clear(
            start + _OUT, f"P{port}.OUT", bits, lambda: self._after_out(first)
        )
        self._add_with_set_and_clear(
            start + _DIR, f"P{port}.DIR", bits, lambda: self._after_dir(first)
        )
        self.add(
            start + _IN, f"P{port}.IN", bits=bits, read=self._input_reader(first), writable=False
        )
        for index in range(pins):
            self.add(
                start + _CNF + 4 * index,
                f"P{port}.PIN_CNF[{index}]",
                bits=_CNF_BITS,
                reset=_CNF_RESET,
                write=self._cnf_writer(first + index),
            )

    def _add_with_set_and_clear(
        self, offset: int, name: str, bits: int, changed: Callable[[], None]
    ) -> None:
        """Add a register and the two that set and clear its bits; each of them reads as it."""

        def read() -> int:
            return self.values[offset]

        def store(value: int) -> None:
            self.values[offset] = value
            changed()

        self.add(offset, name, bits=bits, write=lambda _old, new: store(new))
        self.add(
            offset + _SET,
            f"{name}SET",
            bits=bits,
            read=read,
            write=lambda _old, ones: store(read() | ones),
        )
        self.add(
            offset + _CLEAR,
            f"{name}CLR",
            bits=bits,
            read=read,
            write=lambda _old, ones: store(read() & ~ones),
        )

    def _after_out(self, first: int) -> None:
        out = self.values[_at(first, _OUT)]
        for pin in self._pins_of_port(first):
            if not out >> pin - first & 1:
                self._set_early.pop(pin, None)
            elif not self.is_output(pin):
                self._set_early.setdefault(pin, self._program_counter())

    def _after_dir(self, first: int) -> None:
        # DIR and the configuration's DIR bits are one.
        direction = self.values[_at(first, _DIR)]
        for pin in self._pins_of_port(first):
            old = self._configuration(pin)
            new = old & ~_DIR_BIT | direction >> pin - first & 1
            if new != old:
                self.values[self._cnf(pin)] = new
                self._after_configuration(pin)

    def _cnf_writer(self, pin: int) -> Callable[[int, int], None]:
        name = f"P{pin // _PINS_OF_A_PORT}.PIN_CNF[{pin % _PINS_OF_A_PORT}]"
        direction, bit = _at(pin, _DIR), 1 << pin % _PINS_OF_A_PORT

        def write(_old: int, new: int) -> None:
            for field, value, undefined in (
                ("PULL", new >> 2 & 3, _UNDEFINED_PULL),
                ("SENSE", new >> 16 & 3, _UNDEFINED_SENSE),
            ):
                if value == undefined:
                    raise RuleBrokenError(
                        f"{field} of {name} was set to {value}",
                        why=f"{field} has no such value; 0 is off"
                        + (", 1 down, 3 up" if field == "PULL" else ", 2 high, 3 low"),
                    )
            self.values[direction] &= ~bit
            self.values[direction] |= bit * (new & _DIR_BIT)
            self._after_configuration(pin)

        return write

    def _after_configuration(self, pin: int) -> None:
        self._configured_at[pin] = self._program_counter()
        if self.is_output(pin):
            self._set_early.pop(pin, None)

    @staticmethod
    def _pins_of_port(first: int) -> range:
        return range(first, first + PORT_PINS[first // _PINS_OF_A_PORT])

    def _input_reader(self, first: int) -> Callable[[], int]:
        def read() -> int:
            value = 0
            for pin in self._pins_of_port(first):
                configuration = self._configuration(pin)
                level = self.level(pin)
                # Nothing outside drives a pin: its own pull-up decides.
                high = configuration >> 2 & 3 == _PULL_UP if level is None else level
                connected = not configuration & _INPUT_DISCONNECTED
                value |= (high and connected) << pin - first
            return value

        return read


def _at(pin: int, register: int) -> int:
    """Return the offset of a pin's register."""
    return PORT_OFFSETS[pin // _PINS_OF_A_PORT] + register
