"""Says what the bytes of a firmware are for.

The sizes are those of the ELF file's sections. Which object file each piece of a section comes from
is read from the linker's map; what the map does not account for is alignment, and is shown as such.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from toolchain.boards import Board
from toolchain.firmware.elf import FirmwareElf, Section

Layer: TypeAlias = Literal[
    "runtime", "kernels", "model", "libc", "board", "frame buffer", "application", "alignment"
]
LAYERS: tuple[Layer, ...] = (
    "runtime",
    "kernels",
    "model",
    "libc",
    "board",
    "frame buffer",
    "application",
    "alignment",
)

FRAME_BUFFER_SECTION = ".bss.framebuffer"
"""Input section of what a display shows: a layer of its own, because it dwarfs all other data."""

LIBRARY = "libtensorflow-microlite.a"

_MAP_START = "Linker script and memory map"
_PIECE = re.compile(
    r"^ (?:(?P<name>\S+)\s+|\s+)0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)"
    r"(?:\s+(?P<origin>\S.*))?$"
)
_BEFORE_MERGING = re.compile(r"^\s+0x(?P<size>[0-9a-f]+) \(size before relaxing\)$")
_STRINGS = re.compile(r"\.str\d+\.\d+$")
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
        ram_available: bytes of all RAMs, the stack included.
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
    """Return the input sections that a GNU ld map lists with a size, in its order.

    Equal strings are stored once. The map then lists the first section of strings with the bytes of
    all that are left, and the others, of no bytes any more, with those that they had; here each has
    its share.
    """
    _, _, placed = text.partition(_MAP_START)
    pieces: list[Piece] = []
    merged: dict[int, int] = {}
    waiting = ""
    output = ""
    for line in placed.splitlines():
        if line and not line[0].isspace():
            output = line.split()[0]
            continue
        if (before := _BEFORE_MERGING.match(line)) and pieces:
            merged[len(pieces) - 1] = int(before["size"], 16)
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
    return tuple(_with_shares(pieces, merged))


def _with_shares(pieces: list[Piece], merged: Mapping[int, int]) -> Iterable[Piece]:
    """Return the pieces with merged strings divided among those that they came from.

    Args:
        pieces: as the map has them.
        merged: size before merging of the pieces that hold all strings of an output section.
    """
    shares: dict[int, tuple[int, int]] = {}
    for first, own in merged.items():
        kind = _kind_of_strings(pieces[first])
        weights = {first: own} | {
            index: piece.size
            for index, piece in enumerate(pieces)
            if index > first
            and piece.output == pieces[first].output
            and _kind_of_strings(piece) == kind
            and index not in merged
        }
        start, total, done = pieces[first].address, sum(weights.values()), 0
        for index, weight in weights.items():
            begin = pieces[first].size * done // total
            done += weight
            end = pieces[first].size * done // total
            shares[index] = (start + begin, end - begin)
    for index, piece in enumerate(pieces):
        address, size = shares.get(index, (piece.address, piece.size))
        if size:
            yield dataclasses.replace(piece, address=address, size=size)


def _kind_of_strings(piece: Piece) -> str:
    """Return character size and alignment, which strings that are merged have in common."""
    found = _STRINGS.search(piece.section)
    return found[0] if found else ""


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


def placed_pieces(
    board: Board, elf: FirmwareElf, link_map: str
) -> Iterable[tuple[Section, Layer, Piece | None, int]]:
    """Yield what occupies flash or RAM: section, layer, piece, and the bytes of it in the section.

    Each section's bytes are accounted for: what no piece has is alignment, and comes last with no
    piece.
    """
    pieces = parse_link_map(link_map)
    library_sources = {PurePosixPath(name).name: name for name in elf.compile_units}
    for section in elf.sections:
        if not section.in_file and not in_ram(board, section):
            continue
        left = section.size
        for piece in pieces:
            if overlap := _overlap(piece, section):
                is_frame_buffer = piece.section == FRAME_BUFFER_SECTION
                layer = layer_of(piece.origin, library_sources)
                yield section, "frame buffer" if is_frame_buffer else layer, piece, overlap
                left -= overlap
        yield section, "alignment", None, left


def in_ram(board: Board, section: Section) -> bool:
    """Return whether a section lies in one of the board's RAMs when the firmware runs."""
    return any(ram.contains(section.address) for ram in board.rams)


def size_report(board: Board, elf: FirmwareElf, link_map: str) -> SizeReport:
    """Return where the flash and RAM of a linked firmware went."""
    flash: Counter[Layer] = Counter()
    ram: Counter[Layer] = Counter()
    for section, layer, _, size in placed_pieces(board, elf, link_map):
        if section.in_file:
            flash[layer] += size
        if in_ram(board, section):
            ram[layer] += size
    image = len(elf.flat_image)
    flash["alignment"] += image - flash.total()
    return SizeReport(
        flash_used=image,
        flash_available=board.application.max_length,
        ram_used=ram.total(),
        ram_available=sum(ram.length for ram in board.rams),
        stack=board.application.stack_size,
        layers=tuple(
            LayerSize(layer, flash[layer], ram[layer])
            for layer in LAYERS
            if flash[layer] or ram[layer]
        ),
    )
