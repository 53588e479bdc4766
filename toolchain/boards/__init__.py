"""Boards, each described by its ``boards/<name>/board.toml`` and nothing else."""

from toolchain.boards.board import Board
from toolchain.boards.reading import (
    board_names,
    find_board,
    find_targets,
    read_board,
)
from toolchain.boards.tables import (
    ALL_TARGETS,
    Application,
    Blanking,
    Console,
    Core,
    Display,
    Drawing,
    Flashing,
    Format,
    Led,
    Link,
    Memory,
    Package,
    Region,
)

__all__ = [
    "ALL_TARGETS",
    "Application",
    "Blanking",
    "Board",
    "Console",
    "Core",
    "Display",
    "Drawing",
    "Flashing",
    "Format",
    "Led",
    "Link",
    "Memory",
    "Package",
    "Region",
    "board_names",
    "find_board",
    "find_targets",
    "read_board",
]
