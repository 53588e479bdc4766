"""From addresses to functions and source lines, through the ELF's symbols and DWARF."""

from __future__ import annotations

import bisect
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import FirmwareInvalidError

_SYMBOL = struct.Struct("<IIIBBH")
_FUNCTION_TYPE = 2
_PART = re.compile(r"L?([1-9][0-9]{0,3})")
"""What stands before a part of a mangled name: its length; L marks internal linkage."""

_PROJECT_PREFIX = "/project/"


@dataclass(frozen=True)
class Frame:
    """A source place; ``function`` as it is written in the source, ``line`` 0 when unknown."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})" if self.file else self.function


@dataclass(frozen=True)
class Function:
    """A function's symbol; ``size`` in bytes."""

    address: int
    size: int
    name: str


class Symbols:
    """Names of a firmware's addresses.

    Args:
        elf: contents of the ELF file, or nothing: then no address has a name.
        image: the flashable file that must be the ELF's; with its load address.

    Raises:
        FirmwareInvalidError: not an ELF file, or not the one that the image was made from.
    """

    def __init__(self, elf: bytes = b"", image: bytes = b"", load_address: int = 0) -> None:
        self._functions: list[Function] = []
        self._elf: Any = None
        if not elf:
            return
        from elftools.elf.elffile import ELFFile

        try:
            self._elf = ELFFile(io.BytesIO(elf))
            self._functions = sorted(
                self._read_functions(), key=lambda each: (each.address, each.name)
            )
            segments = [
                (segment["p_paddr"], segment.data())
                for segment in self._elf.iter_segments("PT_LOAD")
                if segment["p_filesz"]
            ]
        except Exception as error:  # a damaged file trips pyelftools anywhere
            raise FirmwareInvalidError(
                f"the file with the firmware's symbols is not an ELF file: {error}",
                next_step="give the .elf that was built together with the flashable file",
            ) from error
        differences = [
            f"they differ in the segment at 0x{address:08X}"
            for address, data in segments
            if address < load_address or not image.startswith(data, address - load_address)
        ]
        if differences or not segments:
            raise FirmwareInvalidError(
                "the ELF file is not the one that the flashable file was made from",
                why=differences[0] if differences else "it loads nothing",
                next_step="build again, and give both files of the same build",
            )

    @classmethod
    def of_file(cls, elf: Path | None, image: bytes, load_address: int) -> Symbols:
        """Read the ELF at ``elf``, if one is given.

        Raises:
            FirmwareInvalidError: it cannot be read, or see the class.
        """
        if elf is None:
            return cls()
        try:
            data = elf.read_bytes()
        except OSError as error:
            raise FirmwareInvalidError(f"{elf} cannot be read: {error.strerror}") from error
        if not data:
            raise FirmwareInvalidError(f"{elf} is empty")
        return cls(data, image, load_address)

    def address_of(self, linker_name: str) -> int | None:
        """Return the first address of the function with this (mangled) name."""
        for function in self._functions:
            if function.name == linker_name:
                return function.address
        return None

    def function_at(self, address: int) -> str:
        """Return the name of the function that holds ``address``, '' where there is none."""
        index = bisect.bisect_right(self._functions, address, key=lambda each: each.address) - 1
        while index >= 0 and self._functions[index].address <= address:
            function = self._functions[index]
            if address < function.address + max(function.size, 2):
                return demangled(function.name)
            if address - function.address > 0x10000:
                break
            index -= 1
        return ""

    def frames(self, address: int) -> list[Frame]:
        """Return where ``address`` is in the source: innermost inlined function first."""
        try:
            return self._frames(address)
        except Exception:  # a message must not be lost for want of a line number
            return []

    def _frames(self, address: int) -> list[Frame]:
        if self._elf is None or not self._elf.has_dwarf_info():
            return []
        dwarf = self._elf.get_dwarf_info()
        for unit in _units_at(dwarf, address):
            frames = _Unit(dwarf, unit).frames(address)
            if frames:
                return frames
        return []

    def location(self, address: int) -> str:
        """Return ``at 0x…`` with the function, and file and line as far as they are known."""
        text = f"at 0x{address:08X}"
        frames = self.frames(address)
        function = self.function_at(address)
        if frames:
            return f"{text} in " + ", inlined into ".join(str(frame) for frame in frames)
        return f"{text} in {function}" if function else text

    def _read_functions(self) -> Iterator[Function]:
        table = self._elf.get_section_by_name(".symtab")
        if table is None:
            return
        names = self._elf.get_section(table["sh_link"]).data()
        # pyelftools builds an object for each symbol, which takes longer than simulating.
        for name, value, size, info, _other, section in _SYMBOL.iter_unpack(table.data()):
            if info & 0xF == _FUNCTION_TYPE and section:
                text = names[name : names.index(b"\0", name)].decode()
                yield Function(value & ~1, size, text)


def demangled(name: str) -> str:
    """Return a C++ function's qualified name without its parameters; other names unchanged.

    Understands the nested and plain names of the Itanium ABI; a name with anything else in it
    (templates, operators) stays mangled.
    """
    if not name.startswith("_Z"):
        return name
    rest = name[2:]
    nested = rest.startswith("N")
    rest = rest[1:].lstrip("K") if nested else rest
    parts: list[str] = []
    while match := _PART.match(rest):
        length = int(match[1])
        part, rest = rest[match.end() :][:length], rest[match.end() + length :]
        if len(part) < length:
            return name
        parts.append("(anonymous)" if part.startswith("_GLOBAL__N") else part)
        if not nested:
            break
    complete = bool(parts) and (not nested or rest.startswith("E"))
    return "::".join(parts) if complete else name


def _units_at(dwarf: Any, address: int) -> Iterator[Any]:
    ranges = dwarf.get_aranges()
    offset = ranges.cu_offset_at_addr(address) if ranges else None
    if offset is not None:
        yield dwarf.get_CU_at(offset)
    else:
        yield from dwarf.iter_CUs()


class _Unit:
    """One compilation unit's debug information."""

    def __init__(self, dwarf: Any, unit: Any) -> None:
        self._dwarf = dwarf
        self._unit = unit
        self._program = dwarf.line_program_for_CU(unit)

    def frames(self, address: int) -> list[Frame]:
        place = self._line_at(address)
        chain = self._chain(self._unit.get_top_DIE(), address)
        if place is None or not chain:
            return []
        frames = []
        file, line = place
        for die in reversed(chain):
            frames.append(Frame(self._name(die), self._file(file), line))
            file = _value(die, "DW_AT_call_file")
            line = _value(die, "DW_AT_call_line")
        return frames

    def _line_at(self, address: int) -> tuple[int, int] | None:
        if self._program is None:
            return None
        before = None
        for entry in self._program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address <= address < state.address:
                return before.file, before.line
            before = None if state.end_sequence else state
        return None

    def _chain(self, die: Any, address: int) -> list[Any]:
        """Return the functions that hold ``address``, the outermost first."""
        for child in die.iter_children():
            holds = child.tag in {
                "DW_TAG_subprogram",
                "DW_TAG_inlined_subroutine",
                "DW_TAG_lexical_block",
            } and self._holds(child, address)
            if holds:
                inner = self._chain(child, address)
                return inner if child.tag == "DW_TAG_lexical_block" else [child, *inner]
            if child.tag == "DW_TAG_namespace" and (found := self._chain(child, address)):
                return found
        return []

    def _holds(self, die: Any, address: int) -> bool:
        attributes = die.attributes
        if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
            low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
            end = high.value if high.form == "DW_FORM_addr" else low + high.value
            return bool(low <= address < end)
        if "DW_AT_ranges" not in attributes:
            return False
        base = _value(self._unit.get_top_DIE(), "DW_AT_low_pc")
        lists = self._dwarf.range_lists()
        for entry in lists.get_range_list_at_offset(
            attributes["DW_AT_ranges"].value, cu=self._unit
        ):
            if hasattr(entry, "base_address"):
                base = entry.base_address
                continue
            start = 0 if getattr(entry, "is_absolute", False) else base
            if start + entry.begin_offset <= address < start + entry.end_offset:
                return True
        return False

    @staticmethod
    def _name(die: Any) -> str:
        for _ in range(4):
            for attribute in ("DW_AT_name", "DW_AT_linkage_name"):
                if attribute in die.attributes:
                    return str(die.attributes[attribute].value.decode())
            for attribute in ("DW_AT_abstract_origin", "DW_AT_specification"):
                if attribute in die.attributes:
                    die = die.get_DIE_from_attribute(attribute)
                    break
            else:
                break
        return "?"

    def _file(self, number: int) -> str:
        version = self._program["version"]
        files = self._program["file_entry"]
        index = number if version >= 5 else number - 1
        if not 0 <= index < len(files):
            return "?"
        entry = files[index]
        folders = self._program["include_directory"]
        folder_index = entry.dir_index if version >= 5 else entry.dir_index - 1
        folder = b"" if folder_index < 0 else folders[folder_index]
        path: str = entry.name.decode()
        if not path.startswith("/") and folder:
            path = f"{folder.decode()}/{path}"
        return path.removeprefix(_PROJECT_PREFIX).removeprefix("./")


def _value(die: Any, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return int(found.value) if found is not None else 0
