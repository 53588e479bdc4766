"""What surrounds the core: one module for each chip, found by the name in ``board.toml``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from simulator.clock import Clock
from simulator.registers import Peripheral
from simulator.request import Screen
from toolchain.boards import Board
from toolchain.errors import BoardDescriptionError


@dataclass(frozen=True)
class Surroundings:
    """What a chip's model may use.

    Attributes:
        board: the board that the chip is on.
        clock: time for timers.
        console: takes each byte that the board's console sends.
        program_counter: returns the address of the running instruction.
        read_memory: returns what so many bytes of the application's memory at an address hold;
            None where not all of them are such memory.
        is_cached: whether what the core writes to so many bytes at an address may stay in its data
            cache, unseen by whatever else reads memory.
    """

    board: Board
    clock: Clock
    console: Callable[[int], None]
    program_counter: Callable[[], int]
    read_memory: Callable[[int, int], bytes | None]
    is_cached: Callable[[int, int], bool] = lambda _address, _size: False


class Chip(Protocol):
    """A chip's peripherals and pins."""

    @property
    def peripherals(self) -> Sequence[Peripheral]:
        """Everything that is modelled."""

    def owner(self, address: int) -> str:
        """Return the name of what is at an address that is not modelled, '' if unknown."""

    def brightness(self) -> Mapping[str, float]:
        """Return how bright each LED of the board is, 0 to 1.

        Raises:
            RuleBrokenError: what drives a LED is set up so that it cannot.
        """


@runtime_checkable
class ShowsScreen(Protocol):
    """A chip that feeds a display."""

    def screen(self) -> Screen | None:
        """Return what the board's panel shows; None: the board has none.

        Raises:
            RuleBrokenError: it shows nothing, or not what the firmware drew.
        """


class ChipModule(Protocol):
    """What a module in this package offers."""

    def check_image(self, board: Board, image: bytes) -> None:
        """Check what the chip's boot code checks before it starts ``image``.

        Raises:
            RuleBrokenError: the boot code refuses the image.
        """

    def make_chip(self, surroundings: Surroundings) -> Chip:
        """Return the chip in the state in which its boot code leaves it.

        Raises:
            BoardDescriptionError: the board uses something that the chip does not have.
        """


def chip_names() -> tuple[str, ...]:
    """Return the names of all modelled chips, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find_chip(board: Board) -> ChipModule:
    """Return the model of the board's chip.

    Raises:
        BoardDescriptionError: there is none.
    """
    if board.chip not in chip_names():
        raise BoardDescriptionError(
            f"the simulator has no model of the chip '{board.chip}' of {board.title}",
            next_step=f"choose one of {', '.join(chip_names())}, or add simulator/chips/"
            f"{board.chip}",
        )
    return cast(ChipModule, importlib.import_module(f"{__name__}.{board.chip}"))
