"""Reads FlatBuffers with every offset, vector and string checked against the file's bounds.

The generated accessors check nothing, and a negative Python index silently reads from the end.
Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_UINT16 = struct.Struct("<H")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")


_READINGS = 16
_SMALL_FILE = 1 << 16


class MalformedFlatbufferError(ValueError):
    """Something in the file points outside of it, or is not aligned as C++ will read it."""


class _File:
    """The bytes, and how many of them may still be read.

    Offsets may lead to the same place over and over, so that a small file stands for more than
    any memory holds. A file that a tool writes is read a few times over, not ``_READINGS`` times.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = _READINGS * len(data) + _SMALL_FILE

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise MalformedFlatbufferError("its parts lie upon each other")


@dataclass(frozen=True)
class Octets:
    """A vector of bytes.

    Attributes:
        position: of its first byte in the file, which decides its alignment.
        data: the bytes.
    """

    position: int
    data: bytes


class Table:
    """One table; fields are named by their index in the schema."""

    def __init__(self, file: _File, position: int) -> None:
        self._file = file
        self._position = position
        vtable = position - int(self._number(_INT32, position))
        size = int(self._number(_UINT16, vtable))
        self._size = int(self._number(_UINT16, vtable + 2))
        if size < 4 or size % 2 or vtable + size > len(file.data):
            raise MalformedFlatbufferError(f"the table at byte {position} has no valid vtable")
        if self._size < 4 or position + self._size > len(file.data):
            raise MalformedFlatbufferError(f"the table at byte {position} leaves the file")
        file.spend(size)
        self._offsets = struct.unpack_from(f"<{size // 2 - 2}H", file.data, vtable + 4)

    @classmethod
    def root(cls, file: bytes, identifier: bytes) -> Table:
        """Return the root table.

        Args:
            file: the whole file.
            identifier: four bytes that must stand at offset 4.

        Raises:
            MalformedFlatbufferError: the file is too short or has another identifier.
        """
        if len(file) < 8 or file[4:8] != identifier:
            raise MalformedFlatbufferError(f"it does not carry the identifier {identifier!r}")
        (offset,) = _UINT32.unpack_from(file)
        return cls(_File(file), int(offset))

    def number(self, field: int, form: str, default: float = 0) -> int | float:
        """Return a scalar.

        Args:
            field: number of the field in the schema's table, from 0; of the other methods too.
            form: its ``struct`` character; of the other methods too.
            default: what the schema gives a field that is left out.

        Raises:
            MalformedFlatbufferError: it lies outside of the file.
        """
        packer = struct.Struct("<" + form)
        place = self._place(field, packer.size)
        return default if place is None else self._number(packer, place)

    def integer(self, field: int, form: str, default: int = 0) -> int:
        """Return an integer scalar; see ``number``."""
        return int(self.number(field, form, default))

    def has(self, field: int) -> bool:
        """Return whether the field is there."""
        return field < len(self._offsets) and self._offsets[field] != 0

    def table(self, field: int) -> Table | None:
        """Return a table; None when it is not there."""
        place = self._target(field)
        return None if place is None else Table(self._file, place)

    def tables(self, field: int) -> tuple[Table, ...]:
        """Return a vector of tables, empty when it is not there."""
        start, count = self._vector(field, _UINT32.size)
        places = range(start, start + 4 * count, 4)
        return tuple(Table(self._file, place + self._offset(place)) for place in places)

    def numbers(self, field: int, form: str) -> tuple[int | float, ...]:
        """Return a vector of scalars, empty when it is not there."""
        start, count = self._vector(field, struct.calcsize("<" + form))
        return struct.unpack_from(f"<{count}{form}", self._file.data, start)

    def require_vector(self, field: int, form: str) -> None:
        """Check a vector of scalars without reading it; it may be left out."""
        self._vector(field, struct.calcsize("<" + form))

    def integers(self, field: int, form: str) -> tuple[int, ...]:
        """Return a vector of integers, empty when it is not there."""
        return tuple(int(number) for number in self.numbers(field, form))

    def octets(self, field: int) -> Octets:
        """Return a vector of bytes, empty when it is not there."""
        start, count = self._vector(field, 1)
        return Octets(start, self._file.data[start : start + count])

    def text(self, field: int) -> str:
        """Return a string, empty when it is not there; bytes that are not UTF-8 are escaped.

        Raises:
            MalformedFlatbufferError: no zero follows it, to which C++ would read.
        """
        octets = self.octets(field)
        end = octets.position + len(octets.data)
        if self.has(field) and self._file.data[end : end + 1] != b"\0":
            raise MalformedFlatbufferError(f"the string at byte {octets.position} has no end")
        return octets.data.decode("utf-8", errors="backslashreplace")

    def _number(self, packer: struct.Struct, place: int) -> int | float:
        if place < 0 or place + packer.size > len(self._file.data):
            raise MalformedFlatbufferError(f"something points to byte {place}, outside the file")
        if place % packer.size:
            raise MalformedFlatbufferError(
                f"a number of {packer.size} bytes at byte {place} is not aligned"
            )
        (value,) = packer.unpack_from(self._file.data, place)
        return value  # type: ignore[no-any-return]

    def _offset(self, place: int) -> int:
        return int(self._number(_UINT32, place))

    def _place(self, field: int, width: int) -> int | None:
        if not self.has(field):
            return None
        if self._offsets[field] + width > self._size:
            raise MalformedFlatbufferError(
                f"field {field} of the table at byte {self._position} leaves the table"
            )
        return int(self._position + self._offsets[field])

    def _target(self, field: int) -> int | None:
        place = self._place(field, _UINT32.size)
        return None if place is None else place + self._offset(place)

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Return where the first element stands and how many there are."""
        place = self._target(field)
        if place is None:
            return 0, 0
        count, start = self._offset(place), place + 4
        if start + count * width > len(self._file.data):
            raise MalformedFlatbufferError(
                f"a vector of {count} elements at byte {place} leaves the file"
            )
        if count and start % width:
            raise MalformedFlatbufferError(f"the vector at byte {place} is not aligned")
        self._file.spend(count * width)
        return start, count
