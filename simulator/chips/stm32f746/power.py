"""PWR: the regulator's scale and over-drive, which decide how fast the chip may run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

_CR1, _CSR1 = 0x0, 0x4
_VOS = 3 << 14
_ODEN, _ODSWEN = 1 << 16, 1 << 17
_VOSRDY, _ODRDY, _ODSWRDY = 1 << 14, 1 << 16, 1 << 17
_MODELLED = _VOS | _ODEN | _ODSWEN
_LOOKS_UNTIL_READY = 2
"""How often the status is read until it changes: a program that does not poll is noticed."""

_MHZ = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Highest clocks in Hz (data sheet, general operating conditions).

    Attributes:
        hclk: of the core, the AHB and the memories.
        pclk1: of the APB1 bus; ``pclk2``: of the APB2 bus.
        regulator: what they depend on, in words.
    """

    hclk: int
    pclk1: int
    pclk2: int
    regulator: str


_WITHOUT_OVER_DRIVE = {3: 180 * _MHZ, 2: 168 * _MHZ, 1: 144 * _MHZ}
_WITH_OVER_DRIVE = {3: 216 * _MHZ, 2: 180 * _MHZ, 1: 144 * _MHZ}
_SCALE_OF_CODE = {3: 1, 2: 2, 1: 3}


@dataclass(frozen=True)
class Surrounding:
    """What over-drive must know of the clocks.

    Attributes:
        pll_is_on: whether the main PLL runs.
        runs_on_pll: whether the core runs on it.
        clocked: names of the peripherals whose clock is on, PWR and memories apart.
    """

    pll_is_on: Callable[[], bool]
    runs_on_pll: Callable[[], bool]
    clocked: Callable[[], list[str]]


class Pwr(Peripheral):
    """Power controller at 0x40007000.

    Args:
        clocks: asked when over-drive comes up.
    """

    def __init__(self, clocks: Surrounding) -> None:
        super().__init__("PWR", 0x4000_7000, 0x400)
        self._clocks = clocks
        self._looks = {_ODRDY: 0, _ODSWRDY: 0}
        self.add(_CR1, "CR1", bits=0x000F_EFFB, reset=_VOS, write=self._write_control)
        # The flags are read-only but for two that this model does not have.
        self.add(_CSR1, "CSR1", bits=0x000F_420F, read=self._status, writable=False)

    @property
    def limits(self) -> Limits:
        """How fast the chip may run now."""
        code = self.values[_CR1] >> 14 & 3
        over_drive = self._is_seen(_ODSWRDY)
        hclk = (_WITH_OVER_DRIVE if over_drive else _WITHOUT_OVER_DRIVE)[code]
        scale = f"regulator scale {_SCALE_OF_CODE[code]}"
        if over_drive:
            return Limits(hclk, 54 * _MHZ, 108 * _MHZ, f"{scale} and over-drive")
        return Limits(hclk, 45 * _MHZ, 90 * _MHZ, f"{scale} and no over-drive")

    def waiting_for(self, offset: int) -> str:
        """Say why the status does not change."""
        if offset == _CSR1 and not self.values[_CR1] & _ODEN:
            return "over-drive was not switched on (PWR.CR1 bit 16, ODEN)"
        return ""

    def _is_seen(self, flag: int) -> bool:
        return self._looks[flag] >= _LOOKS_UNTIL_READY

    def _status(self) -> int:
        status = _VOSRDY if self._clocks.pll_is_on() else 0
        for flag, enable in ((_ODRDY, _ODEN), (_ODSWRDY, _ODSWEN)):
            if self.values[_CR1] & enable:
                self._looks[flag] = min(self._looks[flag] + 1, _LOOKS_UNTIL_READY)
                status |= flag if self._is_seen(flag) else 0
        return status

    def _write_control(self, old: int, new: int) -> None:
        changed = old ^ new
        if changed & ~_MODELLED:
            raise RuleBrokenError(
                f"bits 0x{changed & ~_MODELLED:X} of PWR.CR1 were changed",
                why="low-power modes, voltage detector and backup domain are not modelled",
            )
        if changed & _VOS:
            if not new & _VOS:
                raise RuleBrokenError("PWR.CR1 VOS was set to 0, which is reserved", why="1 to 3")
            if self._clocks.pll_is_on():
                raise RuleBrokenError(
                    "the regulator's scale (PWR.CR1 VOS) was changed while the PLL is on",
                    why="VOS may change only while the PLL is off",
                    next_step="write VOS before PLLON",
                )
        if changed & (_ODEN | _ODSWEN) and self._clocks.runs_on_pll():
            raise RuleBrokenError(
                "over-drive was switched while the core runs on the PLL",
                why="it may be switched only while HSI or HSE is the system clock",
                next_step="switch over-drive on before RCC.CFGR SW = 2",
            )
        if not new & _ODEN:
            self._looks[_ODRDY] = 0
        if not new & _ODSWEN:
            self._looks[_ODSWRDY] = 0
        if changed & new & _ODSWEN:
            self._check_switch()

    def _check_switch(self) -> None:
        if not self._is_seen(_ODRDY):
            raise RuleBrokenError(
                "over-drive was switched to (PWR.CR1 ODSWEN) before it was seen to be ready",
                why="ODEN must be set and PWR.CSR1 ODRDY (bit 16) must read 1 before",
                next_step="set ODEN, poll PWR.CSR1 (0x40007004) until bit 16 is 1, set ODSWEN",
            )
        clocked = self._clocks.clocked()
        if clocked:
            raise RuleBrokenError(
                f"over-drive was switched to while {', '.join(clocked)} is clocked",
                why="during that time the system clock stops, and no peripheral clock may be on",
                next_step="bring up the clock first, and set the peripherals' RCC bits afterwards",
            )
