"""Says what the bytes of a firmware are for.

The sizes are those of the ELF file's sections. Which object file each piece of a section comes from
is read from the linker's map; what the map does not account for is alignment, and is shown as such.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from toolchain.boards import Board
from toolchain.firmware.elf import FirmwareElf, Section

Layer: TypeAlias = Literal[
    "runtime", "kernels", "model", "libc", "board", "application", "alignment"
]
LAYERS: tuple[Layer, ...] = (
    "runtime",
    "kernels",
    "model",
    "libc",
    "board",
    "application",
    "alignment",
)

LIBRARY = "libtensorflow-microlite.a"

_MAP_START = "Linker script and memory map"
_PIECE = re.compile(
    r"^ (?:(?P<name>\S+)\s+|\s+)0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)"
    r"(?:\s+(?P<origin>\S.*))?$"
)
_NAME_ALONE = re.compile(r"^ (?P<name>[^\s*]\S*)$")
_FOLDERS: Mapping[str, Layer] = {"model": "model", "boards": "board", "tflm": "application"}
_MEMBER = re.compile(r"^(?P<archive>.*)\((?P<member>[^()]+)\)$")


@dataclass(frozen=True)
class Piece:
    """An input section as the linker placed it.

    Attributes:
        output: name of the section of the ELF file that it went into.
        section: name of the input section.
        origin: object file, or ``archive(member)``.
    """

    output: str
    section: str
    address: int
    size: int
    origin: str


@dataclass(frozen=True)
class LayerSize:
    """Bytes of one layer.

    Attributes:
        flash: bytes of the flashable image.
        ram: bytes of RAM, the stack not counted.
    """

    layer: Layer
    flash: int
    ram: int


@dataclass(frozen=True)
class SizeReport:
    """Where flash and RAM went.

    Attributes:
        flash_available: bytes that the board leaves to an application.
        ram_used: bytes of data; initialised data counts in flash and in RAM.
        ram_available: bytes of the RAM, the stack included.
        stack: bytes kept for the stack, beside ``ram_used``.
        layers: the parts; they add up to ``flash_used`` and ``ram_used``.
    """

    flash_used: int
    flash_available: int
    ram_used: int
    ram_available: int
    stack: int
    layers: tuple[LayerSize, ...]


def parse_link_map(text: str) -> tuple[Piece, ...]:
    """Return the input sections that a GNU ld map lists with a size, in its order."""
    _, _, placed = text.partition(_MAP_START)
    pieces = []
    waiting = ""
    output = ""
    for line in placed.splitlines():
        if line and not line[0].isspace():
            output = line.split()[0]
            continue
        if alone := _NAME_ALONE.match(line):
            waiting = alone["name"]
            continue
        match = _PIECE.match(line)
        name = (match["name"] or waiting) if match else ""
        waiting = ""
        if match is None or not name or match["origin"] is None:
            continue
        size = int(match["size"], 16)
        if size and not name.startswith("*"):
            pieces.append(
                Piece(output, name, int(match["address"], 16), size, match["origin"].strip())
            )
    return tuple(pieces)


def layer_of(origin: str, library_sources: Mapping[str, str]) -> Layer:
    """Return the layer that an object file or archive member belongs to.

    Args:
        origin: as the map names it: ``obj/boards/common/startup.cc.o`` or ``lib/x.a(y.cc.o)``.
        library_sources: path of each source file of the runtime's library, by its base name.
    """
    match = _MEMBER.match(origin)
    if match:
        if PurePosixPath(match["archive"]).name != LIBRARY:
            return "libc"
        source = library_sources.get(match["member"].removesuffix(".o"), "")
        return "kernels" if "kernels" in PurePosixPath(source).parts else "runtime"
    parts = PurePosixPath(origin).parts
    for folder, layer in _FOLDERS.items():
        if parts[:2] == ("obj", folder):
            return layer
    return "libc"


def _overlap(piece: Piece, section: Section) -> int:
    # Debug sections lie at address 0 and above, where a part may have its flash.
    if piece.output != section.name:
        return 0
    start = max(piece.address, section.address)
    end = min(piece.address + piece.size, section.address + section.size)
    return max(0, end - start)


def size_report(board: Board, elf: FirmwareElf, link_map: str) -> SizeReport:
    """Return where the flash and RAM of a linked firmware went."""
    flash: Counter[Layer] = Counter()
    ram: Counter[Layer] = Counter()
    pieces = parse_link_map(link_map)
    library_sources = {PurePosixPath(name).name: name for name in elf.compile_units}
    for section in elf.sections:
        in_ram = board.ram.contains(section.address)
        if not in_ram and not section.in_file:
            continue
        parts = _layers_within(section, pieces, library_sources)
        if section.in_file:
            flash.update(parts)
        if in_ram:
            ram.update(parts)
    image = len(elf.flat_image)
    flash["alignment"] += image - flash.total()
    return SizeReport(
        flash_used=image,
        flash_available=board.application.max_length,
        ram_used=ram.total(),
        ram_available=board.ram.length,
        stack=board.application.stack_size,
        layers=tuple(
            LayerSize(layer, flash[layer], ram[layer])
            for layer in LAYERS
            if flash[layer] or ram[layer]
        ),
    )


def _layers_within(
    section: Section, pieces: Iterable[Piece], library_sources: Mapping[str, str]
) -> Counter[Layer]:
    parts: Counter[Layer] = Counter()
    for piece in pieces:
        if overlap := _overlap(piece, section):
            parts[layer_of(piece.origin, library_sources)] += overlap
    parts["alignment"] = section.size - parts.total()
    return parts
