from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import VerificationError
from toolchain.verification.sine import (
    Agreement,
    Observation,
    Reference,
    agreement,
    bits_of_float,
    compare,
    float_of_bits,
    read_reference,
    require_passed,
    ulps_between,
)

SCALE = 2 * math.pi / 255
AGREES = Agreement(inferences=1000, known=1000, equal=1000, converted=1000)


def bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def int8_reference() -> Reference:
    outputs = tuple(
        max(-128, min(127, round(math.sin((raw + 128) * SCALE) * 127))) for raw in range(-128, 128)
    )
    return Reference(
        model="sine_int8",
        kind="int8",
        model_sha256="0" * 64,
        judge="tflite-micro 1",
        inputs=tuple(range(-128, 128)),
        tflm=outputs,
        litert=tuple(output + (index == 7) for index, output in enumerate(outputs)),
        input_scale=SCALE,
        input_zero_point=-128,
        output_scale=1 / 127,
        output_zero_point=0,
    )


def observed(reference: Reference) -> dict[int, int]:
    return dict(zip(reference.inputs, reference.tflm, strict=True))


def observations(reference: Reference) -> list[Observation]:
    """What an application prints that goes through all inputs."""
    return [
        Observation(
            raw_in,
            raw_out,
            bits_of_float(reference.input_value(raw_in)),
            bits_of_float(reference.output_value(raw_out)),
        )
        for raw_in, raw_out in observed(reference).items()
    ]


def test_equal_outputs_pass_and_litert_is_only_reported() -> None:
    result = compare(int8_reference(), observed(int8_reference()))
    assert (result.cases, result.equal, result.largest_difference) == (256, 256, 0)
    assert (result.litert_equal, result.litert_largest_difference) == (255, 1)
    assert result.largest_sine_error is not None
    assert result.largest_sine_error < 0.01
    require_passed(result, AGREES)


def test_one_step_in_one_int8_output_fails() -> None:
    outputs = observed(int8_reference())
    outputs[5] += 1
    result = compare(int8_reference(), outputs)
    assert (result.equal, result.largest_difference) == (255, 1)
    with pytest.raises(VerificationError, match="255/256"):
        require_passed(result, AGREES)


def test_a_model_that_is_no_sine_fails_although_firmware_and_model_agree() -> None:
    reference = int8_reference()
    flat = Reference(**{**reference.__dict__, "tflm": (0,) * 256, "litert": (0,) * 256})
    result = compare(flat, dict.fromkeys(flat.inputs, 0))
    assert result.equal == 256
    with pytest.raises(VerificationError, match=r"below 0\.12 required"):
        require_passed(result, AGREES)


def test_the_image_itself_must_agree_too() -> None:
    reference = int8_reference()
    result = compare(reference, observed(reference))
    printed = observations(reference)
    require_passed(result, agreement(reference, printed))
    wrong = printed[9].raw_out - 1
    printed[9] = replace(
        printed[9], raw_out=wrong, y_bits=bits_of_float(reference.output_value(wrong))
    )
    with pytest.raises(VerificationError, match="255 of 256 outputs of the flashable image"):
        require_passed(result, agreement(reference, printed))


@pytest.mark.parametrize("change", [{"x_bits": bits(0.5)}, {"y_bits": bits(0.5)}, {"raw_in": 40}])
def test_an_image_must_print_the_numbers_that_its_raw_values_stand_for(
    change: dict[str, int],
) -> None:
    reference = int8_reference()
    result = compare(reference, observed(reference))
    printed = observations(reference)
    changed = replace(printed[9], **change)
    printed[9] = replace(changed, raw_out=observed(reference)[changed.raw_in])
    found = agreement(reference, printed)
    assert (found.equal, found.converted) == (256, 255)
    with pytest.raises(VerificationError, match="only 255 of 256 inferences of the flashable"):
        require_passed(result, found)


@given(st.floats(-10, 20, width=32))
def test_an_input_that_is_cut_off_or_rounded_is_converted(x: float) -> None:
    reference = int8_reference()
    exact = max(-128.0, min(127.0, x / SCALE - 128))
    for raw_in in {math.floor(exact), round(exact), math.ceil(exact)}:
        raw_out = observed(reference)[raw_in]
        y_bits = bits_of_float(reference.output_value(raw_out))
        assert agreement(reference, [Observation(raw_in, raw_out, bits(x), y_bits)]).converted == 1
    for raw_in in {max(-128, math.floor(exact) - 2), min(127, math.ceil(exact) + 2)}:
        if abs(raw_in - exact) > 1.01:
            raw_out = observed(reference)[raw_in]
            y_bits = bits_of_float(reference.output_value(raw_out))
            seen = Observation(raw_in, raw_out, bits(x), y_bits)
            assert agreement(reference, [seen]).converted == 0


def test_an_image_with_no_known_input_proves_nothing() -> None:
    reference = float_reference()
    strange = [Observation(raw, 0, raw, 0) for raw in (bits(100.0), bits(101.0))]
    unknown = agreement(reference, strange)
    assert (unknown.inferences, unknown.known) == (2, 0)
    with pytest.raises(VerificationError, match="0 of 0"):
        require_passed(compare(reference, observed(reference)), unknown)


@pytest.mark.parametrize("change", [lambda each: each.pop(3), lambda each: each.update({200: 0})])
def test_other_inputs_than_the_reference_are_refused(change: object) -> None:
    outputs = observed(int8_reference())
    change(outputs)  # type: ignore[operator]
    with pytest.raises(VerificationError, match="different models"):
        compare(int8_reference(), outputs)


def float_reference() -> Reference:
    inputs = tuple(bits(index * 2 * math.pi / 1000) for index in range(1000))
    outputs = tuple(bits(math.sin(float_of_bits(raw))) for raw in inputs)
    return Reference(
        "sine_float", "float", "0" * 64, "judge", inputs, outputs, outputs, None, None, None, None
    )


def test_floats_may_differ_by_one_ulp_and_not_by_two() -> None:
    outputs = observed(float_reference())
    key = float_reference().inputs[100]
    outputs[key] += 1
    result = compare(float_reference(), outputs)
    assert (result.equal, result.largest_difference) == (999, 1)
    require_passed(result, AGREES)
    outputs[key] += 1
    with pytest.raises(VerificationError, match="2 units in the last place"):
        require_passed(compare(float_reference(), outputs), AGREES)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(finite, finite)
def test_ulps_are_a_distance(one: float, other: float) -> None:
    distance = ulps_between(bits(one), bits(other))
    assert distance == ulps_between(bits(other), bits(one))
    assert (distance == 0) == (one == other)


@given(finite.filter(lambda value: abs(value) < 3e38))
def test_the_next_number_is_one_ulp_away(value: float) -> None:
    step = 1 if value >= 0 and bits(value) != 0x8000_0000 else -1
    following = bits(value) + step if bits(value) != 0x8000_0000 else 1
    assert ulps_between(bits(value), following) == 1


@given(finite)
def test_a_number_of_the_other_sign_is_as_far_as_both_are_from_zero(value: float) -> None:
    assert ulps_between(bits(value), bits(-value)) == 2 * ulps_between(bits(value), 0)


def test_zeros_are_one_number_and_nan_is_far() -> None:
    assert ulps_between(bits(0.0), bits(-0.0)) == 0
    assert ulps_between(bits(math.nan), bits(0.0)) > 1 << 31
    assert ulps_between(bits(math.nan), bits(math.nan)) > 1 << 31


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 500])
def test_an_output_that_is_not_finite_fails_also_where_the_judge_has_it(
    number: float, place: int
) -> None:
    finite = float_reference()
    outputs = [*finite.tflm]
    outputs[place] = bits(number)
    reference = replace(finite, tflm=tuple(outputs), litert=tuple(outputs))
    result = compare(reference, observed(reference))
    assert not result.passed
    assert result.largest_sine_error is None
    with pytest.raises(VerificationError, match="against the sine is not finite"):
        require_passed(result, AGREES)
    if math.isnan(number):
        key, printed = reference.inputs[place], outputs[place]
        found = agreement(reference, [Observation(key, printed, key, printed)])
        assert (found.known, found.equal) == (1, 0)


@pytest.mark.parametrize("raw_in", [-128, 0, 127])
@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_an_input_that_is_not_finite_is_never_within_a_step(raw_in: int, x: float) -> None:
    reference = int8_reference()
    raw_out = observed(reference)[raw_in]
    y_bits = bits_of_float(reference.output_value(raw_out))
    assert agreement(reference, [Observation(raw_in, raw_out, bits(x), y_bits)]).converted == 0


def test_what_is_beyond_single_precision_is_infinite_in_it() -> None:
    assert bits_of_float(1e39) == bits(math.inf)
    assert bits_of_float(-1e39) == bits(-math.inf)
    reference = replace(int8_reference(), output_scale=3e38)
    assert agreement(reference, [Observation(-128, 127, 0, 0)]).converted == 0


def as_json(reference: Reference) -> dict[str, object]:
    data = dict(reference.__dict__)
    return {"schema": "tinyml-toolchain/reference/1", "type": data.pop("kind"), **data}


def test_a_reference_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(as_json(int8_reference())))
    assert read_reference(path) == int8_reference()
    floats = as_json(float_reference())
    for name in ("inputs", "tflm", "litert"):
        floats[name] = [f"0x{value:08x}" for value in floats[name]]  # type: ignore[attr-defined]
    path.write_text(json.dumps(floats))
    assert read_reference(path) == float_reference()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other/1"},
        {"type": "int4"},
        {"tflm": [1]},
        {"inputs": [], "tflm": [], "litert": []},
        {"judge": None, "inputs": None},
        {"judge": None},
        {"model": 1},
        {"model_sha256": []},
        {"tflm": ["1"] * 256},
        {"tflm": [True] * 256},
        {"litert": [128] * 256},
        {"tflm": [None] * 256},
        {"input_scale": None},
        {"input_scale": 0.0},
        {"output_scale": math.nan},
        {"output_scale": "0.1"},
        {"output_zero_point": 0.5},
        {"type": "float"},
        {"type": ["int8"]},
    ],
)
def test_a_malformed_reference_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(as_json(int8_reference()) | change))
    with pytest.raises(VerificationError, match=r"reference\.json cannot be used"):
        read_reference(path)


@pytest.mark.parametrize("digits", ["-0x1", "0x1ffffffff", "0x7fc00000", "0x7f800000", "1", ""])
def test_bits_that_are_no_finite_input_are_refused(tmp_path: Path, digits: str) -> None:
    path = tmp_path / "reference.json"
    one = {"inputs": [digits], "tflm": ["0x00000000"], "litert": ["0x00000000"]}
    path.write_text(json.dumps(as_json(float_reference()) | one))
    with pytest.raises(VerificationError, match=r"reference\.json cannot be used"):
        read_reference(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "1", '"a text"', "[" * 100_000, "{}", "\0", '{"schema": 1}']
)
def test_another_document_is_no_reference(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(text)
    with pytest.raises(VerificationError, match=r"reference\.json cannot be used") as caught:
        read_reference(path)
    assert caught.value.why


def test_a_missing_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError):
        read_reference(tmp_path / "nothing.json")
