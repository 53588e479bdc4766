"""Zip archives whose bytes depend on their members alone."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from toolchain.firmware.formats.base import FormatError

# The oldest time that a zip archive can hold.
_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100644 << 16

UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ArithmeticError, LookupError, NotImplementedError, RuntimeError, ValueError),
)
"""What zipfile raises of damaged archives, and of those that want a password or another method."""


def stored_zip(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of ``members``, sorted by path.

    Nothing is compressed: what a compressor makes depends on its version.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        # By folder, then by name, as paths are sorted.
        for name in sorted(members, key=lambda name: name.split("/")):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system = 3
            entry.external_attr = _REGULAR_FILE
            archive.writestr(entry, members[name])
    return stream.getvalue()


def read_stored_zip(data: bytes) -> Mapping[str, bytes]:
    """Return the members of an archive that ``stored_zip`` wrote.

    Raises:
        FormatError: it is no zip archive, is damaged, or not as ``stored_zip`` writes it: in the
            headers nothing may differ either.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # Sizes are looked at first, so that no header makes us fill the memory.
            if sum(entry.file_size for entry in entries) > len(data):
                raise FormatError("it is not stored as it should be: it says more than it holds")
            members = {entry.filename: archive.read(entry) for entry in entries}
    except FormatError:
        raise
    except UNREADABLE as error:
        raise FormatError(f"it is no readable zip archive: {error}") from error
    if stored_zip(members) != data:
        raise FormatError("its headers are not what they should be")
    return members
