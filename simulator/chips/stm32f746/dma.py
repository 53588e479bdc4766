"""DMA2: streams that answer a timer's requests by writing a word to a port."""

from __future__ import annotations

from collections.abc import Callable

from simulator.chips.stm32f746.timer import COMPARE_1, UPDATE
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

STREAMS = 8

TIM1_CHANNEL = 6
TIM1_REQUESTS = {1: COMPARE_1, 3: COMPARE_1, 5: UPDATE}
"""Which request of TIM1 each stream answers on that channel (stm32-metapac)."""

_CR, _NDTR, _PAR, _M0AR, _M1AR, _FCR = 0x0, 0x4, 0x8, 0xC, 0x10, 0x14
_EN, _CIRC = 1 << 0, 1 << 8
_INTERRUPTS = 0x1E
_DMDIS = 1 << 2
_TO_PERIPHERAL = 1 << 6
_WORDS = 2 << 11 | 2 << 13
_PRIORITY = 3 << 16
_CHANNEL = 7 << 25


class Dma(Peripheral):
    """DMA2 at 0x40026400.

    Args:
        is_open: whether its clock comes through.
        can_read: whether the controller can read a word of memory.
        is_port: whether a word can be written at an address of a port.
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(
        self,
        is_open: Callable[[], bool],
        can_read: Callable[[int], bool],
        is_port: Callable[[int], bool],
        program_counter: Callable[[], int],
    ) -> None:
        super().__init__("DMA2", 0x4002_6400, 0x400)
        self._is_open = is_open
        self._can_read = can_read
        self._is_port = is_port
        self._program_counter = program_counter
        self.started_at: dict[int, int] = {}
        for stream in range(STREAMS):
            base = _base(stream)
            self.add(
                base + _CR, f"S{stream}CR", bits=0x0FEF_FFFF, write=self._control_writer(stream)
            )
            for offset, name, bits in (
                (_NDTR, "NDTR", 0xFFFF),
                (_PAR, "PAR", 0xFFFF_FFFF),
                (_M0AR, "M0AR", 0xFFFF_FFFF),
                (_M1AR, "M1AR", 0xFFFF_FFFF),
            ):
                self.add(
                    base + offset,
                    f"S{stream}{name}",
                    bits=bits,
                    write=self._setting_writer(stream, name),
                )
            self.add(
                base + _FCR,
                f"S{stream}FCR",
                bits=0xBF,
                reset=0x21,
                write=self._setting_writer(stream, "FCR"),
            )

    @property
    def running(self) -> tuple[int, ...]:
        """The streams that are enabled."""
        if not self._is_open():
            return ()
        return tuple(n for n in range(STREAMS) if self.values[_base(n) + _CR] & _EN)

    def target(self, stream: int) -> int:
        """Return the address that a stream writes to."""
        return self.values[_base(stream) + _PAR]

    def source(self, stream: int) -> int:
        """Return the address of the word that a stream writes."""
        return self.values[_base(stream) + _M0AR]

    def _setting_writer(self, stream: int, name: str) -> Callable[[int, int], None]:
        def write(_old: int, _new: int) -> None:
            if self.values[_base(stream) + _CR] & _EN:
                raise RuleBrokenError(
                    f"DMA2.S{stream}{name} was written while stream {stream} is enabled",
                    why="a stream's settings may change only while EN (bit 0 of its CR) is 0",
                )

        return write

    def _control_writer(self, stream: int) -> Callable[[int, int], None]:
        def write(old: int, new: int) -> None:
            if new & _INTERRUPTS:
                raise RuleBrokenError(
                    f"an interrupt of DMA2's stream {stream} was enabled",
                    why="the simulator delivers no interrupts",
                )
            if old & new & _EN and old != new:
                raise RuleBrokenError(
                    f"DMA2.S{stream}CR was changed while stream {stream} is enabled",
                    why="a stream's settings may change only while EN (bit 0 of its CR) is 0",
                )
            if new & ~old & _EN:
                self.started_at[stream] = self._program_counter()
                self._check_start(stream, new)

        return write

    def _check_start(self, stream: int, control: int) -> None:
        name = f"DMA2's stream {stream}"
        base = _base(stream)
        if control & ~(_EN | _CIRC | _PRIORITY | _CHANNEL) != _TO_PERIPHERAL | _WORDS:
            raise RuleBrokenError(
                f"{name} was started with 0x{control:08X}",
                why="the simulator models words from memory to a peripheral, without increments, "
                "bursts and double buffers: DIR 1, PSIZE 2, MSIZE 2",
            )
        if self.values[base + _FCR] & _DMDIS:
            raise RuleBrokenError(
                f"{name} was started with its FIFO on", why="the simulator models direct mode only"
            )
        channel = control >> 25
        if channel != TIM1_CHANNEL or stream not in TIM1_REQUESTS:
            raise RuleBrokenError(
                f"{name} was started on channel {channel}, which never asks",
                why=f"TIM1's requests are on channel {TIM1_CHANNEL}: compare 1 on streams 1 and 3, "
                "update on stream 5; no other peripheral's are modelled",
            )
        if not control & _CIRC or not self.values[base + _NDTR]:
            raise RuleBrokenError(
                f"{name} was started for {self.values[base + _NDTR]} transfers",
                why="a stream that is not circular (CIRC, bit 8), or has NDTR 0, soon stops",
                next_step="set CIRC, and NDTR to 1 or more",
            )
        self._check_addresses(name, self.values[base + _M0AR], self.values[base + _PAR])

    def _check_addresses(self, name: str, source: int, target: int) -> None:
        if source % 4 or not self._can_read(source):
            raise RuleBrokenError(
                f"{name} was started to read from 0x{source:08X}",
                why="no word of memory is there, or the core may keep what it writes there in its "
                "data cache, where the controller does not see it",
                next_step="put the word into flash (a constant) or into the DTCM",
            )
        if not self._is_port(target):
            raise RuleBrokenError(
                f"{name} was started to write to 0x{target:08X}",
                why="the simulator models writes to the set/reset register (BSRR) of a port only",
            )


def _base(stream: int) -> int:
    return 0x10 + 0x18 * stream
