"""What is to be written, how and where: the same for all ways of flashing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from toolchain.boards import Board, Flashing
from toolchain.console import Reporter
from toolchain.flashing.host import Host

Progress = Callable[[int, int], None]
"""Called with the bytes written so far, and with all bytes."""


@dataclass(frozen=True)
class Job:
    """A checked file on its way to a board.

    Attributes:
        board: what to write to.
        way: how.
        file: what to write, of the way's format.
        data: the file's bytes, as they were checked.
        host: this computer.
        port: serial port that the user named; empty to look for it.
    """

    board: Board
    way: Flashing
    file: Path
    data: bytes
    host: Host
    port: str = ""


class Tool(Protocol):
    """What a module for a way of flashing offers."""

    def missing(self, job: Job) -> str:
        """Return what this computer lacks for it, a clause; empty when it can be tried."""

    def plan(self, job: Job) -> tuple[str, ...]:
        """Return what ``write`` would do, a line each, command lines as they would be run.

        Nothing is sent, and no board has to be there.
        """

    def write(self, job: Job, reporter: Reporter, progress: Progress) -> str:
        """Write the file to the board; return what was done, a sentence.

        Raises:
            DeviceNotFoundError: the board is not there.
            DeviceAccessError: it cannot be opened.
            FlashToolError: the program for it is missing or the wrong one.
            FlashError: the board did not take the file.
        """


def find_tool(way: Flashing) -> Tool:
    """Return the module for a way of flashing."""
    return cast(Tool, importlib.import_module(f"toolchain.flashing.tools.{way.tool}"))
