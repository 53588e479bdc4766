"""What all peripherals of the chip have in common: tasks, events, interrupts and pin selection."""

from __future__ import annotations

from collections.abc import Callable

from simulator.chips.nrf52840.gpio import is_pin, pin_name
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

SHORTS, INTEN, INTENSET, INTENCLR = 0x200, 0x300, 0x304, 0x308
ENABLE = 0x500
DISCONNECTED = 0xFFFF_FFFF
_CONNECT = 1 << 31
_PIN = 0x3F
_UNUSED = 0x7FFF_FFC0


class NordicPeripheral(Peripheral):
    """A peripheral of tasks and events."""

    @property
    def driven_pins(self) -> tuple[int, ...]:
        """The pins, 0 to 47, whose level this peripheral decides."""
        return ()

    def add_task(self, offset: int, name: str, act: Callable[[], None]) -> None:
        """Add a task register at a byte offset: ``act`` is called when 1 is written.

        Writing 0, which does nothing, breaks a rule.
        """

        def write(_old: int, new: int) -> None:
            if not new:
                raise RuleBrokenError(
                    f"0 was written to {self.name}.{name}",
                    why="a task starts when 1 is written; 0 does nothing",
                    next_step=f"write 1 to {self.name}.{name}",
                )
            act()

        self.add(offset, name, bits=1, readable=False, write=write)

    def add_event(self, offset: int, name: str, read: Callable[[], int] | None = None) -> None:
        """Add an event register at a byte offset, which ``happened`` sets and writing 0 clears.

        ``read`` computes what is read; None: whether the event has happened. Writing 1 breaks a
        rule.
        """

        def write(_old: int, new: int) -> None:
            if new:
                raise RuleBrokenError(
                    f"1 was written to {self.name}.{name}",
                    why="events are made by the peripheral; a program only clears them",
                    next_step="write 0 to clear the event",
                )

        self.add(offset, name, bits=1, read=read, write=write)

    def happened(self, *offsets: int) -> None:
        """Set the events whose registers are at these byte offsets."""
        for offset in offsets:
            self.values[offset] = 1

    def add_interrupts(self, bits: int, *, whole: bool = True) -> None:
        """Add the interrupt enables; ``whole``: INTEN is there beside INTENSET and INTENCLR."""
        if whole:
            self.add(INTEN, "INTEN", bits=bits, write=self._refuse("an interrupt", "interrupts"))
        refuse = self._refuse("an interrupt", "interrupts")
        self.add(INTENSET, "INTENSET", bits=bits, write=refuse)
        self.add(INTENCLR, "INTENCLR", bits=bits, read=lambda: 0)

    def add_shorts(self, bits: int) -> None:
        """Add the shortcuts from events to tasks, none of which is modelled."""
        self.add(SHORTS, "SHORTS", bits=bits, write=self._refuse("a shortcut", "shortcuts"))

    def add_pin_select(self, offset: int, name: str) -> None:
        """Add a PSEL register at a byte offset.

        Rules: the bits between CONNECT and PORT are all 0 or all 1, the pin is one of the chip, and
        the peripheral is disabled when it is written.
        """

        def write(_old: int, new: int) -> None:
            if new & _UNUSED not in {0, _UNUSED}:
                raise RuleBrokenError(
                    f"0x{new:08X} was written to {self.name}.{name}, bits 30:6 of which are "
                    "reserved",
                    why="a wrong field position, or a value meant for another register",
                    next_step="the value is 32 * port + pin, or 0xFFFFFFFF for no pin",
                )
            if not new & _CONNECT and not is_pin(new & _PIN):
                raise RuleBrokenError(
                    f"{self.name}.{name} was set to {pin_name(new & _PIN)}",
                    why="there is no such pin: the chip has P0.00 to P0.31 and P1.00 to P1.15",
                )
            if self.values[ENABLE]:
                raise RuleBrokenError(
                    f"{self.name}.{name} was written while {self.name} is enabled",
                    why="pins may be selected only while the peripheral is disabled",
                    next_step=f"write {self.name}.{name} before {self.name}.ENABLE",
                )

        self.add(offset, name, reset=DISCONNECTED, write=write)

    def selected_pin(self, offset: int) -> int | None:
        """Return the pin of a PSEL register, 0 to 47; None: none is connected."""
        value = self.values[offset]
        return None if value & _CONNECT else value & _PIN

    def _refuse(self, what: str, many: str) -> Callable[[int, int], None]:
        def write(_old: int, new: int) -> None:
            if new:
                raise RuleBrokenError(
                    f"{what} of {self.name} was enabled",
                    why=f"the simulator models no {many} of this peripheral",
                    next_step="poll its events and start its tasks by the program",
                )

        return write
