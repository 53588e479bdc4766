"""Finds the smallest tensor arena with which a firmware starts, by running it in the simulator."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from simulator import SimulationRequest, simulate
from toolchain.boards import Board
from toolchain.building.own_code import ARENA_CODE, code_digest
from toolchain.digest import Digest
from toolchain.errors import FirmwareInvalidError, SimulationIncompleteError
from toolchain.files import write_atomically
from toolchain.firmware.elf import symbol_address
from toolchain.firmware.generated import ARENA_GRANULE

SIZE_SYMBOL = "kArenaSize"
"""The int in flash that tells the interpreter how many bytes it has (``tflm/common/arena.h``)."""

_READY = " cases="
_TOO_SMALL = "the model's tensors cannot be allocated"
_BUDGET = 1_000_000_000
_MEMO_SCHEMA = "tinyml-toolchain/arena/1"


@dataclass(frozen=True)
class ArenaMeasurement:
    """What a firmware needs of its arena, all in bytes.

    Attributes:
        smallest: smallest size with which the interpreter starts, a multiple of
            ``ARENA_GRANULE``; one granule less was tried and fails.
        used: what it says that it uses of that once it has started.
        tried: sizes that were tried.
    """

    smallest: int
    used: int
    tried: tuple[int, ...]


def measure_arena(
    board: Board, image: bytes, elf: Path, largest: int, cache: Path
) -> ArenaMeasurement | None:
    """Start a firmware with arenas of other sizes, by halves, until the smallest is known.

    What was measured before of the same files by the same code is remembered.

    Args:
        board: what the firmware was built for.
        image: its flashable file; the one word that says how large the arena is gets replaced.
        elf: the file that the image was made from.
        largest: size of the arena that it was built with, a multiple of ``ARENA_GRANULE``.
        cache: folder to remember in.

    Returns:
        None: it does not start with the largest one either.

    Raises:
        FirmwareInvalidError: the size is not where it should be, or the firmware does not say how
            much it uses.
        SimulationFaultError: the firmware broke a rule of the silicon.
        SimulationIncompleteError: something else than the arena stopped it.
    """
    key = Digest.of_bytes(
        "\n".join(
            [
                _MEMO_SCHEMA,
                code_digest(ARENA_CODE),
                board.model_dump_json(),
                str(Digest.of_bytes(image)),
                str(Digest.of_file(elf)),
                str(largest),
            ]
        ).encode()
    )
    memo = cache / key.sha256
    try:
        known = json.loads(memo.read_bytes())
        sizes = [known["smallest"], known["used"], *known["tried"]]
        if all(type(size) is int and 0 <= size <= largest for size in sizes):
            return ArenaMeasurement(sizes[0], sizes[1], tuple(sizes[2:]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    measured = _measure(board, image, elf, largest)
    if measured is not None:
        write_atomically(memo, json.dumps(dataclasses.asdict(measured)).encode())
    return measured


def _measure(board: Board, image: bytes, elf: Path, largest: int) -> ArenaMeasurement | None:
    offset = _offset_of_size(board, image, elf, largest)
    used: dict[int, int | None] = {}

    def starts(size: int) -> bool:
        if size not in used:
            changed = bytearray(image)
            struct.pack_into("<i", changed, offset, size)
            used[size] = _used_when_started(board, bytes(changed))
        return used[size] is not None

    if not starts(largest):
        return None
    fails, works = 0, largest // ARENA_GRANULE
    while works - fails > 1:
        middle = (works + fails) // 2
        if starts(middle * ARENA_GRANULE):
            works = middle
        else:
            fails = middle
    smallest = works * ARENA_GRANULE
    return ArenaMeasurement(smallest, used[smallest] or 0, tuple(sorted(used)))


def _offset_of_size(board: Board, image: bytes, elf: Path, size: int) -> int:
    address = symbol_address(elf.read_bytes(), SIZE_SYMBOL)
    offset = -1 if address is None else address - board.application.load_address
    if not 0 <= offset <= len(image) - 4 or struct.unpack_from("<i", image, offset) != (size,):
        raise FirmwareInvalidError(
            f"the size of the tensor arena is not where {SIZE_SYMBOL} says",
            next_step="compare tflm/common/arena.cc with toolchain/building/arena_measurement.py",
        )
    return offset


def _used_when_started(board: Board, image: bytes) -> int | None:
    """Return the bytes in use after the start; None when the arena is too small."""
    # Without the ELF, because the image is no longer the one that it was made into.
    request = SimulationRequest(
        board=board, image=image, until_text=_READY, instruction_budget=_BUDGET
    )
    try:
        result = simulate(request)
    except SimulationIncompleteError as error:
        if _TOO_SMALL in error.what:
            return None
        raise
    banner = next(line for line in result.console.splitlines() if _READY in line)
    used, _, _ = banner.partition(" arena=")[2].partition("/")
    if not re.fullmatch("[0-9]{1,10}", used):
        raise FirmwareInvalidError(
            f"the firmware does not say how much of its tensor arena it uses: {banner}",
            next_step="compare what tflm/model_runner prints with "
            "toolchain/building/arena_measurement.py",
        )
    return int(used)
