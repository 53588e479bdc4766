"""The whole of a ``board.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from toolchain.boards.consistency import check_board
from toolchain.boards.tables import (
    Application,
    Console,
    Core,
    Display,
    Drawing,
    Flashing,
    Identifier,
    Led,
    Link,
    Memory,
    Package,
    Region,
    Table,
    Title,
)


class Board(Table):
    """Everything the toolchain and the simulator know of a board."""

    name: Identifier
    title: Title
    chip: Identifier
    aliases: tuple[Identifier, ...] = ()
    core: Core
    memory: tuple[Memory, ...]
    reserved: tuple[Region, ...] = ()
    application: Application
    console: Console
    led: tuple[Led, ...]
    drawing: Drawing | None = None
    display: Display | None = None
    package: Package
    flashing: Annotated[tuple[Flashing, ...], Field(min_length=1)]
    link: tuple[Link, ...] = ()

    @property
    def flash(self) -> Memory:
        """The flash that holds the application."""
        return self._memory_at(self.application.load_address, "flash")

    @property
    def ram(self) -> Memory:
        """The RAM that holds the initial stack."""
        return self._memory_at(self.application.initial_stack_pointer - 1, "ram")

    @property
    def rams(self) -> tuple[Memory, ...]:
        """Every RAM, in the order of ``board.toml``."""
        return tuple(memory for memory in self.memory if memory.kind == "ram")

    @property
    def sectioned_rams(self) -> tuple[Memory, ...]:
        """The RAMs that have sections of their own."""
        return tuple(memory for memory in self.memory if memory.sections)

    @property
    def application_region(self) -> Region:
        """The part of the flash that the image may fill."""
        application = self.application
        return Region(
            name="application", origin=application.load_address, length=application.max_length
        )

    def _memory_at(self, address: int, kind: str) -> Memory:
        for memory in self.memory:
            if memory.kind == kind and memory.contains(address):
                return memory
        raise ValueError(f"0x{address:08X} lies in no {kind} memory")

    @model_validator(mode="after")
    def _consistent(self) -> Board:
        check_board(self)
        return self
