from __future__ import annotations

import re
import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.console import (
    CaseLine,
    Console,
    ResultLine,
    TestCase,
    float_of_bits,
    parse_case,
    parse_result,
    parse_test_cases,
)
from toolchain.errors import SimulationIncompleteError

INT8 = st.integers(-128, 127)
BITS = st.integers(0, 0xFFFF_FFFF)
FLOAT_TEXT = st.from_regex(r"-?[0-9]\.[0-9]{1,7}\*2\^-?[0-9]{1,3}", fullmatch=True)
GOOD = "x_value: 1.0*2^0, y_value: 1.0*2^-1 raw: in=-87 out=64 x=0x3f800000 y=0x3f000000"
GOOD_FLOAT = "x_value: 1.0*2^0, y_value: 1.0*2^-1 raw: x=0x3f800000 y=0x3f000000"


def heard(data: bytes) -> tuple[Console, list[str]]:
    lines: list[str] = []
    console = Console(lines.append)
    for byte in data:
        console.put(byte)
    return console, lines


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)))
def test_lines_of_printable_text_come_back_as_they_were_sent(sent: list[str]) -> None:
    for end in ("\n", "\r\n"):
        console, lines = heard("".join(line + end for line in sent).encode())
        assert lines == sent
        assert console.text == "".join(f"{line}\n" for line in sent)


@given(st.binary(max_size=200))
def test_any_bytes_become_printable_text_and_none_is_lost(data: bytes) -> None:
    console, lines = heard(data)
    assert len(lines) == data.count(b"\n")
    assert re.fullmatch(r"[\t\n\x20-\x7e]*", console.text)
    *complete, rest = data.split(b"\n")
    for line, raw in zip(lines, complete, strict=True):
        assume(b"\\" not in raw)
        restored = re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), line)
        assert restored.encode("latin-1") == raw.removesuffix(b"\r")
    if not rest.removesuffix(b"\r"):
        assert console.text == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("data", "text", "tail"),
    [
        (b"", "", ""),
        (b"\r\n", "\n", ""),
        (b"abc", "abc", "abc"),
        (b"one\r\ntwo", "one\ntwo", "two"),
        (b"one\r\ntwo\r", "one\ntwo", "two"),
        (b"one\r\n \r\n\r\n", "one\n \n\n", "one"),
        (b"\xff\x00A\tB\x1b\n", "\\xff\\x00A\tB\\x1b\n", "\\xff\\x00A\tB\\x1b"),
        (b"a\rb\n", "a\\x0db\n", "a\\x0db"),
    ],
)
def test_the_text_and_the_last_words_of_a_console(data: bytes, text: str, tail: str) -> None:
    console, _lines = heard(data)
    assert (console.text, console.tail) == (text, tail)


@given(FLOAT_TEXT, FLOAT_TEXT, st.none() | st.tuples(INT8, INT8), BITS, BITS)
def test_a_result_line_is_read_back(
    x_text: str, y_text: str, raw: tuple[int, int] | None, x_bits: int, y_bits: int
) -> None:
    middle = "" if raw is None else f" in={raw[0]} out={raw[1]}"
    line = f"x_value: {x_text}, y_value: {y_text} raw:{middle} x=0x{x_bits:08x} y=0x{y_bits:08x}"
    raw_in, raw_out = raw or (None, None)
    assert parse_result(line) == ResultLine(x_text, y_text, raw_in, raw_out, x_bits, y_bits)


@given(BITS)
def test_floats_keep_their_bits(bits: int) -> None:
    value = float_of_bits(bits)
    if value == value:
        assert struct.unpack("<I", struct.pack("<f", value)) == (bits,)


def test_a_result_line_has_its_floats() -> None:
    result = parse_result(GOOD)
    assert result is not None
    assert (result.x, result.y) == (1.0, 0.5)


@given(st.text().filter(lambda line: not line.startswith("x_value:")))
def test_other_lines_are_no_results(line: str) -> None:
    assert parse_result(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "x_value:",
        GOOD[:-1],
        GOOD + " ",
        GOOD.replace("raw:", "row:"),
        GOOD.replace("in=-87", "in=-129"),
        GOOD.replace("out=64", "out=128"),
        GOOD.replace("in=-87", "in=0x1"),
        GOOD.replace(" out=64", ""),
        GOOD.replace("0x3f000000", "0x3f0000"),
        GOOD.replace("0x3f000000", "0x3f0000zz"),
        GOOD_FLOAT.replace(" x=", " z="),
        GOOD.replace("x_value: ", "x_value:"),
    ],
)
def test_a_result_line_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(SimulationIncompleteError) as caught:
        parse_result(line)
    assert caught.value.what == f"the firmware printed a line that cannot be read: {line}"


@given(st.sampled_from([GOOD, GOOD_FLOAT]), st.data())
def test_a_result_line_with_a_lost_character_is_refused_or_only_a_float_text_is_shorter(
    line: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(8, len(line) - 1))
    damaged = line[:place] + line[place + 1 :]
    try:
        result = parse_result(damaged)
    except SimulationIncompleteError:
        return
    whole = parse_result(line)
    assert result is not None
    assert whole is not None
    # Text of floats and one digit of a raw value are all that can be lost without being noticed.
    assert (result.x_bits, result.y_bits) == (whole.x_bits, whole.y_bits)


@given(st.lists(st.tuples(INT8, INT8)))
def test_int8_test_cases_are_read_back_in_their_order(cases: list[tuple[int, int]]) -> None:
    console = "banner\n" + "".join(f"test: in={i} out={o}\nother\n" for i, o in cases)
    assert parse_test_cases(console) == tuple(TestCase(i, o) for i, o in cases)


@given(st.lists(st.tuples(BITS, BITS)))
def test_float_test_cases_are_read_back_in_their_order(cases: list[tuple[int, int]]) -> None:
    console = "".join(f"test: x=0x{x:08x} y=0x{y:08X}\n" for x, y in cases)
    assert parse_test_cases(console) == tuple(TestCase(x, y) for x, y in cases)


@pytest.mark.parametrize(
    "line",
    [
        *("test:", "test: in=1 out=", "test: in=1 out=200", "test: in=-200 out=1"),
        *("test: in=1 out=2 ", "test: x=0x0 y=0x0", "test: in=1", "test:in=1 out=2"),
    ],
)
def test_a_test_case_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(SimulationIncompleteError, match=re.escape(f"cannot be read: {line}")):
        parse_test_cases(f"test: in=1 out=2\n{line}\n")


@given(st.integers(0, 10**9 - 1), st.booleans(), st.lists(st.binary(max_size=20), min_size=1))
def test_a_case_line_is_read_back(number: int, equal: bool, outputs: list[bytes]) -> None:
    verdict = "equal" if equal else "different"
    line = f"case {number} {verdict}: {' '.join(data.hex() for data in outputs)}"
    assert parse_case(line) == CaseLine(number, equal, tuple(outputs))


@pytest.mark.parametrize(
    "line",
    [
        "case ",
        "case 1 equal:",
        "case 1 equal: 0",
        "case 1 equal: 0G",
        "case 1 equal: 01AB",
        "case -1 equal: 00",
        "case 1 other: 00",
        "case 1 equal:00",
    ],
)
def test_a_damaged_case_line_is_an_error(line: str) -> None:
    with pytest.raises(SimulationIncompleteError, match="cannot be read"):
        parse_case(line)


@pytest.mark.parametrize("line", ["", "x_value: 1", "cases=3", " case 1 equal: 00"])
def test_another_line_is_no_case(line: str) -> None:
    assert parse_case(line) is None
