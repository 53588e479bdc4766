"""CACHECTRL: the flash cache, which may be configured only while it is off."""

from __future__ import annotations

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

_CACHECFG = 0x0
_CTRL = 0x8
_ENABLE = 1 << 0
_MONITOR = 1 << 24
_CONFIG_CODES = {4, 5, 8}
_READY = 1 << 2


class Cachectrl(Peripheral):
    """Cache controller at 0x40018000."""

    def __init__(self) -> None:
        super().__init__("CACHECTRL", 0x4001_8000)
        self.add(_CACHECFG, "CACHECFG", bits=0x0110_0FFF, reset=0x0010_0C50, write=self._configure)
        self.add(0x4, "FLASHCFG", bits=0x3F7F, reset=0x873)
        self.add(_CTRL, "CTRL", bits=0x777, read=self._read_ctrl)

    def _configure(self, old: int, new: int) -> None:
        changed = (old ^ new) & ~(_ENABLE | _MONITOR)
        if changed and (old | new) & _ENABLE:
            when = "while the cache is on" if old & _ENABLE else "in the write that switches it on"
            raise RuleBrokenError(
                f"the cache's configuration was changed {when} (CACHECTRL.CACHECFG from "
                f"0x{old:08X} to 0x{new:08X})",
                why="the configuration may change only while ENABLE is 0",
                next_step="write the configuration with ENABLE = 0 first, then the same with 1",
            )
        if new & _ENABLE and new >> 4 & 0xF not in _CONFIG_CODES:
            raise RuleBrokenError(
                f"the cache was switched on with CONFIG {new >> 4 & 0xF}",
                why="the part has 4 (1-way, 512), 5 (2-way, 512) and 8 (1-way, 1024 entries)",
            )

    def _read_ctrl(self) -> int:
        return _READY if self.values[_CACHECFG] & _ENABLE else 0
