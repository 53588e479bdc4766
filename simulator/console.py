"""What the firmware prints, line by line (docs/ARCHITECTURE.md, "What the firmware prints")."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from toolchain.errors import SimulationIncompleteError

ERROR_PREFIX = "error: "
RESULT_PREFIX = "x_value:"
CASE_PREFIX = "case "

_BITS = r"0x([0-9a-fA-F]{8})"
_INT8 = r"(-?\d{1,3})"
_RESULT = re.compile(
    rf"x_value: (\S+), y_value: (\S+) raw:(?: in={_INT8} out={_INT8})? x={_BITS} y={_BITS}"
)
_INT8_CASE = re.compile(rf"test: in={_INT8} out={_INT8}")
_FLOAT_CASE = re.compile(rf"test: x={_BITS} y={_BITS}")
_CASE = re.compile(r"case (\d{1,9}) (equal|different):((?: (?:[0-9a-f]{2})*)+)")


@dataclass(frozen=True)
class ResultLine:
    """An ``x_value`` line.

    Attributes:
        x_text: the input as upstream's code prints floats; ``y_text`` the output.
        raw_in: quantised input, -128 to 127; None for a float model. ``raw_out`` the output.
        x_bits: IEEE-754 single-precision bits of the input; ``y_bits`` of the output.
    """

    x_text: str
    y_text: str
    raw_in: int | None
    raw_out: int | None
    x_bits: int
    y_bits: int

    @property
    def x(self) -> float:
        """The input."""
        return float_of_bits(self.x_bits)

    @property
    def y(self) -> float:
        """The output."""
        return float_of_bits(self.y_bits)


@dataclass(frozen=True)
class TestCase:
    """A ``test:`` line.

    Attributes:
        input: raw: an int8 value, or the IEEE-754 bits of a float; ``output`` likewise.
    """

    __test__ = False  # not a class of pytest's

    input: int
    output: int


@dataclass(frozen=True)
class CaseLine:
    """A ``case`` line of ``model_runner``.

    Attributes:
        number: of the case, from 0.
        equal: whether the firmware found its outputs to be those that were expected.
        outputs: bytes of each output tensor.
    """

    number: int
    equal: bool
    outputs: tuple[bytes, ...]


class Console:
    """Collects bytes to lines.

    Args:
        on_line: called with each complete line, without its end.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._line = bytearray()
        self._append = self._line.append
        self._done: list[str] = []

    def put(self, byte: int) -> None:
        """Take one byte, 0 to 255; what is not printable ASCII is shown as an escape."""
        self._append(byte)
        if byte == 0x0A:
            line = _text(self._line[:-1].removesuffix(b"\r"))
            self._line.clear()
            self._done.append(line)
            self._on_line(line)

    @property
    def text(self) -> str:
        """Everything so far; each line with its newline."""
        return "".join(f"{line}\n" for line in self._done) + self._unfinished

    @property
    def tail(self) -> str:
        """The last line that is not empty, complete or not."""
        for line in (self._unfinished, *reversed(self._done)):
            if line.strip():
                return line
        return ""

    @property
    def _unfinished(self) -> str:
        return _text(self._line.removesuffix(b"\r"))


def float_of_bits(bits: int) -> float:
    """Return the single-precision number with these IEEE-754 bits."""
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(value)


def parse_result(line: str) -> ResultLine | None:
    """Read an ``x_value`` line; None for any other line.

    Raises:
        SimulationIncompleteError: it begins like one and cannot be read.
    """
    if not line.startswith(RESULT_PREFIX):
        return None
    match = _RESULT.fullmatch(line)
    if match is None:
        raise _unreadable(line)
    x_text, y_text, raw_in, raw_out, x_bits, y_bits = match.groups()
    return ResultLine(
        x_text,
        y_text,
        None if raw_in is None else _int8(raw_in, line),
        None if raw_out is None else _int8(raw_out, line),
        int(x_bits, 16),
        int(y_bits, 16),
    )


def parse_case(line: str) -> CaseLine | None:
    """Read a ``case`` line; None for any other line.

    Raises:
        SimulationIncompleteError: it begins like one and cannot be read.
    """
    if not line.startswith(CASE_PREFIX):
        return None
    match = _CASE.fullmatch(line)
    if match is None:
        raise _unreadable(line)
    number, verdict, outputs = match.groups()
    return CaseLine(
        int(number),
        verdict == "equal",
        tuple(bytes.fromhex(digits) for digits in outputs[1:].split(" ")),
    )


def parse_test_cases(console: str) -> tuple[TestCase, ...]:
    """Read all ``test:`` lines of ``hello_world_test``, in the order they were printed.

    Raises:
        SimulationIncompleteError: a line begins like one and cannot be read.
    """
    cases = []
    for line in console.splitlines():
        if not line.startswith("test:"):
            continue
        if match := _INT8_CASE.fullmatch(line):
            cases.append(TestCase(_int8(match[1], line), _int8(match[2], line)))
        elif match := _FLOAT_CASE.fullmatch(line):
            cases.append(TestCase(int(match[1], 16), int(match[2], 16)))
        else:
            raise _unreadable(line)
    return tuple(cases)


def _text(line: bytes | bytearray) -> str:
    text = line.decode("latin-1")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F or byte == 0x09 else f"\\x{byte:02x}" for byte in line
    )


def _int8(text: str, line: str) -> int:
    value = int(text)
    if not -128 <= value <= 127:
        raise _unreadable(line)
    return value


def _unreadable(line: str) -> SimulationIncompleteError:
    return SimulationIncompleteError(
        f"the firmware printed a line that cannot be read: {line}",
        why="its output differs from what docs/ARCHITECTURE.md says, or characters were lost",
        next_step="compare the firmware's printing code with that page",
    )
