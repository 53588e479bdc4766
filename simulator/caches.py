"""Caches and memory protection of a Cortex-M7 (Armv7-M, chapters B2 and B3; the core's manual).

Both decide whether another reader of memory, a display controller say, sees what the core wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.rules import RuleBrokenError
from toolchain.boards import Region

if TYPE_CHECKING:
    from simulator.core import SystemControlSpace

SETS = 32
WAYS = 4
LINE = 32
"""The data cache of an STM32F74x: 4 KiB in four ways of 32 lines of 32 bytes."""

REGIONS = 8

_CCR = 0xD14
_DC, _IC, _BP = 1 << 16, 1 << 17, 1 << 18
_CLIDR, _CTR, _CCSIDR, _CSSELR = 0xD78, 0xD7C, 0xD80, 0xD84
_TYPE, _CTRL, _RNR, _RBAR, _RASR = 0xD90, 0xD94, 0xD98, 0xD9C, 0xDA0
_ICIALLU, _DCISW = 0xF50, 0xF60
_DATA_SIZE, _INSTRUCTION_SIZE = 0xF003_E019, 0xF007_E009
_CACHED_BY_DEFAULT = (range(0x2000_0000, 0x4000_0000), range(0x6000_0000, 0xA000_0000))
"""Where a Cortex-M7 without memory protection may keep written data in its cache."""

_FULL_ACCESS = 3


@dataclass(frozen=True)
class _MpuRegion:
    """A region of the memory protection unit: the values of its two registers."""

    rbar: int
    rasr: int

    @property
    def enabled(self) -> bool:
        return bool(self.rasr & 1)

    @property
    def base(self) -> int:
        return self.rbar & ~0x1F

    @property
    def size(self) -> int:
        return 1 << (self.rasr >> 1 & 0x1F) + 1

    @property
    def keeps_writes_in_cache(self) -> bool:
        tex, s, c, b = (
            self.rasr >> 19 & 7,
            self.rasr >> 18 & 1,
            self.rasr >> 17 & 1,
            self.rasr >> 16 & 1,
        )
        if s:
            return False  # this core does not cache what it shares
        if tex & 4:
            return tex & 3 in {1, 3}
        return tex in {0, 1} and bool(c and b)

    def contains(self, address: int) -> bool:
        offset = address - self.base
        if not self.enabled or not 0 <= offset < self.size:
            return False
        return not self.rasr >> 8 >> (8 * offset // self.size) & 1


class MemorySystem:
    """Adds the registers to the system control space and answers what is cached.

    Args:
        space: gets the registers.
        code: where the application's instructions are.
    """

    def __init__(self, space: SystemControlSpace, code: Region) -> None:
        self._space = space
        self._code = code
        self._unknown_lines = {(s, w) for s in range(SETS) for w in range(WAYS)}
        self._instructions_unknown = True
        self._regions = [_MpuRegion(0, 0)] * REGIONS
        space.add(_CCR, "CCR", bits=0x7_031B, reset=0x4_0200, write=self._write_ccr)
        space.add(_CLIDR, "CLIDR", reset=0x0900_0003, writable=False)
        space.add(_CTR, "CTR", reset=0x8303_C003, writable=False)
        space.add(_CSSELR, "CSSELR", bits=0x1)
        space.add(_CCSIDR, "CCSIDR", read=self._read_size, writable=False)
        space.add(_ICIALLU, "ICIALLU", readable=False, write=self._invalidate_instructions)
        space.add(_DCISW, "DCISW", bits=0xC000_3FE0, readable=False, write=self._invalidate_line)
        space.add(_TYPE, "MPU_TYPE", reset=REGIONS << 8, writable=False)
        space.add(_CTRL, "MPU_CTRL", bits=0x7, write=self._write_mpu_control)
        space.add(_RNR, "MPU_RNR", bits=REGIONS - 1)
        space.add(_RBAR, "MPU_RBAR", read=lambda: self._region.rbar, write=self._write_base)
        space.add(
            _RASR,
            "MPU_RASR",
            bits=0x173F_FF3F,
            read=lambda: self._region.rasr,
            write=self._write_attributes,
        )

    def is_cached(self, address: int, size: int) -> bool:
        """Return whether what is written to these bytes may stay in the data cache."""
        if not self._space.values[_CCR] & _DC:
            return False
        first = address - address % LINE
        return any(self._line_is_cached(at) for at in range(first, address + size, LINE))

    def _line_is_cached(self, address: int) -> bool:
        if self._space.values[_CTRL] & 1:
            # The highest number wins.
            for region in reversed(self._regions):
                if region.contains(address):
                    return region.keeps_writes_in_cache
        return any(address in where for where in _CACHED_BY_DEFAULT)

    # Caches

    def _read_size(self) -> int:
        return _INSTRUCTION_SIZE if self._space.values[_CSSELR] & 1 else _DATA_SIZE

    def _write_ccr(self, old: int, new: int) -> None:
        self._space.check_traps(old, new)
        if new & ~old & _IC and self._instructions_unknown:
            raise RuleBrokenError(
                "the instruction cache was enabled with unknown contents",
                why="after reset a cache may hold anything and call it valid",
                next_step="write 0 to ICIALLU (0xE000EF50), then dsb, isb, before CCR.IC",
            )
        if new & ~old & _DC and self._unknown_lines:
            raise RuleBrokenError(
                f"the data cache was enabled with {len(self._unknown_lines)} of its "
                f"{SETS * WAYS} lines not made invalid",
                why="after reset a cache may hold anything, call it valid, and write it to memory "
                "later",
                next_step="write each set and way to DCISW (0xE000EF60) first; CCSIDR tells how "
                "many there are",
            )
        if old & ~new & _DC:
            raise RuleBrokenError(
                "the data cache was switched off",
                why="what it holds would have to be cleaned before, which is not modelled",
            )

    def _invalidate_instructions(self, _old: int, _new: int) -> None:
        self._instructions_unknown = False

    def _invalidate_line(self, _old: int, new: int) -> None:
        if self._space.values[_CCR] & _DC:
            raise RuleBrokenError(
                "a line of the data cache was made invalid while the cache is on",
                why="what the core wrote into it, the stack for instance, is lost",
                next_step="clean lines (DCC...), or do it before CCR.DC",
            )
        line = (new >> 5 & 0x1FF, new >> 30)
        if line[0] >= SETS:
            raise RuleBrokenError(
                f"set {line[0]} of the data cache was made invalid, which has {SETS} sets",
                why="the set is in bits 13:5, the way in bits 31:30 of DCISW",
            )
        self._unknown_lines.discard(line)

    # Memory protection unit

    @property
    def _number(self) -> int:
        return self._space.values[_RNR]

    @property
    def _region(self) -> _MpuRegion:
        return self._regions[self._number]

    def _write_base(self, _old: int, new: int) -> None:
        if new & 0x10:
            if new & 0xF >= REGIONS:
                raise RuleBrokenError(
                    f"region {new & 0xF} of the memory protection unit was chosen",
                    why=f"there are {REGIONS}",
                )
            self._space.values[_RNR] = new & 0xF
        self._set(_MpuRegion(new & ~0x1F | self._number, self._region.rasr))

    def _write_attributes(self, _old: int, new: int) -> None:
        self._set(_MpuRegion(self._region.rbar, new))

    def _set(self, region: _MpuRegion) -> None:
        if self._space.values[_CCR] & _DC and (region.enabled or self._region.enabled):
            raise RuleBrokenError(
                "a region of the memory protection unit was changed while the data cache is on",
                why="the cache may already hold lines of that memory as they were",
                next_step="set the regions up before CCR.DC",
            )
        self._regions[self._number] = region
        if region.enabled:
            self._check(region)

    def _check(self, region: _MpuRegion) -> None:
        where = f"region {self._number} of the memory protection unit"
        if region.size < LINE or (region.rasr >> 8 & 0xFF and region.size < 256):
            raise RuleBrokenError(
                f"{where} has {region.size} bytes",
                why="32 are the least, and 256 for one with parts (SRD); SIZE is log2(bytes) - 1",
            )
        if region.base % region.size:
            raise RuleBrokenError(
                f"{where} begins at 0x{region.base:08X}, not at a multiple of its size",
                why=f"it has 0x{region.size:X} bytes; the core ignores the lower address bits",
            )
        if region.rasr >> 24 & 7 != _FULL_ACCESS:
            raise RuleBrokenError(
                f"{where} restricts access (AP {region.rasr >> 24 & 7})",
                why="the simulator cannot make an access fault; AP 3 is full access",
            )
        if region.rasr >> 28 & 1 and region.contains(self._code.origin):
            raise RuleBrokenError(
                f"{where} forbids the application's own instructions (XN)",
                why="the next instruction would fault",
            )

    def _write_mpu_control(self, _old: int, new: int) -> None:
        if new & 1 and not new & 4:
            raise RuleBrokenError(
                "the memory protection unit was enabled without its background (PRIVDEFENA)",
                why="whatever no region covers would fault; the simulator does not model that",
                next_step="write 5 to MPU_CTRL (0xE000ED94)",
            )
