"""Why the library, the ELF file and the flash image of one firmware have such different sizes."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from toolchain.errors import FirmwareInvalidError
from toolchain.firmware.archive import members
from toolchain.firmware.size import LIBRARY, parse_link_map

_SHF_ALLOC = 0x2
_NAMES = frozenset({"SHT_SYMTAB", "SHT_STRTAB"})


@dataclass(frozen=True)
class FileParts:
    """What the bytes of a file are.

    Attributes:
        name: of the file.
        size_bytes: all of it.
        loaded: code and data, which a firmware may hold.
        debug: what only a debugger reads.
        names: symbols and their names.
        other: headers, notes, relocations, padding.
    """

    name: str
    size_bytes: int
    loaded: int
    debug: int
    names: int

    @property
    def other(self) -> int:
        """The rest."""
        return self.size_bytes - self.loaded - self.debug - self.names


@dataclass(frozen=True)
class FilesExplained:
    """The three files from which a flash image comes to be.

    Attributes:
        library: the runtime's archive; None where it was not kept.
        library_objects: object files in it.
        linked_objects: those of them that this firmware needed.
        elf: the linked file.
        image_bytes: the flash image, which is what the ELF file loads.
    """

    library: FileParts | None
    library_objects: int
    linked_objects: int
    elf: FileParts
    image_bytes: int


def explain_files(
    elf: tuple[str, bytes], link_map: str, image_bytes: int, library: bytes | None
) -> FilesExplained:
    """Return what the files of a firmware hold.

    Args:
        elf: name and bytes of the linked file.
        link_map: the linker's map.
        image_bytes: size of the flash image.
        library: bytes of ``libtensorflow-microlite.a``, or None.

    Raises:
        FirmwareInvalidError: the library or the ELF file is damaged.
    """
    try:
        objects = members(library) if library is not None else {}
    except ValueError as error:
        raise _damaged(LIBRARY, error) from error
    linked = {
        piece.origin
        for piece in parse_link_map(link_map)
        if PurePosixPath(piece.origin.partition("(")[0]).name == LIBRARY
    }
    parts = None
    if library is not None:
        each = [_parts(name, data) for name, data in objects.items()]
        parts = FileParts(
            LIBRARY,
            len(library),
            sum(part.loaded for part in each),
            sum(part.debug for part in each),
            sum(part.names for part in each),
        )
    return FilesExplained(parts, len(objects), len(linked), _parts(*elf), image_bytes)


def _damaged(name: str, error: Exception) -> FirmwareInvalidError:
    return FirmwareInvalidError(
        f"{name} is damaged",
        why=str(error),
        next_step="remove the folder build, and build again",
    )


def _parts(name: str, data: bytes) -> FileParts:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    loaded = debug = names = 0
    try:
        sections: Sequence[Any] = tuple(ELFFile(io.BytesIO(data)).iter_sections())
    except (ELFError, struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(name, error) from error
    for section in sections:
        size = section["sh_size"]
        if section["sh_type"] == "SHT_NOBITS":
            continue
        if section["sh_flags"] & _SHF_ALLOC:
            loaded += size
        elif section["sh_type"] in _NAMES:
            names += size
        elif section.name.startswith((".debug", ".rel.debug", ".rela.debug")):
            debug += size
    return FileParts(name, len(data), loaded, debug, names)
