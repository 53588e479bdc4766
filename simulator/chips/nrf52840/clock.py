"""CLOCK: the crystal oscillator, which the chip does without until a task starts it."""

from __future__ import annotations

from simulator.chips.nrf52840.peripheral import NordicPeripheral

_HFCLKSTART, _HFCLKSTOP = 0x000, 0x004
_HFCLKSTARTED = 0x100
_HFCLKRUN, _HFCLKSTAT = 0x408, 0x40C
_CRYSTAL_RUNS = 1 << 16 | 1 << 0
_LOOKS_UNTIL_STARTED = 2
"""How often the event is read until it is there: a program that does not wait is noticed."""


class Clock(NordicPeripheral):
    """Clock control at 0x40000000, for the 64 MHz clock; the 32 kHz clock is not modelled.

    A crystal that never runs is no fault: the core and its peripherals run on the internal
    oscillator too, which is less exact (within 8 %, typically 1.5 %: PS).
    """

    def __init__(self) -> None:
        super().__init__("CLOCK", 0x4000_0000)
        self._looks: int | None = None
        self.add_task(_HFCLKSTART, "TASKS_HFCLKSTART", self._start)
        self.add_task(_HFCLKSTOP, "TASKS_HFCLKSTOP", self._stop)
        self.add_event(_HFCLKSTARTED, "EVENTS_HFCLKSTARTED", self._read_started)
        self.add_interrupts(0xC1B, whole=False)
        self.add(
            _HFCLKRUN,
            "HFCLKRUN",
            bits=1,
            read=lambda: int(self._looks is not None),
            writable=False,
        )
        self.add(_HFCLKSTAT, "HFCLKSTAT", bits=0x1_0001, read=self._read_state, writable=False)

    @property
    def crystal_runs(self) -> bool:
        """Whether the crystal was started and has been seen to run."""
        return self._looks is not None and self._looks >= _LOOKS_UNTIL_STARTED

    def waiting_for(self, offset: int) -> str:
        """Say that nothing started the crystal."""
        if offset not in {_HFCLKSTARTED, _HFCLKSTAT} or self._looks is not None:
            return ""
        return "the crystal does not run: 1 was not written to CLOCK.TASKS_HFCLKSTART (0x40000000)"

    def _start(self) -> None:
        if self._looks is None:
            self._looks = 0
        elif self.crystal_runs:
            self.happened(_HFCLKSTARTED)

    def _stop(self) -> None:
        self._looks = None

    def _look(self) -> None:
        if self._looks is None or self.crystal_runs:
            return
        self._looks += 1
        if self.crystal_runs:
            self.happened(_HFCLKSTARTED)

    def _read_started(self) -> int:
        self._look()
        return self.values[_HFCLKSTARTED]

    def _read_state(self) -> int:
        self._look()
        return _CRYSTAL_RUNS if self.crystal_runs else 0
