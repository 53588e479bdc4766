"""The tables of ``boards/<name>/board.toml``, each by itself."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolchain.boards.problems import Contradiction

# Strict: a number in quotes, or true, is a mistake.
Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF, strict=True)]
Length = Annotated[int, Field(gt=0, le=0xFFFF_FFFF, strict=True)]
Positive = Annotated[int, Field(gt=0, le=0xFFFF_FFFF, strict=True)]
NotNegative = Annotated[int, Field(ge=0, le=0xFFFF_FFFF, strict=True)]
NAME = r"^[a-z][a-z0-9_]*$"
Identifier = Annotated[str, Field(pattern=NAME)]
# It stands in tables, on the terminal and in files for flashing.
Title = Annotated[str, Field(pattern=r"^[^\x00-\x1F\x7F]+$")]

ALL_TARGETS = "all"
"""What stands for every board, so that none can be called so."""


class Table(BaseModel):
    """A table: a key that it does not have is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(Table):
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


class Core(Table):
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


class Application(Table):
    """Where the flashable image goes and how the core starts it.

    Attributes:
        load_address: address of the image's first byte, which is its vector table.
        max_length: bytes available to the image.
        initial_stack_pointer: the image's first word; the stack grows down from it.
        stack_size: bytes kept for the stack.
    """

    load_address: Address
    max_length: Length
    initial_stack_pointer: Length
    stack_size: Length


class Console(Table):
    """The serial console; ``baud`` in bits per second, 8N1."""

    peripheral: str
    tx_pin: str
    rx_pin: str
    baud: Positive


Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1, strict=True)]


class Led(Table):
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

    def brightness(self, high: float) -> float:
        """Return how bright it is, 0 to 1, when its pin is high for this part of the time."""
        return high if self.active == "high" else 1 - high


class Drawing(Table):
    """How the board is drawn: ``aspect`` is its width over its height."""

    aspect: Annotated[float, Field(ge=0.2, le=5, strict=True)]


class Blanking(Table):
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


class Display(Table):
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


class Package(Table):
    """Files to make for flashing."""

    formats: Annotated[tuple[Format, ...], Field(min_length=1)]


class Flashing(Table):
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


class Link(Table):
    """A page about the board."""

    title: Title
    url: Annotated[str, Field(pattern=r"^https://")]
