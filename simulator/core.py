"""The core's own registers: system control, SysTick, cycle counter (Armv7-M, chapter B3 and C1).

Interrupts are not modelled: enabling one is refused, so that no firmware waits for one in vain.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.caches import MemorySystem
from simulator.clock import Clock
from simulator.registers import WORD, Peripheral
from simulator.rules import RuleBrokenError
from toolchain.boards import Board

_CPUID = {"cortex-m4": 0x410F_C241, "cortex-m7": 0x410F_C271}
_VECTKEY = 0x05FA
_VECTKEYSTAT = 0xFA05
_PRIGROUP = 7 << 8
_COUNTER_MASK = 0x00FF_FFFF
_BYTE_ACCESS = frozenset((*range(0x400, 0x5F0), *range(0xD18, 0xD24), *range(0xD28, 0xD2C)))
"""Offsets of NVIC_IPR, SHPR and CFSR: all else of the space takes words only (B3.2.1)."""


def _no_interrupts(what: str) -> RuleBrokenError:
    return RuleBrokenError(
        f"{what} was asked for",
        why="the simulator delivers no interrupts, so the firmware would wait for it for ever",
        next_step="poll instead",
    )


class SystemControlSpace(Peripheral):
    """SysTick, NVIC and SCB at 0xE000E000.

    Args:
        board: core and alignment of its vector table.
        clock: drives SysTick: one count for each instruction.
        has_memory: whether so many bytes at an address can be read.
        set_fpu: told when access to the floating-point unit changes.
    """

    def __init__(
        self,
        board: Board,
        clock: Clock,
        has_memory: Callable[[int, int], bool],
        set_fpu: Callable[[bool], None],
    ) -> None:
        super().__init__("SCS", 0xE000_E000, byte_access=_BYTE_ACCESS)
        self._board = board
        self._clock = clock
        self._has_memory = has_memory
        self._set_fpu = set_fpu
        self._systick_start = 0
        self._systick_held = 0
        self._systick_flag_taken = 0
        self._add_systick()
        self._add_interrupts()
        self._add_system_control()
        self._memory_system = (
            MemorySystem(self, board.application_region) if board.core.cpu == "cortex-m7" else None
        )

    def is_cached(self, address: int, size: int) -> bool:
        """Return whether what is written to these bytes may stay in the core's data cache."""
        return self._memory_system is not None and self._memory_system.is_cached(address, size)

    @property
    def trace_enabled(self) -> bool:
        """Whether DEMCR switches the trace and cycle counting units on."""
        return bool(self.values[0xDFC] & 1 << 24)

    def _add_systick(self) -> None:
        self.add(0x010, "SYST_CSR", bits=0x1_0007, read=self._read_csr, write=self._write_csr)
        self.add(0x014, "SYST_RVR", bits=_COUNTER_MASK, write=self._write_rvr)
        self.add(0x018, "SYST_CVR", read=self._read_cvr, write=self._write_cvr)

    def _write_csr(self, old: int, new: int) -> None:
        if new & 2:
            raise _no_interrupts("the SysTick interrupt (SYST_CSR.TICKINT)")
        if new & 1 and not new & 4:
            raise RuleBrokenError(
                "SysTick was started on the external reference clock",
                why="the simulator models SysTick on the core clock only (SYST_CSR.CLKSOURCE = 1)",
            )
        if new & ~old & 1:
            self._systick_start = self._clock.ticks() - self._systick_held
        if old & ~new & 1:
            self._systick_held = self._clock.ticks() - self._systick_start

    def _write_rvr(self, _old: int, _new: int) -> None:
        if self.values[0x010] & 1:
            raise RuleBrokenError(
                "SysTick's reload value (SYST_RVR) was changed while it runs",
                why="the simulator models one reload value from start to stop only",
                next_step="clear SYST_CSR.ENABLE, write SYST_RVR and SYST_CVR, then start again",
            )

    def _systick_elapsed(self) -> tuple[int, int]:
        """Return instructions counted since the last clear, and counts in a round."""
        running = self.values[0x010] & 1
        elapsed = self._clock.ticks() - self._systick_start if running else self._systick_held
        return elapsed, self.values[0x014] + 1

    def _read_csr(self) -> int:
        elapsed, period = self._systick_elapsed()
        rounds = elapsed // period if period > 1 else 0
        flag = rounds > self._systick_flag_taken
        self._systick_flag_taken = rounds
        return self.values[0x010] & 7 | flag << 16

    def _read_cvr(self) -> int:
        elapsed, period = self._systick_elapsed()
        return (period - elapsed % period) % period

    def _write_cvr(self, _old: int, _new: int) -> None:
        self._systick_start = self._clock.ticks()
        self._systick_held = 0
        self._systick_flag_taken = 0

    def _add_interrupts(self) -> None:
        words = (self._board.core.interrupts + 31) // 32

        def enable(word: int) -> Callable[[int, int], None]:
            def check(_old: int, new: int) -> None:
                if new:
                    number = 32 * word + (new & -new).bit_length() - 1
                    raise _no_interrupts(f"interrupt {number} (NVIC)")

            return check

        for word in range(words):
            self.add(0x100 + 4 * word, f"NVIC_ISER{word}", write=enable(word))
            self.add(0x180 + 4 * word, f"NVIC_ICER{word}", read=lambda: 0)
            self.add(0x200 + 4 * word, f"NVIC_ISPR{word}", write=enable(word))
            self.add(0x280 + 4 * word, f"NVIC_ICPR{word}", read=lambda: 0)
            self.add(0x300 + 4 * word, f"NVIC_IABR{word}", writable=False)
        for word in range((self._board.core.interrupts + 3) // 4):
            self.add(0x400 + 4 * word, f"NVIC_IPR{word}")

    def _add_system_control(self) -> None:
        self.add(0xD00, "CPUID", reset=_CPUID[self._board.core.cpu], writable=False)
        # Nothing is pending or active, and what clears a pending exception reads as 0.
        self.add(0xD04, "ICSR", read=lambda: 0, write=self._write_icsr)
        self.add(0xD08, "VTOR", write=self._write_vtor)
        self.add(0xD0C, "AIRCR", bits=0xFFFF_0707, read=self._read_aircr, write=self._write_aircr)
        self.add(0xD10, "SCR", bits=0x16)
        self.add(0xD14, "CCR", bits=0x31B, reset=0x200, write=self.check_traps)
        for index in range(3):
            self.add(0xD18 + 4 * index, f"SHPR{index + 1}")
        self.add(0xD24, "SHCSR", bits=0x7_FD8B)
        for offset, name in ((0xD28, "CFSR"), (0xD2C, "HFSR"), (0xD30, "DFSR")):
            # Flags that are cleared by writing ones; none is ever set here.
            self.add(offset, name, read=lambda: 0)
        self.add(0xD34, "MMFAR")
        self.add(0xD38, "BFAR")
        self.add(0xD88, "CPACR", bits=0x00F0_0000, write=self._write_cpacr)
        self.add(0xDF0, "DHCSR", writable=False)
        self.add(0xDFC, "DEMCR", bits=0x010F_07F1)
        self.add(0xF34, "FPCCR", bits=0xC000_017B, reset=0xC000_0000)
        self.add(0xF38, "FPCAR", bits=0xFFFF_FFF8)
        self.add(0xF3C, "FPDSCR", bits=0x07C0_0000)

    def _write_icsr(self, _old: int, new: int) -> None:
        for bit, name in ((31, "NMI"), (28, "PendSV"), (26, "SysTick")):
            if new & 1 << bit:
                raise _no_interrupts(f"the exception {name} (SCB.ICSR)")

    def _write_vtor(self, _old: int, new: int) -> None:
        alignment = self._board.core.vector_table_alignment
        table_bytes = 4 * self._board.core.vector_words
        if new % alignment:
            raise RuleBrokenError(
                f"SCB.VTOR was set to 0x{new:08X}, which is not a multiple of {alignment}",
                why=f"a vector table of {table_bytes} bytes must be aligned to the next power of "
                "two; the core would take vectors from elsewhere",
                next_step="align the section of the vector table in the linker script",
            )
        if not self._has_memory(new, table_bytes):
            raise RuleBrokenError(
                f"SCB.VTOR was set to 0x{new:08X}, where no vector table can be",
                why=f"the {table_bytes} bytes from there are not memory of the application",
                next_step="set VTOR to the address of the vector table",
            )

    def _read_aircr(self) -> int:
        return _VECTKEYSTAT << 16 | self.values[0xD0C] & _PRIGROUP

    def _write_aircr(self, _old: int, new: int) -> None:
        if new >> 16 != _VECTKEY:
            raise RuleBrokenError(
                f"0x{new:08X} was written to SCB.AIRCR without its key",
                why=f"the upper half-word must be 0x{_VECTKEY:04X}, or the write is ignored",
            )
        if new & 0x7:
            raise RuleBrokenError(
                "the firmware reset the chip (SCB.AIRCR)",
                why="a restart is not part of a simulated run; most likely a failed check",
            )

    @staticmethod
    def check_traps(_old: int, new: int) -> None:
        """Refuse a value of CCR that asks for traps.

        Raises:
            RuleBrokenError: it does.
        """
        if new & 0x18:
            raise RuleBrokenError(
                "traps on unaligned access or division by zero were enabled (SCB.CCR)",
                why="the simulator cannot trap there, so the firmware would run on",
            )

    def _write_cpacr(self, _old: int, new: int) -> None:
        coprocessor10, coprocessor11 = new >> 20 & 3, new >> 22 & 3
        if coprocessor10 != coprocessor11 or coprocessor10 == 2:
            raise RuleBrokenError(
                f"SCB.CPACR was set to 0x{new:08X}",
                why="the fields of coprocessors 10 and 11 must be equal, and not 2",
                next_step="CPACR |= 0xF << 20",
            )
        self._set_fpu(coprocessor10 != 0)


class CycleCounter(Peripheral):
    """DWT at 0xE0001000; counts instructions as cycles.

    Args:
        clock: the instructions.
        trace_enabled: whether DEMCR.TRCENA is set.
    """

    def __init__(self, clock: Clock, trace_enabled: Callable[[], bool]) -> None:
        super().__init__("DWT", 0xE000_1000)
        self._clock = clock
        self._trace_enabled = trace_enabled
        self._offset = 0
        self.add(
            0x0,
            "CTRL",
            bits=0xF000_0001,
            reset=0x4000_0000,
            read=lambda: self._guarded(self.values[0]),
            write=self._write_ctrl,
        )
        self.add(0x4, "CYCCNT", read=self._read_count, write=self._write_count)

    def _guarded(self, value: int) -> int:
        if not self._trace_enabled():
            raise RuleBrokenError(
                "the cycle counter (DWT) was used while it is switched off",
                why="DEMCR bit 24, TRCENA, is not set",
                next_step="set TRCENA in 0xE000EDFC first",
            )
        return value

    def _write_ctrl(self, old: int, new: int) -> None:
        self._guarded(0)
        if (old ^ new) & 1:
            # CYCCNT holds its value while it stands still.
            now = self._clock.ticks()
            self.values[4] = (now - self._offset) & WORD if old & 1 else self.values[4]
            self._offset = now - self.values[4]

    def _read_count(self) -> int:
        self._guarded(0)
        if self.values[0] & 1:
            return (self._clock.ticks() - self._offset) & WORD
        return self.values[4]

    def _write_count(self, _old: int, new: int) -> None:
        self._guarded(0)
        self._offset = self._clock.ticks() - new
