"""Reads the members of a GNU archive, such as the runtime's library."""

from __future__ import annotations

from collections.abc import Mapping

ARCHIVE_START = b"!<arch>\n"
"""What every archive begins with."""

_HEADER_BYTES = 60


def members(archive: bytes) -> Mapping[str, bytes]:
    """Return the members of a GNU archive by name; a second one of a name gets a number.

    Raises:
        ValueError: it is cut off or damaged.
    """
    found: dict[str, bytes] = {}
    names = b""
    position = len(ARCHIVE_START)
    while position < len(archive):
        header = archive[position : position + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or header[58:60] != b"`\n":
            raise ValueError("the archive is damaged")
        name, length = header[:16].rstrip(), header[48:58].rstrip()
        if not length.isdigit():
            raise ValueError("the archive is damaged")
        size = int(length)
        data = archive[position + _HEADER_BYTES : position + _HEADER_BYTES + size]
        if len(data) < size:
            raise ValueError("the archive is cut off")
        position += _HEADER_BYTES + size + size % 2
        if name == b"//":
            names = data
            continue
        if name == b"/":
            continue
        if name.startswith(b"/"):
            start = int(name[1:])
            name = names[start : names.index(b"\n", start)]
        plain = name.rstrip(b"/").decode(errors="replace")
        number = sum(other.partition("#")[0] == plain for other in found)
        found[f"{plain}#{number + 1}" if number else plain] = data
    return found
