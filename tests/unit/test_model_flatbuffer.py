from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.flatbuffer import MalformedFlatbufferError, Table
from tests.unit import model_support as fb

TEXT = "grüße"
FILE = fb.flatbuffer(
    fb.Table(
        {
            0: fb.u32(7),
            1: fb.i8(-3),
            3: fb.Scalar("Q", 1 << 40),
            4: TEXT,
            5: fb.Vector("q", [-1, 2], 8),
            6: fb.Table({0: fb.Scalar("f", 0.5)}),
            7: fb.Tables([fb.Table({0: fb.i32(each)}) for each in range(3)]),
            8: fb.Octets(b"weights", 16),
            9: fb.Vector("f", []),
        }
    ),
    b"TEST",
)


def root(file: bytes = FILE) -> Table:
    return Table.root(file, b"TEST")


def read_all(table: Table) -> list[Any]:
    nested = table.table(6)
    return [
        table.integer(0, "I"),
        table.integer(1, "b"),
        table.integer(3, "Q"),
        table.text(4),
        table.integers(5, "q"),
        None if nested is None else nested.number(0, "f"),
        [each.integer(0, "i") for each in table.tables(7)],
        table.octets(8),
        table.numbers(9, "f"),
    ]


def test_every_kind_of_field_is_read() -> None:
    *others, octets, empty = read_all(root())
    assert others == [7, -3, 1 << 40, TEXT, (-1, 2), 0.5, [0, 1, 2]]
    assert octets.data == b"weights"
    assert octets.position % 16 == 0
    assert FILE[octets.position :].startswith(b"weights")
    assert empty == ()


def test_a_field_that_is_left_out_has_its_default() -> None:
    for absent in (2, 10, 1000):
        table = root()
        assert not table.has(absent)
        assert table.integer(absent, "i", 5) == 5
        assert table.table(absent) is None
        assert table.tables(absent) == ()
        assert table.numbers(absent, "f") == ()
        assert table.text(absent) == ""
        assert table.octets(absent).data == b""


@pytest.mark.parametrize("file", [b"", FILE[:7], b"\0" * 64, FILE.replace(b"TEST", b"TSET")])
def test_another_identifier_is_refused(file: bytes) -> None:
    with pytest.raises(MalformedFlatbufferError, match="identifier"):
        root(file)


def test_every_truncation_is_refused_or_read() -> None:
    refused = 0
    for length in range(len(FILE)):
        try:
            read_all(root(FILE[:length]))
        except MalformedFlatbufferError:
            refused += 1
    # What can be missing unnoticed is the end of the last vector, which is empty, and its padding.
    assert refused >= len(FILE) - 16


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0xFF])
def test_every_changed_byte_is_refused_or_read(value: int) -> None:
    for place in range(len(FILE)):
        changed = bytearray(FILE)
        changed[place] = value
        with suppress(MalformedFlatbufferError):
            read_all(root(bytes(changed)))


@given(st.binary(max_size=120))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    with suppress(MalformedFlatbufferError):
        read_all(root(struct.pack("<I", 8) + b"TEST" + noise))


def simple(vtable: list[int], table: bytes, more: bytes = b"") -> bytes:
    """A file with one table, whose vtable stands before it."""
    head = struct.pack("<I4s", 8 + 2 * len(vtable) + -2 * len(vtable) % 4, b"TEST")
    packed = struct.pack(f"<{len(vtable)}H", *vtable)
    packed += bytes(-len(packed) % 4)
    return head + packed + struct.pack("<i", len(packed)) + table + more


def test_the_smallest_file_is_read() -> None:
    assert root(simple([6, 8, 4, 0], b"\x05\0\0\0")).integer(0, "i") == 5


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (struct.pack("<I4s", 1 << 31, b"TEST"), "outside the file"),
        (struct.pack("<I4s", 9, b"TEST") + bytes(16), "not aligned"),
        (struct.pack("<I4si", 8, b"TEST", 100), "outside the file"),
        (struct.pack("<I4si", 8, b"TEST", -100), "outside the file"),
        (simple([2, 8], b"\0\0\0\0"), "no valid vtable"),
        (simple([7, 8, 4], b"\0\0\0\0"), "no valid vtable"),
        (simple([400, 8], b"\0\0\0\0"), "no valid vtable"),
        (simple([4, 2], b""), "leaves the file"),
        (simple([4, 12], b"\0\0\0\0"), "leaves the file"),
    ],
)
def test_a_broken_table_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(MalformedFlatbufferError, match=message):
        root(file)


@pytest.mark.parametrize(
    ("vtable", "table", "message"),
    [
        ([6, 8, 8, 0], b"\0\0\0\0\0\0\0\0", "leaves the table"),
        ([6, 8, 6, 0], b"\0\0\0\0", "leaves the table"),
        ([6, 12, 6, 0], b"\0\0\0\0\0\0\0\0", "not aligned"),
    ],
)
def test_a_field_that_does_not_lie_in_its_table_is_refused(
    vtable: list[int], table: bytes, message: str
) -> None:
    with pytest.raises(MalformedFlatbufferError, match=message):
        root(simple(vtable, table)).integer(0, "i")


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        (4, struct.pack("<I", 1 << 30), "leaves the file"),
        (4, struct.pack("<II", 2, 1), "leaves the file"),
        (1 << 20, b"", "outside the file"),
        (5, struct.pack("<III", 0, 0, 0), "not aligned"),
        (4, struct.pack("<IIII", 1, 1, 1, 1), "is not aligned"),
    ],
)
def test_a_vector_that_does_not_lie_in_the_file_is_refused(
    target: int, more: bytes, message: str
) -> None:
    file = simple([6, 8, 4, 0], struct.pack("<I", target), more)
    with pytest.raises(MalformedFlatbufferError, match=message):
        root(file).numbers(0, "q")


def test_a_string_that_is_not_utf8_is_escaped() -> None:
    # The next table is aligned, so that zeros stand between.
    file = fb.flatbuffer(fb.Table({0: fb.Octets(b"a\xffb", 4), 1: fb.Table()}), b"TEST")
    assert root(file).text(0) == r"a\xffb"


def test_a_string_without_its_zero_is_refused() -> None:
    for more in ({}, {1: fb.Octets(b"", 1)}):
        file = fb.flatbuffer(fb.Table({0: fb.Octets(b"abcd", 4), **more}), b"TEST")
        ended = bytearray(file)
        end = file.index(b"abcd") + 4
        ended[end : end + 1] = b"x" if more else b""
        with pytest.raises(MalformedFlatbufferError, match="has no end"):
            root(bytes(ended)).text(0)


def test_a_small_file_that_stands_for_a_large_one_is_refused() -> None:
    # A thousand tables that are one and the same, with a vector of a thousand numbers.
    table = fb.Table({0: fb.Vector("q", range(1000), 8)})
    file = bytearray(fb.flatbuffer(fb.Table({0: fb.Tables([table] + [fb.Table()] * 999)}), b"TEST"))
    start = file.index(struct.pack("<I", 1000)) + 4
    (first,) = struct.unpack_from("<I", file, start)
    struct.pack_into("<1000I", file, start, *(first - 4 * number for number in range(1000)))
    with pytest.raises(MalformedFlatbufferError, match="lie upon each other"):
        [each.numbers(0, "q") for each in root(bytes(file)).tables(0)]
