"""Reads a linked firmware and checks that the board's boot code would start it.

ELF header values: ELF for the Arm Architecture (e_machine 40; e_flags 0x0500_0000 for EABI 5,
0x400 hard-float, 0x200 soft-float).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

from toolchain.boards import Board, Memory
from toolchain.errors import FirmwareDoesNotFitError, FirmwareInvalidError
from toolchain.firmware.image import image_problems

_EABI_MASK = 0xFF00_0000
_EABI_VERSION_5 = 0x0500_0000
_FLOAT_FLAGS = {"hard": 0x400, "softfp": 0x200, "soft": 0x200}
_SHF_ALLOC = 0x2


@dataclass(frozen=True)
class Segment:
    """A loadable segment.

    Attributes:
        load_address: physical address, where its bytes lie in flash.
        data: the bytes in the file.
    """

    load_address: int
    data: bytes


@dataclass(frozen=True)
class Section:
    """A section that occupies memory at run time.

    Attributes:
        address: run-time address.
        size: bytes.
        in_file: whether its bytes are in the flashable image.
    """

    name: str
    address: int
    size: int
    in_file: bool


@dataclass(frozen=True)
class FirmwareElf:
    """The parts of an ELF file that matter for flashing.

    Attributes:
        machine: as pyelftools names it, such as ``EM_ARM``.
        bits: 32 or 64.
        flags: ``e_flags`` of the header, which tell the float ABI.
        entry: address of the first instruction, with bit 0 set.
        compile_units: source files with debug information, as they were named to the compiler.
    """

    machine: str
    bits: int
    little_endian: bool
    flags: int
    entry: int
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    compile_units: tuple[str, ...] = ()

    @property
    def flat_image(self) -> bytes:
        """The bytes from the lowest load address to the end of the last one, gaps as zeros."""
        loaded = [segment for segment in self.segments if segment.data]
        if not loaded:
            return b""
        origin = min(segment.load_address for segment in loaded)
        image = bytearray()
        for segment in sorted(loaded, key=lambda each: each.load_address):
            offset = segment.load_address - origin
            image.extend(bytes(max(0, offset - len(image))))
            image[offset : offset + len(segment.data)] = segment.data
        return bytes(image)


def read_firmware_elf(data: bytes) -> FirmwareElf:
    """Read an ELF file's bytes.

    Raises:
        FirmwareInvalidError: it is no ELF file or is damaged.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(io.BytesIO(data))
        segments = tuple(
            Segment(each["p_paddr"], each.data())
            for each in elf.iter_segments()
            if each["p_type"] == "PT_LOAD"
        )
        sections = tuple(
            Section(
                each.name, each["sh_addr"], each["sh_size"], in_file=each["sh_type"] != "SHT_NOBITS"
            )
            for each in elf.iter_sections()
            if each["sh_flags"] & _SHF_ALLOC and each["sh_size"]
        )
        return FirmwareElf(
            machine=elf["e_machine"],
            bits=elf.elfclass,
            little_endian=elf.little_endian,
            flags=elf["e_flags"],
            entry=elf["e_entry"],
            segments=segments,
            sections=sections,
            compile_units=_compile_units(elf),
        )
    except (
        ELFError,
        struct.error,
        AttributeError,
        AssertionError,
        IndexError,
        TypeError,
        UnicodeDecodeError,
        ValueError,
        KeyError,
    ) as error:
        raise FirmwareInvalidError(
            "the linked firmware is not a readable ELF file", why=str(error)
        ) from error


def _compile_units(elf: Any) -> tuple[str, ...]:
    if not elf.has_dwarf_info():
        return ()
    dwarf = elf.get_dwarf_info()
    names = (unit.get_top_DIE().attributes.get("DW_AT_name") for unit in dwarf.iter_CUs())
    return tuple(sorted({name.value.decode("utf-8", "replace") for name in names if name}))


def check_firmware(board: Board, elf: FirmwareElf, image: bytes) -> None:
    """Check that ``image`` is what ``elf`` describes and what ``board`` would start.

    Raises:
        FirmwareDoesNotFitError: larger than the board's application region or RAM.
        FirmwareInvalidError: wrong machine or flags, a vector table that cannot be started from,
            or an image that differs from the ELF file.
    """
    application = board.application
    if len(image) > application.max_length:
        raise FirmwareDoesNotFitError(
            f"the image has {len(image):,} bytes, {board.title} takes {application.max_length:,}",
            next_step="make the model smaller or build with --build-type release",
        )
    problems = [*_header_problems(board, elf), *_image_problems(board, elf, image)]
    if problems:
        raise FirmwareInvalidError(
            f"the firmware for {board.title} cannot be started: {problems[0]}",
            why="; ".join(problems[1:]),
            next_step="check the board's startup code and board.toml",
        )
    for ram in board.rams:
        used = _used_of(ram, elf)
        stack = application.stack_size if ram == board.ram else 0
        if used + stack > ram.length:
            raise FirmwareDoesNotFitError(
                f"data needs {used:,} bytes and the stack {stack:,}, "
                f"{board.title} has {ram.length:,} bytes of RAM there ({ram.name})",
                next_step="make the tensor arena smaller",
            )


def ram_used(board: Board, elf: FirmwareElf) -> int:
    """Return the bytes of all RAMs that data occupies, the stack not counted."""
    return sum(_used_of(ram, elf) for ram in board.rams)


def _used_of(ram: Memory, elf: FirmwareElf) -> int:
    return sum(section.size for section in elf.sections if ram.contains(section.address))


def _header_problems(board: Board, elf: FirmwareElf) -> list[str]:
    problems = []
    if (elf.machine, elf.bits, elf.little_endian) != ("EM_ARM", 32, True):
        endianness = "little" if elf.little_endian else "big"
        problems.append(f"it is a {elf.bits}-bit {endianness}-endian {elf.machine} file, not Arm's")
    if elf.flags & _EABI_MASK != _EABI_VERSION_5:
        problems.append(f"its flags 0x{elf.flags:08X} do not say EABI version 5")
    if not elf.flags & _FLOAT_FLAGS[board.core.float_abi]:
        problems.append(f"its flags 0x{elf.flags:08X} do not say {board.core.float_abi}-float")
    return problems


def _image_problems(board: Board, elf: FirmwareElf, image: bytes) -> list[str]:
    problems = image_problems(board, image)
    application = board.application
    origin = min((each.load_address for each in elf.segments if each.data), default=-1)
    if origin != application.load_address:
        problems.append(f"it loads at 0x{origin:08X}, not 0x{application.load_address:08X}")
    if elf.flat_image != image:
        problems.append("the image is not what the ELF file loads")
    if len(image) >= 8:
        (reset,) = struct.unpack_from("<I", image, 4)
        if reset != elf.entry:
            problems.append(f"its reset vector 0x{reset:08X} is not the entry 0x{elf.entry:08X}")
    return problems


def symbol_address(data: bytes, name: str) -> int | None:
    """Return the address of the variable or function ``name``; None when there is none.

    Raises:
        FirmwareInvalidError: ``data`` is no ELF file or is damaged.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        table = ELFFile(io.BytesIO(data)).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return None
        found = table.get_symbol_by_name(name) or []
        return int(found[0]["st_value"]) if found else None
    except (ELFError, struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise FirmwareInvalidError(
            "the linked firmware is not a readable ELF file", why=str(error)
        ) from error
