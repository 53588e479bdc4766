"""GPIO: pad functions behind their key, pin outputs, and the switches of the timer outputs."""

from __future__ import annotations

from collections.abc import Callable

from simulator.chips.apollo3.pads import GPIO_FUNCTION, PADS, UART_RX_PADS, UART_TX_PADS
from simulator.registers import WORD, Peripheral
from simulator.rules import RuleBrokenError

_KEY = 0x73
_PADKEY = 0x60
_CFG = 0x40
_WT = 0x88
_EN = 0xA0
_ALTPADCFG = 0xE0
_CTENCFG = 0x118
_BANK_BITS = (WORD, 0x3_FFFF)

_WIDE_PULL_UP_PADS = {0, 1, 5, 6, 8, 9, 25, 27, 39, 40, 42, 43, 48, 49}
_POWER_SWITCH_BITS = {3: 0x40, 36: 0x40, 37: 0x80, 41: 0x80}
_DEBUG_PADS = (20, 21)
_INPUTS_ENABLED = 0x0202_0202

PUSH_PULL = 1
OPEN_DRAIN = 2
TRISTATE = 3


class Gpio(Peripheral):
    """Pads and pins at 0x40010000.

    Args:
        on_pads_change: called after each change of a pad's function.
        uart_enabled: whether UART 0 or 1 is switched on in PWRCTRL.
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(
        self,
        on_pads_change: Callable[[], None],
        uart_enabled: Callable[[int], bool],
        program_counter: Callable[[], int],
    ) -> None:
        super().__init__("GPIO", 0x4001_0000)
        self._on_pads_change = on_pads_change
        self._uart_enabled = uart_enabled
        self._program_counter = program_counter
        self.timer_outputs_written_at: int | None = None
        self._function_given_at: dict[int, int] = {}
        for group in range((PADS + 3) // 4):
            letter = chr(ord("A") + group)
            pads = range(4 * group, min(4 * group + 4, PADS))
            self.add(
                4 * group,
                f"PADREG{letter}",
                bits=sum(_pad_bits(pad) << 8 * (pad & 3) for pad in pads),
                reset=sum((0x02 if pad in _DEBUG_PADS else 0x18) << 8 * (pad & 3) for pad in pads),
                write=self._pad_writer(pads),
            )
            self.add(
                _ALTPADCFG + 4 * group,
                f"ALTPADCFG{letter}",
                bits=sum(0x11 << 8 * (pad & 3) for pad in pads),
                write=self._locked(f"ALTPADCFG{letter}"),
            )
        for group in range((PADS + 7) // 8):
            pins = range(8 * group, min(8 * group + 8, PADS))
            name = f"CFG{chr(ord('A') + group)}"
            self.add(
                _CFG + 4 * group,
                name,
                bits=sum(0xF << 4 * (pin & 7) for pin in pins),
                reset=sum((pin in _DEBUG_PADS) << 4 * (pin & 7) for pin in pins),
                write=self._locked(name),
            )
        self.add(_PADKEY, "PADKEY", read=lambda: int(self.values[_PADKEY] == _KEY))
        for bank, bits in enumerate(_BANK_BITS):
            self._add_bank(bank, bits)
        self.add(_CTENCFG, "CTENCFG", reset=WORD, write=self._write_ctencfg)

    def function(self, pad: int) -> int:
        """Return a pad's function code."""
        return self.values[pad & ~3] >> 8 * (pad & 3) + 3 & 7

    def function_given_at(self, pad: int) -> int | None:
        """Return the address of the instruction that gave a pad its function; None: the reset."""
        return self._function_given_at.get(pad)

    def timer_output_is_on(self, output: int) -> bool:
        """Return whether timer output CT0 to CT31 is switched on."""
        return not self.values[_CTENCFG] >> output & 1

    def pin_level(self, pin: int) -> bool | None:
        """Return the level that a pin drives; None: it drives none."""
        bank, bit = divmod(pin, 32)
        mode = self._output_mode(pin)
        high = bool(self.values[_WT + 4 * bank] >> bit & 1)
        if mode == PUSH_PULL:
            return high
        if mode == OPEN_DRAIN:
            return None if high else False
        if mode == TRISTATE and self.values[_EN + 4 * bank] >> bit & 1:
            return high
        return None

    def _output_mode(self, pin: int) -> int:
        return self.values[_CFG + 4 * (pin // 8)] >> 4 * (pin % 8) + 1 & 3

    def _require_unlocked(self, name: str) -> None:
        if self.values[_PADKEY] != _KEY:
            raise RuleBrokenError(
                f"GPIO.{name} was written while the pads are locked",
                why=f"PADKEY holds 0x{self.values[_PADKEY]:X}, so the write is ignored",
                next_step=f"write 0x{_KEY:X} to GPIO.PADKEY (0x40010060) first, and 0 afterwards",
            )

    def _locked(self, name: str) -> Callable[[int, int], None]:
        return lambda _old, _new: self._require_unlocked(name)

    def _pad_writer(self, pads: range) -> Callable[[int, int], None]:
        name = f"PADREG{chr(ord('A') + pads.start // 4)}"

        def write(old: int, new: int) -> None:
            self._require_unlocked(name)
            for pad in pads:
                shift = 8 * (pad & 3) + 3
                if (old ^ new) >> shift & 7:
                    self._function_given_at[pad] = self._program_counter()
                    self._check_uart_pad(pad, new >> shift & 7)
            self._on_pads_change()

        return write

    def _check_uart_pad(self, pad: int, code: int) -> None:
        for number in range(2):
            signals = (UART_TX_PADS[number], UART_RX_PADS[number])
            if any(pads.get(pad) == code for pads in signals) and not self._uart_enabled(number):
                raise RuleBrokenError(
                    f"pad {pad} was given to UART{number} while UART{number} has no power",
                    why=f"PWRCTRL.DEVPWREN bit {7 + number} is 0; an unpowered UART pulls the "
                    "line low, which a receiver takes for a break",
                    next_step=f"set bit {7 + number} of PWRCTRL.DEVPWREN (0x40021008) and wait for "
                    "DEVPWRSTATUS before giving pads to the UART",
                )

    def _add_bank(self, bank: int, bits: int) -> None:
        letter = "AB"[bank]
        latch, enables = _WT + 4 * bank, _EN + 4 * bank
        self.add(
            0x80 + 4 * bank, f"RD{letter}", bits=bits, read=self._input_reader(bank), writable=False
        )

        def check(name: str) -> Callable[[int, int], None]:
            return lambda old, new: self._check_outputs(bank, new & ~old, name)

        self._add_with_set_and_clear(
            latch,
            set_at=latch + 0x8,
            clear_at=latch + 0x10,
            name=f"WT{letter}",
            bits=bits,
            check=check,
        )
        self._add_with_set_and_clear(
            enables,
            set_at=enables + 0x8,
            clear_at=enables + 0x14,
            name=f"EN{letter}",
            bits=bits,
            check=lambda _name: lambda _old, _new: None,
        )

    def _add_with_set_and_clear(
        self,
        offset: int,
        *,
        set_at: int,
        clear_at: int,
        name: str,
        bits: int,
        check: Callable[[str], Callable[[int, int], None]],
    ) -> None:
        """Add a register and the two that set and clear its bits."""
        stem, letter = name[:-1], name[-1]
        set_name, clear_name = f"{stem}S{letter}", f"{stem}C{letter}"
        check_set = check(set_name)

        def write_set(_old: int, ones: int) -> None:
            check_set(0, ones)
            self.values[offset] |= ones

        def write_clear(_old: int, ones: int) -> None:
            self.values[offset] &= ~ones

        self.add(offset, name, bits=bits, write=check(name))
        self.add(set_at, set_name, bits=bits, read=lambda: 0, write=write_set)
        self.add(clear_at, clear_name, bits=bits, read=lambda: 0, write=write_clear)

    def _check_outputs(self, bank: int, rising: int, name: str) -> None:
        for bit in range(32):
            pin = 32 * bank + bit
            if not rising >> bit & 1:
                continue
            if self._output_mode(pin) == 0:
                group, letter = pin // 8, chr(ord("A") + pin // 8)
                raise RuleBrokenError(
                    f"pin {pin} was set (GPIO.{name}) but is not an output",
                    why=f"OUTCFG of pin {pin} is 0, so its output driver is off",
                    next_step=f"set OUTCFG to 1 (push-pull) in GPIO.CFG{letter} "
                    f"(0x{0x4001_0040 + 4 * group:08X}, bits {4 * (pin % 8) + 1} and up) first",
                )
            if self.function(pin) != GPIO_FUNCTION:
                raise RuleBrokenError(
                    f"pin {pin} was set (GPIO.{name}) but its pad is not a GPIO",
                    why=f"the pad's function is {self.function(pin)}; GPIO is {GPIO_FUNCTION}",
                    next_step="set FNCSEL of the pad to 3",
                )

    def _input_reader(self, bank: int) -> Callable[[], int]:
        groups = range(32 * bank, min(32 * bank + 32, PADS), 4)

        def read() -> int:
            value = 0
            for first in groups:
                if not self.values[first] & _INPUTS_ENABLED:
                    continue
                for pin in range(first, min(first + 4, PADS)):
                    value |= self._input(pin) << pin % 32
            return value

        return read

    def _input(self, pin: int) -> bool:
        pad = self.values[pin & ~3] >> 8 * (pin & 3)
        level = self.pin_level(pin) if self.function(pin) == GPIO_FUNCTION else None
        # Nothing outside pulls a pin: its own pull-up decides.
        high = bool(pad & 1) if level is None else level
        return high and bool(pad & 2)

    def _write_ctencfg(self, _old: int, _new: int) -> None:
        self.timer_outputs_written_at = self._program_counter()


def _pad_bits(pad: int) -> int:
    return 0x3F | (0xC0 if pad in _WIDE_PULL_UP_PADS else _POWER_SWITCH_BITS.get(pad, 0))
