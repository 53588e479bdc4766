"""Says where two files differ: section and symbol, member of an archive, line of a text."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.firmware.archive import ARCHIVE_START, members

_ELF = b"\x7fELF"
_MOST = 8
_DIFFOSCOPE_LINES = 60
_DIFFOSCOPE_SECONDS = 300


@dataclass(frozen=True)
class Place:
    """One place at which two files differ.

    Attributes:
        section: of an ELF file, such as ``.rodata``; with its archive's member before it; ``line
            12`` of a text.
        symbol: the function or object that the first different byte belongs to, or what the
            section says there where it holds strings; may be empty.
        text: what differs, for people.
    """

    section: str
    symbol: str
    text: str

    def __str__(self) -> str:
        where = f"{self.section}, {self.symbol}" if self.symbol else self.section
        return f"{where}: {self.text}"


def differences(old: bytes, new: bytes) -> tuple[Place, ...]:
    """Return the first places at which two files differ, the most telling ones first.

    Code and data come before names and debug information. Nothing comes back for equal files.
    """
    if old == new:
        return ()
    found: list[Place] = []
    if old.startswith(ARCHIVE_START) and new.startswith(ARCHIVE_START):
        with contextlib.suppress(ValueError):
            found = list(_archive_differences(members(old), members(new)))
    elif old.startswith(_ELF) and new.startswith(_ELF):
        found = _elf_differences(old, new)
    return tuple(found[:_MOST]) or (_plain_difference(old, new),)


def _archive_differences(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[Place]:
    for name in sorted(old.keys() ^ new.keys()):
        yield Place(name, "", f"only in the {'plain' if name in old else 'varied'} build")
    for name in sorted(old.keys() & new.keys()):
        for place in differences(old[name], new[name]):
            yield Place(f"{name} {place.section}", place.symbol, place.text)


def _elf_differences(old: bytes, new: bytes) -> list[Place]:
    before, after = _read(old), _read(new)
    if before is None or after is None:
        return []
    found: list[tuple[int, Place]] = []
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in before or name not in after:
            which = "plain" if name in before else "varied"
            found.append((0, Place(name, "", f"only in the {which} build")))
            continue
        one, other = before[name], after[name]
        if one.data == other.data and one.address == other.address:
            continue
        found.append((one.rank, _section_difference(name, one, other)))
    return [place for _, place in sorted(found, key=lambda item: item[0])]


@dataclass(frozen=True)
class _Section:
    address: int
    data: bytes
    symbols: tuple[tuple[int, int, str], ...]
    rank: int
    strings: bool


def _read(data: bytes) -> dict[str, _Section] | None:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        elf = ELFFile(io.BytesIO(data))
        table = elf.get_section_by_name(".symtab")
        symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
        found: dict[str, _Section] = {}
        for index, section in enumerate(elf.iter_sections()):
            if not section.name:
                continue
            loaded = bool(section["sh_flags"] & 2)
            content = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()
            key = section.name if section.name not in found else f"{section.name}#{index}"
            strings = bool(section["sh_flags"] & 0x20) and not loaded
            # Strings tell more than the debug information that refers to them.
            rank = 0 if loaded else 1 if strings else 3 if section.name.startswith(".debug") else 2
            inside = tuple(_symbols_in(symbols, index, section, elf["e_type"] == "ET_REL"))
            found[key] = _Section(section["sh_addr"], content, inside, rank, strings)
    except (ELFError, ValueError, KeyError, AttributeError, UnicodeDecodeError):
        return None
    return found


def _symbols_in(
    symbols: list[Any], index: int, section: Any, relocatable: bool
) -> Iterator[tuple[int, int, str]]:
    """Yield offset, size and name of what a section defines."""
    for symbol in symbols:
        kind = symbol["st_info"]["type"]
        if symbol["st_shndx"] == index and kind in {"STT_OBJECT", "STT_FUNC"}:
            address = symbol["st_value"] & (~1 if kind == "STT_FUNC" else ~0)
            offset = address - (0 if relocatable else section["sh_addr"])
            yield offset, symbol["st_size"], symbol.name


def _section_difference(name: str, old: _Section, new: _Section) -> Place:
    offset = _first_difference(old.data, new.data)
    if old.data == new.data:
        return Place(name, "", f"at 0x{new.address:08x} instead of 0x{old.address:08x}")
    symbol = _symbol_at(old, offset) or _symbol_at(new, offset)
    text = f"byte 0x{offset:x}"
    if len(old.data) != len(new.data):
        text += f", {len(old.data):,} and {len(new.data):,} bytes long"
    if old.strings and new.strings:
        # A linker sorts them as it likes: what counts is which ones there are.
        both = [set(each.data.split(b"\0")) for each in (old, new)]
        strings = [_shown(both[0] - both[1]), _shown(both[1] - both[0])]
    else:
        strings = [_string_at(each.data, offset) for each in (old, new)]
    if any(strings):
        text += f', "{strings[0]}" and "{strings[1]}"'
    return Place(name, symbol, text)


def _first_difference(old: bytes, new: bytes) -> int:
    for offset, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return offset
    return min(len(old), len(new))


def _symbol_at(section: _Section, offset: int) -> str:
    """Return what covers ``offset``, or else what begins last before it."""
    before = [each for each in section.symbols if each[0] <= offset]
    covering = [each for each in before if offset < each[0] + each[1]]
    return max(covering or before, default=(0, 0, ""))[2]


def _string_at(data: bytes, offset: int) -> str:
    """Return the text around ``offset`` if there is some, at most 60 characters of it."""
    if offset >= len(data):
        return ""
    start = offset
    while start > 0 and offset - start < 40 and 32 <= data[start - 1] < 127:
        start -= 1
    end = offset
    while end < len(data) and end - start < 60 and 32 <= data[end] < 127:
        end += 1
    return data[start:end].decode("ascii") if end - start >= 4 else ""


def _shown(strings: set[bytes]) -> str:
    """Return the first of some strings, at most 60 characters of it."""
    return min(strings, default=b"").decode("utf-8", "backslashreplace")[:60]


def _plain_difference(old: bytes, new: bytes) -> Place:
    try:
        lines = [each.decode("utf-8").splitlines() for each in (old, new)]
    except UnicodeDecodeError:
        lines = [[], []]
    if lines[0] == lines[1]:
        # No text, or one whose lines end otherwise.
        offset = _first_difference(old, new)
        return Place(f"byte 0x{offset:x}", "", f"{len(old):,} and {len(new):,} bytes long")
    for number, pair in enumerate(zip(*lines, strict=False), start=1):
        if pair[0] != pair[1]:
            return Place(f"line {number}", "", f'"{pair[0][:80]}" and "{pair[1][:80]}"')
    return Place("the end", "", f"{len(lines[0]):,} and {len(lines[1]):,} lines")


def diffoscope(old: bytes, new: bytes, name: str) -> str:
    """Return the beginning of diffoscope's report; empty where it is not on ``PATH``."""
    program = shutil.which("diffoscope")
    if program is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, side, name) for side in ("plain", "varied")]
        for file, data in zip(files, (old, new), strict=True):
            file.parent.mkdir()
            file.write_bytes(data)
        try:
            done = subprocess.run(
                [program, "--text", "-", *map(str, files)],
                capture_output=True,
                timeout=_DIFFOSCOPE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return "\n".join(done.stdout.decode(errors="replace").splitlines()[:_DIFFOSCOPE_LINES])
