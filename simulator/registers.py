"""Memory-mapped peripherals as tables of registers that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from simulator.rules import RuleBrokenError

WORD = 0xFFFF_FFFF


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Attributes:
        name: the vendor's.
        bits: mask of the bits that exist; the others must be written as they are after reset.
        reset: value after reset.
        readable: whether reading is modelled.
        writable: whether writing is allowed.
    """

    name: str
    bits: int
    reset: int
    readable: bool
    writable: bool


class Peripheral:
    """A peripheral's registers, by offset from its base.

    A model derives from this, adds its registers in its constructor, and does its work in the
    callables given there.

    Args:
        name: the vendor's name, for messages.
        base: address of offset 0.
        size: bytes of address space that it occupies; others may follow in the same page.
        byte_access: offsets at which bytes and half-words are taken too.
    """

    def __init__(
        self, name: str, base: int, size: int = 0x1000, byte_access: Container[int] = ()
    ) -> None:
        self.name = name
        self.base = base
        self.size = size
        self.registers: dict[int, Register] = {}
        self.values: dict[int, int] = {}
        self.readers: dict[int, Callable[[], int]] = {}
        self.writers: dict[int, Callable[[int], None]] = {}
        self._byte_access = byte_access

    def add(
        self,
        offset: int,
        name: str,
        *,
        bits: int = WORD,
        reset: int = 0,
        read: Callable[[], int] | None = None,
        write: Callable[[int, int], None] | None = None,
        readable: bool = True,
        writable: bool = True,
    ) -> None:
        """Add a register.

        Args:
            offset: from the base, a multiple of 4.
            name: the vendor's.
            bits: mask of the bits that exist.
            reset: value after reset.
            read: computes what is read; None: what was stored.
            write: called with the old and the new value, after the new one is stored.
            readable: False: reading it is refused.
            writable: False: writing it is refused.

        Writing a reserved bit otherwise than it is after reset raises ``RuleBrokenError``.
        """
        self.registers[offset] = Register(name, bits, reset, readable, writable)
        self.values[offset] = reset
        values = self.values
        if readable:
            self.readers[offset] = read or (lambda: values[offset])
        if writable:
            reserved, fixed = WORD & ~bits, reset & ~bits

            def store(value: int) -> None:
                if value & reserved != fixed:
                    raise RuleBrokenError(
                        f"0x{value:08X} was written to {self.name}.{name}, bits "
                        f"0x{(value & reserved) ^ fixed:08X} of which are reserved",
                        why="a wrong field position, or a value meant for another register",
                        next_step="compare the field's shift and width with the data sheet",
                    )
                old = values[offset]
                values[offset] = value
                if write is not None:
                    write(old, value)

            self.writers[offset] = store

    def holds(self, address: int) -> bool:
        """Return whether an address is the peripheral's."""
        return self.base <= address < self.base + self.size

    def register_name(self, offset: int) -> str:
        """Return ``PERIPHERAL.REGISTER``, or the offset where no register is known."""
        register = self.registers.get(offset)
        return f"{self.name}.{register.name}" if register else f"{self.name}+0x{offset:X}"

    def waiting_for(self, offset: int) -> str:
        """Say why a register that is polled for ever does not change; empty when unknown.

        Args:
            offset: of the register, in bytes from the base.
        """
        del offset
        return ""

    def read(self, offset: int, size: int) -> int:
        """Return what ``size`` bytes at ``offset`` hold.

        Raises:
            RuleBrokenError: the silicon, or its model, has nothing to read there.
        """
        if size == 4 and offset in self.readers:
            return self.readers[offset]()
        word = offset & ~3
        if self._bytes_allowed(offset, size) and word in self.readers:
            return self.readers[word]() >> 8 * (offset & 3) & ((1 << 8 * size) - 1)
        raise self._refusal(offset, size, "read from")

    def write(self, offset: int, size: int, value: int) -> None:
        """Store ``size`` bytes at ``offset``.

        Raises:
            RuleBrokenError: the silicon, or its model, takes nothing there, or not this value.
        """
        if size == 4 and offset in self.writers:
            self.writers[offset](value)
            return
        word = offset & ~3
        if self._bytes_allowed(offset, size) and word in self.writers:
            shift = 8 * (offset & 3)
            mask = ((1 << 8 * size) - 1) << shift
            self.writers[word](self.values[word] & ~mask | value << shift & mask)
            return
        raise self._refusal(offset, size, "write to")

    def _bytes_allowed(self, offset: int, size: int) -> bool:
        return size in {1, 2} and offset % size == 0 and offset in self._byte_access

    def _refusal(self, offset: int, size: int, verb: str) -> RuleBrokenError:
        address = f"0x{self.base + offset:08X}"
        register = self.registers.get(offset)
        if register is not None and size == 4:
            only = "write-only" if verb.startswith("read") else "read-only"
            return RuleBrokenError(
                f"{verb} {self.name}.{register.name} at {address}, which is {only}",
                why="the register's address or the direction of the access is wrong",
            )
        if offset & ~3 in self.registers:
            return RuleBrokenError(
                f"{size}-byte {verb} {self.register_name(offset & ~3)} at {address}",
                why="this peripheral's registers take whole aligned words only",
                next_step="access the register through a pointer to volatile uint32_t",
            )
        return RuleBrokenError(
            f"{verb} {address}, offset 0x{offset:X} of {self.name}, where no register is modelled",
            why="the address is wrong, or the firmware uses a part of the peripheral that the "
            "simulator does not know",
            next_step=f"compare the offset with the data sheet's registers of {self.name}",
        )
