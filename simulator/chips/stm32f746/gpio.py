"""GPIO: what each pin is, and what the outputs hold."""

from __future__ import annotations

from collections.abc import Callable

from simulator.chips.stm32f746.pins import PINS, PORTS, Pin
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

BASE = 0x4002_0000
STRIDE = 0x400
BSRR = 0x18

_MODER, _OTYPER, _OSPEEDR, _PUPDR, _IDR, _ODR, _AFRL, _AFRH = (
    *(0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x20, 0x24),
)
_OUTPUT, _ALTERNATE = 1, 2
_MODES = {0: "an input", 1: "an output", 2: "in an alternate function", 3: "analog"}
_RESET = {
    # After reset the debugger's pins are in use.
    "A": {_MODER: 0xA800_0000, _PUPDR: 0x6400_0000},
    "B": {_MODER: 0x0000_0280, _OSPEEDR: 0x0000_00C0, _PUPDR: 0x0000_0100},
}
_DEBUGGER = {Pin("A", 13): "SWDIO", Pin("A", 14): "SWCLK"}


class Port(Peripheral):
    """One port, GPIOA to GPIOK.

    Args:
        letter: of the port.
        on_change: called after each change of what a pin is.
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(
        self, letter: str, on_change: Callable[[], None], program_counter: Callable[[], int]
    ) -> None:
        super().__init__(f"GPIO{letter}", BASE + STRIDE * PORTS.index(letter), STRIDE)
        self._letter = letter
        self._on_change = on_change
        self._program_counter = program_counter
        self._written_at: dict[int, int] = {}
        reset = _RESET.get(letter, {})
        for offset, name, bits in (
            (_MODER, "MODER", 0xFFFF_FFFF),
            (_OTYPER, "OTYPER", 0xFFFF),
            (_OSPEEDR, "OSPEEDR", 0xFFFF_FFFF),
            (_PUPDR, "PUPDR", 0xFFFF_FFFF),
            (_AFRL, "AFRL", 0xFFFF_FFFF),
            (_AFRH, "AFRH", 0xFFFF_FFFF),
        ):
            self.add(
                offset, name, bits=bits, reset=reset.get(offset, 0), write=self._configurer(offset)
            )
        self.add(_IDR, "IDR", bits=0xFFFF, read=self._read_pins, writable=False)
        self.add(_ODR, "ODR", bits=0xFFFF, write=self._write_odr)
        self.add(BSRR, "BSRR", readable=False, write=self._write_bsrr)

    def mode(self, number: int) -> int:
        """Return what a pin is: 0 input, 1 output, 2 alternate function, 3 analog."""
        return self.values[_MODER] >> 2 * number & 3

    def is_output(self, number: int) -> bool:
        """Return whether a pin is a general purpose output."""
        return self.mode(number) == _OUTPUT

    def is_high(self, number: int) -> bool:
        """Return what the output register holds for a pin."""
        return bool(self.values[_ODR] >> number & 1)

    def is_fast(self, number: int) -> bool:
        """Return whether a pin's speed is set higher than after reset."""
        return bool(self.values[_OSPEEDR] >> 2 * number & 3)

    def mode_written_at(self) -> int | None:
        """Return where the firmware last wrote what the pins are."""
        return self._written_at.get(_MODER)

    def function_problem(self, number: int, function: int) -> str:
        """Return why a pin does not have an alternate function; '' if it has."""
        mode = self.mode(number)
        if mode != _ALTERNATE:
            return f"P{self._letter}{number} is {_MODES[mode]} ({self.name}.MODER)"
        register, name = (_AFRL, "AFRL") if number < 8 else (_AFRH, "AFRH")
        found = self.values[register] >> 4 * (number & 7) & 0xF
        if found != function:
            return f"P{self._letter}{number} has function {found} ({self.name}.{name})"
        return ""

    def place_of_function(self, number: int) -> int | None:
        """Return where the firmware last wrote the register that ``function_problem`` names."""
        if self.mode(number) != _ALTERNATE:
            return self.mode_written_at()
        return self._written_at.get(_AFRL if number < 8 else _AFRH)

    def place_of_speed(self) -> int | None:
        """Return where the firmware last wrote the pins' speeds."""
        return self._written_at.get(_OSPEEDR)

    def _configurer(self, offset: int) -> Callable[[int, int], None]:
        def write(old: int, new: int) -> None:
            self._written_at[offset] = self._program_counter()
            if offset == _MODER:
                self._check_debugger(old ^ new)
            self._on_change()

        return write

    def _check_debugger(self, changed: int) -> None:
        for pin, signal in _DEBUGGER.items():
            if pin.port == self._letter and changed >> 2 * pin.number & 3:
                raise RuleBrokenError(
                    f"{pin} was taken from the debugger ({signal}) by a write to {self.name}.MODER",
                    why="no debugger could stop or flash the board any more",
                    next_step="change only the fields of the pins that are meant: read, modify, "
                    "write",
                )

    def _read_pins(self) -> int:
        outputs = sum(1 << number for number in range(PINS) if self.is_output(number))
        return self.values[_ODR] & outputs

    def _write_odr(self, old: int, new: int) -> None:
        self._check_outputs(old ^ new)

    def _write_bsrr(self, _old: int, new: int) -> None:
        sets, clears = new & 0xFFFF, new >> 16
        self._check_outputs(sets | clears)
        self.values[_ODR] = self.values[_ODR] & ~clears | sets

    def _check_outputs(self, pins: int) -> None:
        for number in range(PINS):
            if pins >> number & 1 and not self.is_output(number):
                raise RuleBrokenError(
                    f"P{self._letter}{number} was set or cleared, but it is "
                    f"{_MODES[self.mode(number)]}",
                    why=f"bits {2 * number + 1}:{2 * number} of {self.name}.MODER are "
                    f"{self.mode(number)}; 1 is an output",
                    next_step=f"set them to 1 (0x{self.base:08X}) first",
                )
