"""EasyDMA: how peripherals read memory, which is RAM and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from simulator.rules import RuleBrokenError
from toolchain.boards import Board


class EasyDma:
    """Reads the guest's RAM for a peripheral.

    Args:
        board: its memories.
        read_memory: returns what memory holds at an address, None where there is none.
    """

    def __init__(self, board: Board, read_memory: Callable[[int, int], bytes | None]) -> None:
        self._board = board
        self._read_memory = read_memory

    def read(self, register: str, address: int, size: int) -> bytes:
        """Return ``size`` bytes, at least 1, from the address that ``register`` holds.

        Raises:
            RuleBrokenError: they do not lie in RAM.
        """
        end = address + size
        rams = [memory for memory in self._board.memory if memory.kind == "ram"]
        data = None
        if any(ram.contains(address, size) for ram in rams):
            data = self._read_memory(address, size)
        if data is not None:
            return data
        where = f"{register} is 0x{address:08X}"
        for memory in self._board.memory:
            if not memory.contains(address):
                continue
            if memory.kind == "flash":
                raise RuleBrokenError(
                    f"EasyDMA was pointed at flash: {where}",
                    why="EasyDMA reads RAM only; on the chip this is a HardFault or garbage",
                    next_step="copy the data to RAM first; constants and string literals lie in "
                    "flash",
                )
            raise RuleBrokenError(
                f"EasyDMA was pointed beyond the RAM: {where}, and {size} bytes from there end at "
                f"0x{end:08X}",
                why=f"{memory.name} ends at 0x{memory.end:08X}",
            )
        raise RuleBrokenError(
            f"EasyDMA was pointed at no memory: {where}",
            why="EasyDMA reads RAM only, "
            + ", ".join(f"0x{ram.origin:08X} to 0x{ram.end:08X}" for ram in rams),
        )
