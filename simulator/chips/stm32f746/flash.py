"""FLASH: how long a read of the flash takes."""

from __future__ import annotations

from collections.abc import Callable

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

_ACR = 0x0
_LATENCY = 0xF
_ARTEN, _ARTRST = 1 << 9, 1 << 11
_HZ_PER_WAIT_STATE = 30_000_000
"""At 2.7 V to 3.6 V; the board runs at 3.3 V."""


def wait_states_needed(hclk: int) -> int:
    """Return the wait states of the flash at a core clock in Hz, at 2.7 V to 3.6 V."""
    return max(0, -(-hclk // _HZ_PER_WAIT_STATE) - 1)


class Flash(Peripheral):
    """Flash interface at 0x40023C00; only its access control.

    Args:
        hclk: returns the core's clock in Hz.
    """

    def __init__(self, hclk: Callable[[], int]) -> None:
        super().__init__("FLASH", 0x4002_3C00, 0x400)
        self._hclk = hclk
        self._seen = 0
        self.add(_ACR, "ACR", bits=0xB0F, read=self._read, write=self._write)

    def check_clock(self, hclk: int) -> None:
        """Check that the flash can follow a core clock in Hz.

        Raises:
            RuleBrokenError: too few wait states, or not known to be in effect.
        """
        needed = wait_states_needed(hclk)
        latency = self.values[_ACR] & _LATENCY
        if latency < needed:
            raise RuleBrokenError(
                f"the core was switched to {hclk / 1e6:g} MHz with {latency} wait states of flash",
                why=f"at 2.7 to 3.6 V it needs {needed}, one for each 30 MHz begun after the first",
                next_step=f"write {needed} to LATENCY of FLASH.ACR (0x40023C00) before the switch",
            )
        if self._seen < needed:
            raise RuleBrokenError(
                f"the core was switched to {hclk / 1e6:g} MHz before new wait states were seen",
                why="FLASH.ACR must be read back: the new number may not be in effect yet",
                next_step="poll FLASH.ACR until LATENCY is what was written",
            )

    def _read(self) -> int:
        value = self.values[_ACR]
        self._seen = value & _LATENCY
        return value

    def _write(self, old: int, new: int) -> None:
        self._seen = min(self._seen, new & _LATENCY)
        needed = wait_states_needed(self._hclk())
        if new & _LATENCY < needed:
            raise RuleBrokenError(
                f"the flash was set to {new & _LATENCY} wait states while the core runs at "
                f"{self._hclk() / 1e6:g} MHz",
                why=f"that clock needs {needed} at 2.7 to 3.6 V",
                next_step="lower the clock first",
            )
        if (old ^ new) & _ARTRST and (old | new) & _ARTEN:
            raise RuleBrokenError(
                "the flash accelerator was reset (FLASH.ACR ARTRST) while it is on",
                why="ARTRST may be written only while ARTEN is 0",
            )
