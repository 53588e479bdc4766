"""Typed reader of ``boards/<name>/board.toml``, the one description of a board."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolchain.board_problems import (
    Contradiction,
    Problem,
    grammar_problem,
    line_of,
    validation_problems,
)
from toolchain.errors import BoardDescriptionError, UnknownTargetError

# Strict: a number in quotes, or true, is a mistake.
Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF, strict=True)]
Length = Annotated[int, Field(gt=0, le=0xFFFF_FFFF, strict=True)]
Positive = Annotated[int, Field(gt=0, strict=True)]
NotNegative = Annotated[int, Field(ge=0, strict=True)]
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

    def overlaps(self, other: Region) -> bool:
        """Return whether the two have an address in common."""
        return self.origin < other.end and other.origin < self.end


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
    interrupts: Annotated[int, Field(ge=0, le=496, strict=True)]
    vector_table_alignment: Annotated[int, Field(ge=128, strict=True)]
    clock_hz: Positive
    crystal_hz: Positive | None = None

    @property
    def vector_words(self) -> int:
        """Words of the vector table: 16 system vectors and the external ones."""
        return 16 + self.interrupts

    @model_validator(mode="after")
    def _alignment_holds_the_table(self) -> Core:
        alignment = self.vector_table_alignment
        if alignment & (alignment - 1) or alignment < 4 * self.vector_words:
            table = 4 * self.vector_words
            raise Contradiction(
                "vector_table_alignment must be a power of two of at least the table's size, "
                f"{table} bytes",
                ("vector_table_alignment",),
                f"write {max(128, 1 << (table - 1).bit_length())}",
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
    baud: Positive


Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class Led(_Table):
    """A LED of the board; ``pwm`` names what modulates it.

    Attributes:
        at: where a drawing shows it: from the left and from the top, as parts of the board's width
            and height; None: in a row with the others.
    """

    name: Identifier
    pin: str
    active: Literal["high", "low"]
    pwm: str
    at: tuple[Fraction, Fraction] | None = None


class Drawing(_Table):
    """How the board is drawn: ``aspect`` is its width over its height."""

    aspect: Annotated[float, Field(ge=0.2, le=5)]


class Blanking(_Table):
    """What comes before and after the visible part of a line or of a picture.

    Attributes:
        sync: length of the synchronisation pulse; pixel clocks of a line, lines of a picture.
        back_porch: between the pulse and the visible part.
        front_porch: between the visible part and the next pulse.
    """

    sync: Positive
    back_porch: NotNegative
    front_porch: NotNegative


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
    width: Positive
    height: Positive
    pixel_clock_hz: Positive
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
    baud: Positive | None = None
    config: str | None = None
    volume: str | None = None
    usb: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")], ...] = ()
    steps: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_what_its_tool_needs(self) -> Flashing:
        needed = {"ambiq_bootloader": "baud", "openocd": "config", "mass_storage": "volume"}
        name = needed.get(self.tool)
        if name is not None and getattr(self, name) is None:
            raise Contradiction(
                f"flashing by {self.tool} needs '{name}'", (), f"add '{name} = …' to this table"
            )
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
        self._check_regions()
        self._check_application()
        self._check_sections()
        for number, way in enumerate(self.flashing):
            if way.format not in self.package.formats:
                raise Contradiction(
                    f"flashing by {way.tool} needs the format '{way.format}'",
                    ("flashing", number, "format"),
                    f"add '{way.format}' to the formats of [package]",
                )
        return self

    def _check_regions(self) -> None:
        for table, regions in (("memory", self.memory), ("reserved", self.reserved)):
            for number, region in enumerate(regions):
                if region.end > 1 << 32:
                    raise Contradiction(
                        f"'{region.name}' ends beyond the last address, 0xFFFFFFFF",
                        (table, number, "length"),
                        f"write 0x{(1 << 32) - region.origin:08X} or less",
                    )
                for other in regions[:number]:
                    if region.overlaps(other):
                        raise Contradiction(
                            f"'{region.name}', 0x{region.origin:08X} to 0x{region.end:08X}, "
                            f"overlaps '{other.name}', 0x{other.origin:08X} to 0x{other.end:08X}",
                            (table, number, "origin"),
                            "change origin or length of one of them",
                        )

    def _check_application(self) -> None:
        application, alignment = self.application, self.core.vector_table_alignment
        load, stack = application.load_address, application.initial_stack_pointer
        try:
            flash = self.flash
        except ValueError as error:
            raise Contradiction(
                f"load_address {error}", ("application", "load_address"), self._places("flash")
            ) from error
        try:
            ram = self.ram
        except ValueError as error:
            raise Contradiction(
                f"the stack below initial_stack_pointer: {error}",
                ("application", "initial_stack_pointer"),
                self._places("ram"),
            ) from error
        if load % alignment:
            raise Contradiction(
                "load_address is not aligned for the vector table",
                ("application", "load_address"),
                f"write a multiple of {alignment}, such as 0x{load - load % alignment:08X}",
            )
        if not flash.contains(load, application.max_length):
            raise Contradiction(
                "the application region leaves the flash",
                ("application", "max_length"),
                f"write 0x{flash.end - load:08X} or less",
            )
        if stack % 8:
            raise Contradiction(
                "initial_stack_pointer must be a multiple of 8",
                ("application", "initial_stack_pointer"),
                f"write 0x{stack - stack % 8:08X}",
            )
        if not ram.contains(stack - application.stack_size, application.stack_size):
            raise Contradiction(
                "the stack leaves the RAM",
                ("application", "stack_size"),
                f"write 0x{stack - ram.origin:X} or less",
            )
        for region in self.reserved:
            if region.overlaps(self.application_region):
                raise Contradiction(
                    f"the application region overlaps '{region.name}', 0x{region.origin:08X} to "
                    f"0x{region.end:08X}",
                    ("application", "load_address" if region.contains(load) else "max_length"),
                    "change load_address or max_length",
                )

    def _places(self, kind: str) -> str:
        places = [
            f"{memory.name} is 0x{memory.origin:08X} to 0x{memory.end:08X}"
            for memory in self.memory
            if memory.kind == kind
        ]
        return "; ".join(places) or f"add a [[memory]] of the kind '{kind}'"

    def _check_sections(self) -> None:
        named: set[str] = set()
        for number, memory in enumerate(self.memory):
            if not memory.sections:
                continue
            place = ("memory", number, "sections")
            if memory.kind != "ram" or memory == self.ram:
                raise Contradiction(
                    f"sections are for a RAM without the stack, not '{memory.name}'",
                    place,
                    "move them to another RAM",
                )
            if memory.name in {"flash", "ram"}:
                raise Contradiction(
                    f"'{memory.name}' is the linker's name of another memory",
                    ("memory", number, "name"),
                    "give this RAM another name",
                )
            if named.intersection(memory.sections) or len({*memory.sections}) < len(
                memory.sections
            ):
                raise Contradiction(
                    f"a section of '{memory.name}' is named twice", place, "name it once"
                )
            named.update(memory.sections)


def read_board(path: Path) -> Board:
    """Read one ``board.toml``.

    Raises:
        BoardDescriptionError: missing, not TOML, a wrong key or a contradiction; the message names
            file, line and cure.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BoardDescriptionError(f"{path} does not exist") from error
    except UnicodeDecodeError as error:
        raise BoardDescriptionError(
            f"{path} is not text: {error}", next_step="save it in UTF-8"
        ) from error
    try:
        board = Board.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _refusal(path, [grammar_problem(error, text)]) from error
    except ValidationError as error:
        raise _refusal(path, validation_problems(error, text, Board)) from error
    if board.name != path.parent.name:
        problem = Problem(
            line_of(text, ("name",)),
            "name",
            f"'{board.name}' differs from its folder '{path.parent.name}'",
            f"write '{path.parent.name}', or rename the folder",
        )
        raise _refusal(path, [problem])
    return board


def _refusal(path: Path, problems: Sequence[Problem]) -> BoardDescriptionError:
    first, *others = problems
    return BoardDescriptionError(
        f"{path}:{first.line}: {first}",
        why="; ".join(f"also, line {other.line}: {other}" for other in others),
        next_step=first.cure,
    )


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
