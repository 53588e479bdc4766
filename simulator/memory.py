"""Maps a board's memories into the engine: flash as flash, RAM with a watch below the stack."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine import PAGE, STACK_POINTER, Engine, Permissions
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError
from toolchain.boards import Board

_GUARDED_BLOCK = 0x4000
"""Bytes that become writable together; fewer blocks are mapped faster."""

LARGEST_UNSEEN_MOVE = 508
"""Bytes that the stack pointer may go down by one instruction and be seen at the border still: what
is called then writes there, before or after one more such step."""

_LARGEST_PUSH = 0x100
"""Bytes; no instruction stores more than this below the stack pointer that it starts with."""

ERASED = 0xFF

UNKNOWN = 0xA5
"""What every byte of RAM holds at the start. After power-up that may be anything: a firmware that
counts on zeros is noticed."""


@dataclass(frozen=True)
class Stack:
    """The stack's address range; ``bottom`` is its lowest byte, ``top`` one past its highest."""

    bottom: int
    top: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.top - self.bottom

    def check_write(self, address: int, stack_pointer: int) -> None:
        """Check a write below the stack, made with this stack pointer.

        Raises:
            RuleBrokenError: it is the stack that grew there.
        """
        if stack_pointer - _LARGEST_PUSH <= address < self.bottom:
            raise self._overflow(f"0x{address:08X} was written {self.top - address} bytes below")
        self.check_pointer(stack_pointer)

    def check_pointer(self, stack_pointer: int) -> None:
        """Check where the stack pointer is.

        Raises:
            RuleBrokenError: it is below the stack.
        """
        if stack_pointer < self.bottom:
            raise self._overflow(f"its pointer is {self.top - stack_pointer} bytes below")

    def _overflow(self, what: str) -> RuleBrokenError:
        return RuleBrokenError(
            f"the stack overflowed: {what} its top",
            why=f"the stack has {self.size} bytes, 0x{self.bottom:08X} to 0x{self.top:08X}; "
            "deep calls or large local variables need more, and overwrite data below it",
            next_step="make local variables static, or raise stack_size in board.toml",
        )


class Border(Peripheral):
    """The pages of RAM just below the stack's lowest byte: each write to them is looked at."""

    def __init__(self, engine: Engine, base: int, size: int, stack: Stack) -> None:
        super().__init__("the stack", base, size)
        self._engine = engine
        self._stack = stack
        self._bytes = bytearray([UNKNOWN]) * size

    def read(self, offset: int, size: int) -> int:
        """Return what ``size`` bytes at ``offset`` hold."""
        return int.from_bytes(self._bytes[offset : offset + size], "little")

    def read_bytes(self, offset: int, size: int) -> bytes:
        """Return any number of bytes from ``offset`` on."""
        return bytes(self._bytes[offset : offset + size])

    def write(self, offset: int, size: int, value: int) -> None:
        """Store the lowest ``size`` bytes of ``value`` at ``offset``, least significant first.

        Raises:
            RuleBrokenError: the stack overflowed.
        """
        if self.base + offset < self._stack.bottom:
            stack_pointer = self._engine.read_register(STACK_POINTER)
            self._stack.check_write(self.base + offset, stack_pointer)
        self._bytes[offset : offset + size] = (value & ((1 << 8 * size) - 1)).to_bytes(
            size, "little"
        )


class MemoryMap:
    """The memories of a board as the application finds them.

    Only the application's part of the flash is there: what else the flash holds is not the
    application's to read. RAM below the stack cannot be written, block by block, until it is
    written with the stack pointer inside the stack: the first write of an overflowing stack is
    seen, and nothing is slower for it.

    Args:
        engine: gets the mappings.
        board: its memories and the application's place.
        image: the flashable file.
        stack_top: initial stack pointer.
    """

    def __init__(self, engine: Engine, board: Board, image: bytes, stack_top: int) -> None:
        self._engine = engine
        region = board.application_region
        engine.map(region.origin, region.length, "rx")
        engine.write_memory(region.origin, image.ljust(region.length, bytes([ERASED])))
        self.stack = Stack(stack_top - board.application.stack_size, stack_top)
        self.border: Border | None = None
        self._guarded: dict[int, int] = {}
        for memory in board.memory:
            if memory.kind == "ram":
                self._map_ram(memory.origin, memory.end)

    def _map_unknown(self, address: int, size: int, permissions: Permissions) -> None:
        self._engine.map(address, size, permissions)
        self._engine.write_memory(address, bytes([UNKNOWN]) * size)

    def _map_ram(self, origin: int, end: int) -> None:
        bottom = self.stack.bottom
        if not origin < bottom < end:
            self._map_unknown(origin, end - origin, "rwx")
            return
        border = max((bottom - 2 * LARGEST_UNSEEN_MOVE) & ~(PAGE - 1), origin)
        block_end = border
        while block_end > origin:
            block = max(block_end - _GUARDED_BLOCK, origin)
            size = block_end - block
            self._map_unknown(block, size, "rx")
            self._guarded[block] = size
            block_end = block
        above = (bottom + PAGE - 1) & ~(PAGE - 1)
        self.border = Border(self._engine, border, above - border, self.stack)
        self._map_unknown(above, end - above, "rwx")

    def read(self, address: int, size: int) -> bytes | None:
        """Return what ``size`` bytes at ``address`` hold; None where the engine has no memory."""
        border = self.border
        end = address + size
        if border is None or end <= border.base or border.base + border.size <= address:
            return self._engine.read_memory(address, size)
        # The engine would make a call for each access to the border.
        first, last = max(address, border.base), min(end, border.base + border.size)
        parts = (
            self._engine.read_memory(address, first - address),
            border.read_bytes(first - border.base, last - first),
            self._engine.read_memory(last, end - last),
        )
        return None if None in parts else b"".join(part for part in parts if part)

    def allow_write(self, address: int, size: int, value: int) -> bool:
        """Decide on a write to a page that is not writable; return whether it may go on.

        Args:
            address: of the first byte.
            size: bytes.
            value: what is written, as a signed or unsigned number.

        Raises:
            RuleBrokenError: the stack overflowed.
        """
        for block, length in self._guarded.items():
            if block <= address < block + length:
                break
        else:
            return False
        self.stack.check_write(address, self._engine.read_register(STACK_POINTER))
        del self._guarded[block]
        self._engine.protect(block, length, "rwx")
        # The engine discards the very write that it asked about.
        self._engine.write_memory(address, (value & ((1 << 8 * size) - 1)).to_bytes(size, "little"))
        return True
