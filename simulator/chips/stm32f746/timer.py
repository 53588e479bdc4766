"""TIM1: counts, and asks the DMA controller at its two kinds of event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

UPDATE = "UP"
COMPARE_1 = "CH1"

_CR1, _CR2, _DIER, _EGR, _CCMR1 = 0x00, 0x04, 0x0C, 0x14, 0x18
_PSC, _ARR, _CCR1 = 0x28, 0x2C, 0x34
_CEN, _ARPE = 1 << 0, 1 << 7
_UDE, _CC1DE = 1 << 8, 1 << 9
_UG = 1 << 0
_OC1PE = 1 << 3


@dataclass(frozen=True)
class Event:
    """A request to the DMA controller in each period.

    Attributes:
        name: ``UPDATE`` or ``COMPARE_1``.
        count: at which it comes, from the start of the period, in counts.
    """

    name: str
    count: int


class Timer(Peripheral):
    """TIM1 at 0x40010000, counting upwards.

    Args:
        is_open: whether its clock comes through.
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(self, is_open: Callable[[], bool], program_counter: Callable[[], int]) -> None:
        super().__init__("TIM1", 0x4001_0000, 0x400)
        self._program_counter = program_counter
        self._is_open = is_open
        self.control_written_at: int | None = None
        self.compare_written_at: int | None = None
        self.add(_CR1, "CR1", bits=0xBFF, write=self._write_control)
        self.add(_CR2, "CR2", bits=0x00F5_7FFD, write=self._unmodelled("CR2"))
        self.add(_DIER, "DIER", bits=0x7FFF, write=self._write_requests)
        self.add(_EGR, "EGR", bits=0x1FF, readable=False, write=self._write_events)
        self.add(_CCMR1, "CCMR1", bits=0x0101_FFFF, write=self._write_compare_mode)
        self.add(_PSC, "PSC", bits=0xFFFF)
        self.add(_ARR, "ARR", bits=0xFFFF)
        self.add(_CCR1, "CCR1", bits=0xFFFF, write=self._write_compare)

    @property
    def is_running(self) -> bool:
        """Whether it counts."""
        return bool(self.values[_CR1] & _CEN) and self._is_open()

    @property
    def prescaler(self) -> int:
        """Clocks of a count."""
        return self.values[_PSC] + 1

    @property
    def period(self) -> int:
        """Counts of a period."""
        return self.values[_ARR] + 1

    @property
    def events(self) -> tuple[Event, ...]:
        """The requests of each period that are enabled and do come."""
        found = []
        if self.values[_DIER] & _UDE:
            found.append(Event(UPDATE, 0))
        if self.values[_DIER] & _CC1DE and self.values[_CCR1] < self.period:
            found.append(Event(COMPARE_1, self.values[_CCR1]))
        return tuple(found)

    def _write_control(self, _old: int, new: int) -> None:
        self.control_written_at = self._program_counter()
        if new & ~(_CEN | _ARPE):
            raise RuleBrokenError(
                f"0x{new:X} was written to TIM1.CR1",
                why="the simulator models upward counting without end only: CEN and ARPE",
            )
        if new & _CEN and not self.values[_ARR]:
            raise RuleBrokenError("TIM1 was started with ARR 0", why="it then stands still")

    def _write_requests(self, _old: int, new: int) -> None:
        if new & 0xFF:
            raise RuleBrokenError(
                "an interrupt of TIM1 was enabled", why="the simulator delivers no interrupts"
            )
        if new & ~(_UDE | _CC1DE):
            raise RuleBrokenError(
                f"0x{new:X} was written to TIM1.DIER",
                why="requests of update and compare 1 are modelled only",
            )

    def _write_events(self, _old: int, new: int) -> None:
        if new != _UG:
            raise RuleBrokenError(
                f"0x{new:X} was written to TIM1.EGR", why="only UG, bit 0, is modelled"
            )
        if self.values[_DIER] & _UDE:
            raise RuleBrokenError(
                "an update of TIM1 was made by hand while it asks for a transfer",
                why="the DMA controller would answer it once more than the counter comes round",
                next_step="write EGR before DIER",
            )

    def _write_compare_mode(self, _old: int, new: int) -> None:
        if new & ~_OC1PE:
            raise RuleBrokenError(
                f"0x{new:08X} was written to TIM1.CCMR1",
                why="no pin is driven by TIM1 here; only OC1PE is modelled",
            )

    def _write_compare(self, _old: int, _new: int) -> None:
        self.compare_written_at = self._program_counter()
        if self.values[_CR1] & _CEN and not self.values[_CCMR1] & _OC1PE:
            raise RuleBrokenError(
                "TIM1.CCR1 was written while it counts, and takes effect at once",
                why="the counter may have passed the new value: it then misses one period",
                next_step="set OC1PE (bit 3 of TIM1.CCMR1): the value waits for the next period",
            )

    def _unmodelled(self, name: str) -> Callable[[int, int], None]:
        def write(_old: int, new: int) -> None:
            if new:
                raise RuleBrokenError(f"0x{new:X} was written to TIM1.{name}", why="not modelled")

        return write
