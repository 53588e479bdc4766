"""CTIMER: pulse width modulation by its sixteen half timers, and the multiplexer of its outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

OUTPUTS = 32
_HALVES = "AB"
_CMPR = (0x4, 0x8)
_CTRL = 0xC
_GLOBEN = 0x100
_OUTCFG = (0x104, 0x108, 0x10C, 0x114)
_FORCE = {0: 0.0, 1: 1.0}
_REPEATED_PWM = 3
_CLOCKS = {1, 2, 3, 4, 5, 0xF}

_EN, _CLR = 1 << 0, 1 << 11
_INTERRUPTS = 0x600
_CONFIGURATION = 0x11FE  # CLK, FN and POL

_SOURCES = (
    # Codes 2 to 5 of each output; a trailing 2 is the timer's second output.
    *("A0 B2' A5' A6", "A0' A0 A5 B7'", "B0 B1' B6' A7", "B0' B0 A1 A6", "A1 A2' A5' B5"),
    *("A1' A1 B6 A7", "B1 A1 B5' B7", "B1' B1 B5 A7", "A2 A3' A4' B6", "A2' A2 A4 B0"),
    *("B2 B3' B4' A6", "B2' B2 B4 B5'", "A3 B1 B0' B6'", "A3' A3 A6 B4'", "B3 B1 B7' A7"),
    *("B3' B3 A7 A4'", "A4 A0 A0' B3'", "A4' B7 A4 A1'", "B4 B0 A0 A3'", "B4' A2 B4 B1'"),
    *("A5 A1 A1' B2'", "A5' A1 B5 A0'", "B5 A6 A1 A2'", "B5' A7 A5 B0'", "A6 A2 A1 B1'"),
    *("B4' B2 A6 A2'", "B6 B2 A5 A1'", "B6' A1 B6 B2'", "A7 A3 A5' B0'", "B5' A1 A7 A3'"),
    *("B7 B3 A4' A0'", "B7' A6 B7 B3'"),
)


@dataclass(frozen=True)
class HalfTimer:
    """One of timers 0 to 7, half 0 (A) or 1 (B)."""

    timer: int
    half: int

    def __str__(self) -> str:
        return f"{_HALVES[self.half]}{self.timer}"

    @property
    def compare(self) -> int:
        """Offset of its compare register."""
        return 0x20 * self.timer + _CMPR[self.half]

    @property
    def control(self) -> int:
        """Offset of its control register, which it shares with the other half."""
        return 0x20 * self.timer + _CTRL


class Ctimer(Peripheral):
    """Counter/timers at 0x40008000.

    Args:
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(self, program_counter: Callable[[], int]) -> None:
        super().__init__("CTIMER", 0x4000_8000)
        self._program_counter = program_counter
        self._written_at: dict[int, int] = {}
        self._selected_at: dict[int, int] = {}
        for timer in range(8):
            for half in range(2):
                one = HalfTimer(timer, half)
                self.add(
                    one.compare, f"CMPR{_HALVES[half]}{timer}", write=self._compare_writer(one)
                )
            # Timer 3 can also start the ADC.
            bits = 0x9FFF_9FFF if timer == 3 else 0x9FFF_1FFF
            self.add(0x20 * timer + _CTRL, f"CTRL{timer}", bits=bits, write=self._control(timer))
        self.add(_GLOBEN, "GLOBEN", bits=0xFFFF, reset=0xFFFF, write=self._note(_GLOBEN))
        for index, offset in enumerate(_OUTCFG):
            last = index == 3
            self.add(
                offset,
                f"OUTCFG{index}",
                bits=0x3F if last else 0x7FFF_7FFF,
                reset=0x12 if last else 0x2492_2292,
                write=self._selection(10 * index),
            )

    def level(self, output: int) -> float:
        """Return the part of the time, 0 to 1, for which a timer output is high.

        Args:
            output: CT0 to CT31; it is known to be on, and its pad to listen to it.

        Raises:
            RuleBrokenError: its timer does not run as it must.
        """
        field = _OUTCFG[output // 10]
        code = self.values[field] >> _source_shift(output) & 7
        if code in _FORCE:
            return _FORCE[code]
        source = _source(output, code)
        if source is None:
            raise RuleBrokenError(
                f"timer output CT{output} is driven by a timer's second output (code {code})",
                why="the simulator models the first outputs only",
                address=self._selected_at.get(output),
            )
        return self._duty(source, output)

    def _duty(self, half: HalfTimer, output: int) -> float:
        control = self.values[half.control] >> 16 * half.half & 0x1FFF
        compare = self.values[half.compare]
        user = f"timer output CT{output} is driven by timer {half}"
        bit = 2 * half.timer + half.half
        if not self.values[_GLOBEN] >> bit & 1:
            raise RuleBrokenError(
                f"{user}, which is stopped by the global enable",
                why=f"bit {bit} of CTIMER.GLOBEN is 0",
                next_step=f"set bit {bit} of CTIMER.GLOBEN (0x40008100)",
                address=self._written_at.get(_GLOBEN),
            )
        if not control & _EN or control & _CLR:
            raise RuleBrokenError(
                f"{user}, which does not run",
                why=f"in CTRL{half.timer}, EN is {control & _EN} and CLR is {control >> 11 & 1}",
                next_step="clear CLR and set EN in one write, after the configuration",
                address=self._written_at.get(half.control),
            )
        low, last = compare & 0xFFFF, compare >> 16
        if low >= last:
            raise RuleBrokenError(
                f"{user}, whose CMPR0 ({low}) is not below CMPR1 ({last})",
                why="the output goes high at CMPR0 and low at CMPR1, so it would never go high",
                next_step="for 0 % write code 0 to the output's OUTCFG field",
                address=self._written_at.get(half.compare),
            )
        high = (last - low) / (last + 1)
        return 1 - high if control & 1 << 12 else high

    def _note(self, offset: int) -> Callable[[int, int], None]:
        def note(_old: int, _new: int) -> None:
            self._written_at[offset] = self._program_counter()

        return note

    def _selection(self, first: int) -> Callable[[int, int], None]:
        def note(old: int, new: int) -> None:
            for output in range(first, min(first + 10, OUTPUTS)):
                if (old ^ new) >> _source_shift(output) & 7:
                    self._selected_at[output] = self._program_counter()

        return note

    def _compare_writer(self, half: HalfTimer) -> Callable[[int, int], None]:
        note = self._note(half.compare)

        def write(old: int, new: int) -> None:
            note(old, new)
            for index in range(2):
                if not new >> 16 * index & 0xFFFF:
                    raise RuleBrokenError(
                        f"CMPR{index} of timer {half} was set to 0",
                        why="the counter never meets a compare value of 0",
                        next_step="for 0 % and 100 % force the output by codes 0 and 1 in OUTCFG",
                    )

        return write

    def _control(self, timer: int) -> Callable[[int, int], None]:
        note = self._note(0x20 * timer + _CTRL)

        def write(old: int, new: int) -> None:
            note(old, new)
            if new >> 31:
                raise RuleBrokenError(
                    f"both halves of timer {timer} were linked (CTLINK)",
                    why="the simulator models 16-bit timers only",
                )
            for half in range(2):
                shift = 16 * half
                self._check_control(HalfTimer(timer, half), old >> shift, new >> shift)

        return write

    def _check_control(self, half: HalfTimer, old: int, new: int) -> None:
        if new & _INTERRUPTS:
            raise RuleBrokenError(
                f"an interrupt of timer {half} was enabled",
                why="the simulator delivers no interrupts",
            )
        running = old & _EN and not old & _CLR
        if (old ^ new) & _CONFIGURATION and (running or not new & _CLR):
            raise RuleBrokenError(
                f"clock, function or polarity of timer {half} was changed "
                + ("while it runs" if running else "without holding it in CLR"),
                why="a timer takes a new configuration only while CLR holds it",
                next_step="set CLR; then write CLK and FN with CLR still set; then clear CLR and "
                "set EN",
            )
        if new & _EN and not new & _CLR and not running:
            self._check_start(half, new)

    def _check_start(self, half: HalfTimer, control: int) -> None:
        clock, function = control >> 1 & 0x1F, control >> 6 & 7
        if function != _REPEATED_PWM:
            raise RuleBrokenError(
                f"timer {half} was started with function {function}",
                why=f"the simulator models function {_REPEATED_PWM}, repeated PWM, only",
            )
        if clock not in _CLOCKS:
            raise RuleBrokenError(
                f"timer {half} was started with clock {clock}",
                why="a pin, a slow oscillator or another timer, none of which the simulator models",
                next_step="use 1 to 5, which are divisions of the 48 MHz oscillator, or 15",
            )
        if not self.values[half.compare]:
            raise RuleBrokenError(
                f"timer {half} was started before its compare values were written",
                why="CMPR0 and CMPR1 are 0 after reset, and neither may be",
                next_step="write the compare register while CLR is set",
            )


def _source_shift(output: int) -> int:
    index = output % 10
    return 16 * (index // 5) + 3 * (index % 5)


def _source(output: int, code: int) -> HalfTimer | None:
    """Return the half timer of code 2 to 5; None where it is a second output."""
    if not 2 <= code <= 5:
        return None
    name = _SOURCES[output].split()[code - 2]
    return None if name.endswith("'") else HalfTimer(int(name[1]), _HALVES.index(name[0]))
