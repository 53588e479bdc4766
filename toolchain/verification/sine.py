"""Compares what the simulated firmware computed with the model's reference outputs."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolchain.errors import VerificationError

REFERENCE_SCHEMA = "tinyml-toolchain/reference/1"

MAX_ERROR_AGAINST_SINE = 0.12
"""Largest |y - sin x| that is taken for a sine; the data's noise has a deviation of 0.1."""

MAX_FLOAT_ULPS = 1
"""Largest distance of a float output from the reference, in units in the last place.

Firmware and host run the same reference kernels in the same order of operations, and the firmware
is compiled without contraction of multiply and add, so IEEE-754 leaves them no freedom: 0 is
expected. 1 is allowed for a host interpreter that was itself built with contraction.
"""

MAX_QUANTISATION_ERROR = 1.001
"""Largest distance, in quantisation steps, of a raw input from the number that it stands for.

Upstream's application cuts off what is behind the point, others round; a thousandth is left for the
firmware's single-precision arithmetic.
"""

_UNITS: Mapping[str, tuple[str, str]] = {
    "int8": ("quantisation step", "quantisation steps"),
    "float": ("unit in the last place", "units in the last place"),
}

ALLOWED_DIFFERENCE: Mapping[str, int] = {"int8": 0, "float": MAX_FLOAT_ULPS}
"""By the model's element type: quantisation steps, or units in the last place."""


@dataclass(frozen=True)
class Reference:
    """Outputs of the judge and of LiteRT for the same inputs.

    Attributes:
        kind: element type of the model's input and output.
        judge: name and version of the interpreter that ``tflm`` comes from.
        inputs: raw inputs: int8 values, or IEEE-754 bits of floats.
        tflm: raw outputs of the judge, in the order of ``inputs``.
        litert: raw outputs of LiteRT, for information.
        input_scale: quantisation of the input; None for float. The others likewise.
    """

    model: str
    kind: Literal["int8", "float"]
    model_sha256: str
    judge: str
    inputs: tuple[int, ...]
    tflm: tuple[int, ...]
    litert: tuple[int, ...]
    input_scale: float | None
    input_zero_point: int | None
    output_scale: float | None
    output_zero_point: int | None

    def input_value(self, raw: int) -> float:
        """Return the real number that a raw input stands for."""
        return self._value(raw, self.input_scale, self.input_zero_point)

    def output_value(self, raw: int) -> float:
        """Return the real number that a raw output stands for."""
        return self._value(raw, self.output_scale, self.output_zero_point)

    @staticmethod
    def _value(raw: int, scale: float | None, zero_point: int | None) -> float:
        if scale is None or zero_point is None:
            return float_of_bits(raw)
        return (raw - zero_point) * scale


@dataclass(frozen=True)
class Comparison:
    """Result for one model.

    Attributes:
        cases: inputs tried.
        equal: outputs equal to the judge's, bit for bit.
        largest_difference: from the judge: in quantisation steps (int8) or units in the last
            place (float).
        litert_equal: outputs equal to LiteRT's, for information.
        litert_largest_difference: from LiteRT, in the same unit.
        largest_sine_error: largest |y - sin x| over the inputs; None: an output is not finite.
        allowed_difference: largest one from the judge that passes.
    """

    model: str
    kind: Literal["int8", "float"]
    model_sha256: str
    judge: str
    cases: int
    equal: int
    largest_difference: int
    litert_equal: int
    litert_largest_difference: int
    largest_sine_error: float | None
    allowed_difference: int

    @property
    def passed(self) -> bool:
        """Whether the firmware computes what the model computes."""
        return (
            self.largest_difference <= self.allowed_difference
            and self.largest_sine_error is not None
            and self.largest_sine_error < MAX_ERROR_AGAINST_SINE
        )


@dataclass(frozen=True)
class Observation:
    """One inference of a running application, as it printed it.

    Attributes:
        raw_in: what the input tensor held: an int8 value, or IEEE-754 bits. ``raw_out`` the output.
        x_bits: IEEE-754 single-precision bits of the input. ``y_bits`` of the output.
    """

    raw_in: int
    raw_out: int
    x_bits: int
    y_bits: int


@dataclass(frozen=True)
class Agreement:
    """How the outputs of a running application agree with the reference.

    Attributes:
        inferences: that were looked at.
        known: of these, the ones whose input the reference has; all of them for int8.
        equal: of the known ones, outputs within the model's allowed difference.
        converted: of all, the ones whose x was quantised within a step and whose y is, bit for bit,
            what the raw output stands for; all of them for float, where nothing is converted.
    """

    inferences: int
    known: int
    equal: int
    converted: int

    @property
    def passed(self) -> bool:
        """Whether there is something to compare and all of it agrees."""
        return 0 < self.known == self.equal and self.converted == self.inferences


def float_of_bits(bits: int) -> float:
    """Return the single-precision number with these IEEE-754 bits."""
    (value,) = struct.unpack("<f", struct.pack("<I", bits))
    return float(value)


def bits_of_float(value: float) -> int:
    """Return the IEEE-754 bits of ``value``, rounded to single precision, beyond it to infinity."""
    try:
        data = struct.pack("<f", value)
    except OverflowError:
        data = struct.pack("<f", math.copysign(math.inf, value))
    (bits,) = struct.unpack("<I", data)
    return int(bits)


def ulps_between(one: int, other: int) -> int:
    """Return how many single-precision numbers lie between two, each given by its 32 bits.

    Both zeros count as one number. A NaN is as far away as can be, also from itself.
    """
    if math.isnan(float_of_bits(one)) or math.isnan(float_of_bits(other)):
        return 1 << 32

    def rank(bits: int) -> int:
        return -(bits & 0x7FFF_FFFF) if bits & 0x8000_0000 else bits

    return abs(rank(one) - rank(other))


def read_reference(path: Path) -> Reference:
    """Read a ``reference.json`` as the reference step writes it.

    Raises:
        VerificationError: the file is missing, malformed or of another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != REFERENCE_SCHEMA:
            raise ValueError(f"its schema is {data['schema']}, not {REFERENCE_SCHEMA}")
        kind = data["type"]
        if kind not in {"int8", "float"}:
            raise ValueError(f"its type is {kind}")
        rows = [
            tuple(_int8(value) if kind == "int8" else _bits(value) for value in data[name])
            for name in ("inputs", "tflm", "litert")
        ]
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            raise ValueError("its lists differ in length or are empty")
        input_scale, input_zero_point = _quantisation(data, "input", kind)
        output_scale, output_zero_point = _quantisation(data, "output", kind)
        reference = Reference(
            model=text_of(data, "model"),
            kind=kind,
            model_sha256=text_of(data, "model_sha256"),
            judge=text_of(data, "judge"),
            inputs=rows[0],
            tflm=rows[1],
            litert=rows[2],
            input_scale=input_scale,
            input_zero_point=input_zero_point,
            output_scale=output_scale,
            output_zero_point=output_zero_point,
        )
        if not all(math.isfinite(reference.input_value(raw)) for raw in reference.inputs):
            raise ValueError("an input is not finite")
        return reference
    except UNUSABLE as error:
        raise unusable(path, error) from error


UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a document raises that another program wrote, or something damaged."""


def unusable(path: Path, error: Exception) -> VerificationError:
    """Return the error for a reference that cannot be read."""
    why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return VerificationError(
        f"{path} cannot be used as reference", why=why, next_step="run ./invoke build"
    )


def text_of(data: Mapping[str, object], name: str) -> str:
    """Return a text of a document.

    Raises:
        KeyError: it is not there.
        TypeError: it is no text.
    """
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(f"its {name} is {value!r}, which is no text")
    return value


def _int8(value: object) -> int:
    # True is an int for Python.
    if type(value) is not int or not -128 <= value <= 127:
        raise ValueError(f"{value!r} is no int8 value")
    return value


def _bits(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch("0x[0-9a-fA-F]{8}", value):
        raise ValueError(f"{value!r} is not the bits of a float")
    return int(value, 16)


def _quantisation(
    data: Mapping[str, object], end: str, kind: str
) -> tuple[float, int] | tuple[None, None]:
    scale, zero_point = data[f"{end}_scale"], data[f"{end}_zero_point"]
    if kind == "float":
        if (scale, zero_point) != (None, None):
            raise ValueError(f"its {end} is float and has a scale")
        return None, None
    if not isinstance(scale, float) or not 0 < scale < math.inf:
        raise ValueError(f"its {end}_scale is {scale!r}")
    return scale, _int8(zero_point)


def compare(reference: Reference, observed: Mapping[int, int]) -> Comparison:
    """Compare the firmware's raw outputs, by raw input, with the reference.

    Raises:
        VerificationError: an input of the reference was not tried, or another one was.
    """
    missing = [raw for raw in reference.inputs if raw not in observed]
    extra = set(observed) - set(reference.inputs)
    if missing or extra:
        raise VerificationError(
            f"the firmware tried {len(observed)} inputs of {reference.model}, "
            f"the reference has {len(reference.inputs)}",
            why=f"{len(missing)} are missing and {len(extra)} are unknown, "
            f"for example {(missing or sorted(extra))[0]}",
            next_step="rebuild: firmware and reference come from different models",
        )
    outputs = [observed[raw] for raw in reference.inputs]

    def differences(expected: tuple[int, ...]) -> list[int]:
        return [
            _difference(reference, got, want) for got, want in zip(outputs, expected, strict=True)
        ]

    judge, litert = differences(reference.tflm), differences(reference.litert)
    return Comparison(
        model=reference.model,
        kind=reference.kind,
        model_sha256=reference.model_sha256,
        judge=reference.judge,
        cases=len(outputs),
        equal=judge.count(0),
        largest_difference=max(judge),
        litert_equal=litert.count(0),
        litert_largest_difference=max(litert),
        largest_sine_error=_largest_sine_error(reference, outputs),
        allowed_difference=ALLOWED_DIFFERENCE[reference.kind],
    )


def _largest_sine_error(reference: Reference, outputs: Sequence[int]) -> float | None:
    errors = [
        abs(reference.output_value(got) - math.sin(reference.input_value(raw)))
        for raw, got in zip(reference.inputs, outputs, strict=True)
    ]
    # A comparison with NaN is false, so that the largest one would not tell of it.
    return max(errors) if all(map(math.isfinite, errors)) else None


def _difference(reference: Reference, one: int, other: int) -> int:
    return abs(one - other) if reference.kind == "int8" else ulps_between(one, other)


def agreement(reference: Reference, observed: Sequence[Observation]) -> Agreement:
    """Compare inputs and outputs of a running application with the reference.

    Args:
        reference: what the judge computes.
        observed: each inference.
    """
    expected = dict(zip(reference.inputs, reference.tflm, strict=True))
    known = [each for each in observed if each.raw_in in expected]
    allowed = ALLOWED_DIFFERENCE[reference.kind]
    equal = sum(
        _difference(reference, each.raw_out, expected[each.raw_in]) <= allowed for each in known
    )
    converted = sum(_is_converted(reference, each) for each in observed)
    return Agreement(inferences=len(observed), known=len(known), equal=equal, converted=converted)


def _is_converted(reference: Reference, each: Observation) -> bool:
    scale, zero_point = reference.input_scale, reference.input_zero_point
    if scale is None or zero_point is None:
        return (each.raw_in, each.raw_out) == (each.x_bits, each.y_bits)
    x = float_of_bits(each.x_bits)
    if not math.isfinite(x):
        return False
    exact = x / scale + zero_point
    quantised = abs(each.raw_in - max(-128.0, min(127.0, exact))) <= MAX_QUANTISATION_ERROR
    # The product is exact in double precision, so that it is rounded once, as the firmware's is.
    return quantised and each.y_bits == bits_of_float(reference.output_value(each.raw_out))


def shown_sine_error(comparison: Comparison) -> str:
    """Return the largest error against the sine as users read it."""
    error = comparison.largest_sine_error
    return "not finite" if error is None else f"{error:.4f}"


def require_passed(comparison: Comparison, image: Agreement) -> None:
    """Raise unless the firmware computes what the model computes.

    Args:
        comparison: of all outputs of the test.
        image: of the flashable image's own outputs.

    Raises:
        VerificationError: one of them does not agree; the message gives the figures.
    """
    step, steps = _UNITS[comparison.kind]
    unit = step if comparison.largest_difference == 1 else steps
    if not comparison.passed:
        raise VerificationError(
            f"{comparison.model}: {comparison.equal}/{comparison.cases} outputs equal "
            f"{comparison.judge}, the largest difference is {comparison.largest_difference} {unit} "
            f"({comparison.allowed_difference} allowed), the largest error against the sine is "
            f"{shown_sine_error(comparison)} (below {MAX_ERROR_AGAINST_SINE} required)",
            why="the firmware does not compute what the model computes, or the model is no sine",
            next_step="look at verify.json and at the conversion's quantisation",
        )
    if image.converted != image.inferences:
        raise VerificationError(
            f"{comparison.model}: only {image.converted} of {image.inferences} inferences of the "
            "flashable image print the x and y that their raw values stand for",
            why="the model's outputs are right, so the application converts a number to a raw "
            "input, or a raw output to a number, wrongly",
            next_step="look at Quantise and Dequantise in tflm/hello_world/inference.cc",
        )
    if not image.passed:
        raise VerificationError(
            f"{comparison.model}: {image.equal} of {image.known} outputs of the flashable image "
            f"are within {comparison.allowed_difference} {steps} of {comparison.judge}",
            why="the test firmware agrees, so the application changes inputs or outputs on their "
            "way, or was built from another model",
            next_step="compare tflm/hello_world/main_functions.cc with hello_world_test.cc",
        )
