"""Peripherals behind a clock gate: RCC must let their clock through before they are touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError


@dataclass(frozen=True)
class Gate:
    """A bit of RCC that lets a peripheral's clock through.

    Attributes:
        register: ``AHB1ENR`` and so on; ``address`` is its.
        bit: number of the bit.
    """

    register: str
    address: int
    bit: int


def guard(peripheral: Peripheral, gate: Gate, is_open: Callable[[], bool]) -> None:
    """Refuse each access to the registers that ``peripheral`` has now while its gate is closed.

    The access then raises ``RuleBrokenError``.
    """

    def check() -> None:
        if not is_open():
            raise RuleBrokenError(
                f"{peripheral.name} was used while its clock is off",
                why=f"bit {gate.bit} of RCC.{gate.register} is 0: reads give 0, writes are lost",
                next_step=f"set bit {gate.bit} of RCC.{gate.register} (0x{gate.address:08X}) first",
            )

    def read_guarded(read: Callable[[], int]) -> Callable[[], int]:
        def guarded() -> int:
            check()
            return read()

        return guarded

    def write_guarded(write: Callable[[int], None]) -> Callable[[int], None]:
        def guarded(value: int) -> None:
            check()
            write(value)

        return guarded

    peripheral.readers |= {at: read_guarded(read) for at, read in peripheral.readers.items()}
    peripheral.writers |= {at: write_guarded(write) for at, write in peripheral.writers.items()}
