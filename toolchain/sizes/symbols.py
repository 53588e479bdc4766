"""The bytes of a firmware by layer, source file and symbol.

Pieces are those of the linker's map, as in ``size.json``; within a piece the ELF file's symbols
say whose the bytes are. Names are the map's, which the linker wrote as the source does, or else
those that ``Name`` gives for the ELF file's.
"""

from __future__ import annotations

import bisect
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from toolchain.boards import Board
from toolchain.firmware.elf import read_firmware_elf
from toolchain.firmware.size import (
    LIBRARY,
    Layer,
    Piece,
    SizeReport,
    in_ram,
    placed_pieces,
    size_report,
)

Name: TypeAlias = Callable[[str], str]
"""From a symbol's name in the ELF file to how the source writes it."""

_NAMED = re.compile(
    r"^ +0x(?P<address>[0-9a-f]+) {8,}(?P<name>(?!0x|.* = )[^ =.(*].*)$", re.MULTILINE
)
# What has brackets and is no list of parameters or arguments.
_KEPT = re.compile(
    r"\(anonymous[^()]*\)|decltype ?\([^()]*\)|->|"
    r"operator(\(\)|\[\]|<=>|->\*?|<<=?|>>=?|[<>]=?)(?= ?[(<]|$)"
)
_CLOSING = {"<": ">", "{": "}", "[": "]", "(": ")"}
_QUALIFIERS = re.compile(r"( const| volatile| noexcept| ?&&?)*(?=::)")
_MEMBER = re.compile(r"^(?P<archive>.*)\((?P<member>[^()]+)\)$")
_OF_NEWLIB = re.compile(r"^(lib[a-z]*_a-)?(?P<name>.*?)\.(o|obj)$")
_TYPES = frozenset({"STT_FUNC", "STT_OBJECT"})
_KERNELS = "kernels"


@dataclass(frozen=True, order=True)
class SymbolSize:
    """Bytes of one function or object.

    Attributes:
        layer: as in ``size.json``.
        source: the file it is compiled from, or its archive and member.
        symbol: as the source writes it; the section's name for what has none, such as literals.
        flash: bytes of the flashable image.
        ram: bytes of RAM; initialised data has both.
    """

    layer: Layer
    source: str
    symbol: str
    flash: int
    ram: int

    @property
    def short(self) -> str:
        """The symbol without its parameters."""
        return short_name(self.symbol)


def short_name(symbol: str) -> str:
    """Return a function's name without parameters, its own and those of functions around it.

    Other names are returned unchanged, and so are the arguments of templates.
    """
    parts: list[str] = []
    opened: list[str] = []
    position = parameters = 0
    while position < len(symbol):
        kept = _KEPT.match(symbol, position)
        piece = kept[0] if kept else symbol[position]
        position += len(piece)
        if parameters or (piece == "(" and not opened and parts):
            parameters += {"(": 1, ")": -1}.get(piece, 0)
            if piece == ")" and not parameters:
                position = _end_of_qualifiers(symbol, position)
            continue
        if piece in _CLOSING:
            opened.append(_CLOSING[piece])
        elif opened and piece == opened[-1]:
            # A comparison among the arguments of a template stands in parentheses.
            opened.pop()
        parts.append(piece)
    return "".join(parts)


def _end_of_qualifiers(symbol: str, position: int) -> int:
    """Return where the name goes on after parameters; its end where nothing of it follows."""
    match = _QUALIFIERS.match(symbol, position)
    return match.end() if match else len(symbol)


@dataclass(frozen=True)
class DetailedSize:
    """A firmware's size, and what it is made of.

    Attributes:
        report: the sums, as in ``size.json``.
        symbols: the parts, largest first; they add up to ``flash_used`` and ``ram_used``.
    """

    report: SizeReport
    symbols: tuple[SymbolSize, ...]

    @property
    def kernels(self) -> Mapping[str, tuple[int, int]]:
        """Flash and RAM of each kernel, by its name: ``fully_connected``; largest first."""
        flash: Counter[str] = Counter()
        ram: Counter[str] = Counter()
        for each in self.symbols:
            if each.layer == _KERNELS:
                name = PurePosixPath(each.source).stem
                flash[name] += each.flash
                ram[name] += each.ram
        return {name: (flash[name], ram[name]) for name, _ in flash.most_common()}


@dataclass(frozen=True)
class _Symbol:
    address: int
    size: int
    name: str


def detailed_size(board: Board, elf: bytes, link_map: str, name: Name) -> DetailedSize:
    """Return what the bytes of a linked firmware are for.

    Args:
        board: what it was linked for.
        elf: the linked file.
        link_map: the linker's map of it.
        name: turns a name of the ELF file into the source's.

    Raises:
        FirmwareInvalidError: the ELF file is damaged.
    """
    firmware = read_firmware_elf(elf)
    symbols = _symbols(elf, _names(link_map), name)
    flash: Counter[tuple[Layer, str, str]] = Counter()
    ram: Counter[tuple[Layer, str, str]] = Counter()
    sources = {PurePosixPath(path).name: path for path in firmware.compile_units}
    for section, layer, piece, size in placed_pieces(board, firmware, link_map):
        parts = _within(piece, size, symbols) if piece else [("", size)]
        source = _source(piece.origin, sources) if piece else ""
        for symbol, part in parts:
            if section.in_file:
                flash[layer, source, symbol] += part
            if in_ram(board, section):
                ram[layer, source, symbol] += part
    report = size_report(board, firmware, link_map)
    flash["alignment", "", ""] += report.flash_used - flash.total()
    found = [
        SymbolSize(layer, source, symbol, flash[layer, source, symbol], ram[layer, source, symbol])
        for layer, source, symbol in {**flash, **ram}
    ]
    ranked = sorted(
        (each for each in found if each.flash or each.ram),
        key=lambda each: (-max(each.flash, each.ram), each),
    )
    return DetailedSize(report, tuple(ranked))


def _names(link_map: str) -> Mapping[int, str]:
    """Return the names that the map gives for addresses, as the source writes them."""
    return {int(match["address"], 16): match["name"] for match in _NAMED.finditer(link_map)}


def _symbols(elf: bytes, names: Mapping[int, str], name: Name) -> list[_Symbol]:
    """Return functions and objects by address; of several at one place the largest."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    table = ELFFile(io.BytesIO(elf)).get_section_by_name(".symtab")
    found: dict[int, _Symbol] = {}
    for each in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        size, kind = int(each["st_size"]), each["st_info"]["type"]
        if kind not in _TYPES or not size or each["st_shndx"] == "SHN_UNDEF":
            continue
        # The lowest bit of a function's address says that it is Thumb code.
        address = int(each["st_value"]) & ~int(kind == "STT_FUNC")
        if address not in found or found[address].size < size:
            found[address] = _Symbol(address, size, names.get(address) or name(each.name))
    return sorted(found.values(), key=lambda each: each.address)


def _within(piece: Piece, size: int, symbols: list[_Symbol]) -> Iterator[tuple[str, int]]:
    """Yield the symbols of a piece with their bytes, and what is left under its section's name."""
    end = piece.address + size
    reached, left = piece.address, size
    first = bisect.bisect_left(symbols, piece.address, key=lambda each: each.address)
    for each in symbols[first:]:
        if each.address >= end:
            break
        part = min(each.address + each.size, end) - max(each.address, reached)
        if part > 0:
            yield each.name, part
            reached = each.address + each.size
            left -= part
    if left:
        yield "." + piece.section.lstrip(".").partition(".")[0], left


def _source(origin: str, library_sources: Mapping[str, str]) -> str:
    """Return the source file of an object file, or the member of an archive without sources."""
    match = _MEMBER.match(origin)
    if match is None:
        return origin.removeprefix("obj/").removesuffix(".o")
    archive = PurePosixPath(match["archive"]).name
    if archive == LIBRARY:
        name = match["member"].removesuffix(".o")
        return library_sources.get(name, name).removeprefix("./")
    member = _OF_NEWLIB.match(match["member"])
    return f"{archive}({member['name'] if member else match['member']})"
