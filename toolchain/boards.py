"""Typed reader of ``boards/<name>/board.toml``, the one description of a board."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolchain.errors import BoardDescriptionError, UnknownTargetError

Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
Length = Annotated[int, Field(gt=0, le=0xFFFF_FFFF)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Table):
    """A contiguous address range.

    Attributes:
        origin: first byte address.
        length: bytes.
    """

    name: str
    origin: Address
    length: Length

    @property
    def end(self) -> int:
        """Address one past the last byte."""
        return self.origin + self.length

    def contains(self, address: int, size: int = 1) -> bool:
        """Return whether ``size`` bytes from ``address`` lie inside."""
        return self.origin <= address and address + size <= self.end


class Memory(Region):
    """A memory of the part.

    Attributes:
        name: also the linker's name of it, where it has sections of its own.
        sections: input sections of zeroed data that lie here and not beside the stack, in this
            order; for a RAM without the stack.
    """

    name: Identifier
    kind: Literal["flash", "ram"]
    sections: tuple[Annotated[str, Field(pattern=r"^\.bss\.[a-z0-9_]+$")], ...] = ()


class Core(_Table):
    """The processor, in the compiler's words.

    Attributes:
        interrupts: number of external interrupt vectors.
        vector_table_alignment: bytes, a power of two.
        clock_hz: core clock after the board's initialisation.
        crystal_hz: of the crystal at the part's high-speed oscillator; None: there is none.
    """

    cpu: Literal["cortex-m4", "cortex-m7"]
    fpu: str
    float_abi: Literal["hard", "softfp", "soft"]
    interrupts: Annotated[int, Field(ge=0, le=496)]
    vector_table_alignment: Annotated[int, Field(ge=128)]
    clock_hz: Annotated[int, Field(gt=0)]
    crystal_hz: Annotated[int, Field(gt=0)] | None = None

    @property
    def vector_words(self) -> int:
        """Words of the vector table: 16 system vectors and the external ones."""
        return 16 + self.interrupts

    @model_validator(mode="after")
    def _alignment_holds_the_table(self) -> Core:
        alignment = self.vector_table_alignment
        if alignment & (alignment - 1) or alignment < 4 * self.vector_words:
            raise ValueError(
                "vector_table_alignment must be a power of two of at least the table's size, "
                f"{4 * self.vector_words} bytes"
            )
        return self


class Application(_Table):
    """Where the flashable image goes and how the core starts it.

    Attributes:
        load_address: address of the image's first byte, which is its vector table.
        max_length: bytes available to the image.
        initial_stack_pointer: the image's first word; the stack grows down from it.
        stack_size: bytes kept for the stack.
    """

    load_address: Address
    max_length: Length
    initial_stack_pointer: Address
    stack_size: Length


class Console(_Table):
    """The serial console; ``baud`` in bits per second, 8N1."""

    peripheral: str
    tx_pin: str
    rx_pin: str
    baud: Annotated[int, Field(gt=0)]


class Led(_Table):
    """A LED of the board; ``pwm`` names what modulates it."""

    name: Identifier
    pin: str
    active: Literal["high", "low"]
    pwm: str


class Blanking(_Table):
    """What comes before and after the visible part of a line or of a picture.

    Attributes:
        sync: length of the synchronisation pulse; pixel clocks of a line, lines of a picture.
        back_porch: between the pulse and the visible part.
        front_porch: between the visible part and the next pulse.
    """

    sync: Annotated[int, Field(gt=0)]
    back_porch: Annotated[int, Field(ge=0)]
    front_porch: Annotated[int, Field(ge=0)]


Level: TypeAlias = Literal["high", "low"]


class Display(_Table):
    """A panel that shows a frame buffer by a controller of the chip.

    Attributes:
        controller: the chip's peripheral that feeds the panel.
        width: visible pixels of a line.
        height: visible lines.
        pixel_clock_hz: what the panel is made for.
        horizontal: of a line.
        vertical: of a picture.
        hsync: level of the line's pulse; ``vsync``: of the picture's; ``data_enable``: in the words
            of the controller's polarity bit.
        pixel_clock: its polarity, in the same words.
        on: outputs that must be high: the panel's own switch, its backlight.
        pins: pin of each signal of the controller that is wired to the panel.
    """

    controller: str
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    pixel_clock_hz: Annotated[int, Field(gt=0)]
    horizontal: Blanking
    vertical: Blanking
    hsync: Level
    vsync: Level
    data_enable: Level
    pixel_clock: Literal["normal", "inverted"]
    on: tuple[str, ...]
    pins: Annotated[dict[str, str], Field(min_length=1)]


Format: TypeAlias = Literal["bin", "hex", "ambiq_image", "ambiq_wired_update", "arduino_library"]
"""A file made from a linked firmware.

``bin`` and ``hex`` are the image as it lies in flash; ``ambiq_image`` is it in the secure
bootloader's header and ``ambiq_wired_update`` that in the header of an update over a serial line;
``arduino_library`` is the sources as a library for the Arduino IDE.
"""


class Package(_Table):
    """Files to make for flashing."""

    formats: Annotated[tuple[Format, ...], Field(min_length=1)]


class Flashing(_Table):
    """One way to get a firmware onto the board.

    Attributes:
        tool: what writes it: the toolchain itself over a serial line (``ambiq_bootloader``), a
            program (``bossac``, ``openocd``), or a copy to the volume that the board shows.
        format: which file is written.
        baud: of the serial line, bits per second.
        config: OpenOCD's configuration file for the board.
        volume: label of the board's volume.
        usb: vendor and product numbers under which the board shows its serial line, ``2341:805a``.
        steps: what to do by hand before it starts, one sentence each.
    """

    tool: Literal["ambiq_bootloader", "bossac", "openocd", "mass_storage"]
    format: Format
    baud: Annotated[int, Field(gt=0)] | None = None
    config: str | None = None
    volume: str | None = None
    usb: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")], ...] = ()
    steps: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_what_its_tool_needs(self) -> Flashing:
        needed = {"ambiq_bootloader": "baud", "openocd": "config", "mass_storage": "volume"}
        name = needed.get(self.tool)
        if name is not None and getattr(self, name) is None:
            raise ValueError(f"flashing by {self.tool} needs '{name}'")
        return self


class Link(_Table):
    """A page about the board."""

    title: str
    url: Annotated[str, Field(pattern=r"^https://")]


class Board(_Table):
    """Everything the toolchain and the simulator know of a board."""

    name: Identifier
    title: str
    chip: Identifier
    aliases: tuple[Identifier, ...] = ()
    core: Core
    memory: tuple[Memory, ...]
    reserved: tuple[Region, ...] = ()
    application: Application
    console: Console
    led: tuple[Led, ...]
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
        application = self.application
        if not self.flash.contains(application.load_address, application.max_length):
            raise ValueError("the application region leaves the flash")
        if application.load_address % self.core.vector_table_alignment:
            raise ValueError("load_address is not aligned for the vector table")
        if application.initial_stack_pointer % 8:
            raise ValueError("initial_stack_pointer must be a multiple of 8")
        if not self.ram.contains(
            application.initial_stack_pointer - application.stack_size, application.stack_size
        ):
            raise ValueError("the stack leaves the RAM")
        self._check_sections()
        for way in self.flashing:
            if way.format not in self.package.formats:
                raise ValueError(f"flashing by {way.tool} needs the format '{way.format}'")
        for region in self.reserved:
            if region.origin < self.application_region.end and (
                self.application_region.origin < region.end
            ):
                raise ValueError(f"the application region overlaps '{region.name}'")
        return self

    def _check_sections(self) -> None:
        named: set[str] = set()
        for memory in self.sectioned_rams:
            if memory.kind != "ram" or memory == self.ram:
                raise ValueError(f"sections are for a RAM without the stack, not '{memory.name}'")
            if memory.name in {"flash", "ram"}:
                raise ValueError(f"'{memory.name}' is the linker's name of another memory")
            twice = named.intersection(memory.sections) or len({*memory.sections}) < len(
                memory.sections
            )
            if twice:
                raise ValueError(f"a section of '{memory.name}' is named twice")
            named.update(memory.sections)


def read_board(path: Path) -> Board:
    """Read one ``board.toml``.

    Raises:
        BoardDescriptionError: missing, not TOML, a wrong key or a contradiction.
    """
    try:
        board = Board.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise BoardDescriptionError(f"{path} does not exist") from error
    except tomllib.TOMLDecodeError as error:
        raise BoardDescriptionError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'board'}: {item['msg']}"
            for item in error.errors()
        )
        raise BoardDescriptionError(f"{path}: {details}") from error
    if board.name != path.parent.name:
        raise BoardDescriptionError(
            f"{path}: name '{board.name}' differs from its folder '{path.parent.name}'"
        )
    return board


def board_names(boards_folder: Path) -> tuple[str, ...]:
    """Return the names of all boards, sorted: every folder that has a ``board.toml``."""
    return tuple(sorted(path.parent.name for path in boards_folder.glob("*/board.toml")))


def find_board(boards_folder: Path, name: str) -> Board:
    """Return the board called ``name`` or having it as an alias.

    Raises:
        UnknownTargetError: no such board; the message lists the known ones.
        BoardDescriptionError: its description cannot be used.
    """
    names = board_names(boards_folder)
    if name in names:
        return read_board(boards_folder / name / "board.toml")
    aliases: dict[str, Board] = {}
    for known in names:
        board = read_board(boards_folder / known / "board.toml")
        aliases |= dict.fromkeys(board.aliases, board)
    if name in aliases:
        return aliases[name]
    close = difflib.get_close_matches(name, [*names, *aliases], n=1)
    raise UnknownTargetError(
        f"there is no target '{name}'",
        why=f"did you mean '{close[0]}'?" if close else "",
        next_step=f"choose one of: {', '.join(names)}",
    )
