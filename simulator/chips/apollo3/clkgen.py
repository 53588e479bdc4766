"""CLKGEN: the core clock's divider behind its key."""

from __future__ import annotations

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

_KEY = 0x47
_CLKKEY = 0x14
_CCTRL = 0x18


class Clkgen(Peripheral):
    """Clock generator at 0x40004000."""

    def __init__(self) -> None:
        super().__init__("CLKGEN", 0x4000_4000, size=0x200)
        self.add(_CLKKEY, "CLKKEY", read=lambda: int(self.values[_CLKKEY] == _KEY))
        self.add(_CCTRL, "CCTRL", bits=1, reset=1, write=self._write_cctrl)

    def _write_cctrl(self, _old: int, _new: int) -> None:
        if self.values[_CLKKEY] != _KEY:
            raise RuleBrokenError(
                "CLKGEN.CCTRL was written while it is locked",
                why=f"CLKKEY holds 0x{self.values[_CLKKEY]:X}, so the write is ignored and the "
                "core keeps its clock",
                next_step=f"write 0x{_KEY:X} to CLKGEN.CLKKEY (0x40004014) first",
            )
