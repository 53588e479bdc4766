from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import VerificationError
from toolchain.verification.cases import (
    CASES_SCHEMA,
    CaseReference,
    Opinion,
    OutputTensor,
    compare_cases,
    read_case_reference,
    require_cases_passed,
)
from toolchain.verification.sine import bits_of_float


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def next_float(value: float, steps: int) -> float:
    (moved,) = struct.unpack("<f", struct.pack("<I", bits_of_float(value) + steps))
    return float(moved)


INT8 = OutputTensor("classes", "INT8")
FLOAT = OutputTensor("scores", "FLOAT32")
JUDGED = ((b"\x01\xff", floats(0.5, 1.0)), (b"\x7f\x80", floats(-2.0, 0.25)))
REFERENCE = CaseReference(
    model="m",
    model_sha256="0" * 64,
    judge="a judge",
    outputs=(INT8, FLOAT),
    judged=JUDGED,
    opinions={"another": Opinion(JUDGED, ""), "a third": Opinion(None, "it has no such kernel")},
)


def with_output(case: int, output: int, data: bytes) -> list[list[bytes]]:
    computed = [list(outputs) for outputs in JUDGED]
    computed[case][output] = data
    return computed


def test_equal_outputs_pass() -> None:
    comparison = compare_cases(REFERENCE, JUDGED)
    assert comparison.passed
    require_cases_passed(comparison)
    firmware = comparison.firmware
    assert (firmware.cases, firmware.equal, firmware.values, firmware.equal_values) == (2, 2, 8, 8)
    assert firmware.largest is None
    assert comparison.opinions["another"] == firmware
    assert comparison.opinions["a third"] == "it has no such kernel"


@given(st.integers(0, 1), st.integers(0, 1), st.integers(-128, 127))
def test_any_other_integer_fails_and_is_located(case: int, element: int, value: int) -> None:
    expected = struct.unpack("2b", JUDGED[case][0])
    changed = list(expected)
    changed[element] = value
    comparison = compare_cases(REFERENCE, with_output(case, 0, struct.pack("2b", *changed)))
    assert comparison.passed == (value == expected[element])
    if comparison.passed:
        return
    found = comparison.firmware.largest
    assert found is not None
    assert (found.case, found.output, found.element) == (case, "classes", element)
    assert (found.computed, found.expected) == (value, expected[element])
    assert found.amount == abs(value - expected[element])
    assert comparison.firmware.equal == 1
    with pytest.raises(VerificationError, match=rf"case {case}, output classes\[{element}\]"):
        require_cases_passed(comparison)


@given(st.integers(0, 1000))
def test_any_other_float_fails(ulps: int) -> None:
    computed = with_output(1, 1, floats(-2.0, next_float(0.25, ulps)))
    comparison = compare_cases(REFERENCE, computed)
    assert comparison.passed == (ulps == 0)
    if ulps == 0:
        return
    assert comparison.firmware.equal_values == 7
    assert comparison.firmware.largest is not None
    assert (comparison.firmware.largest.amount, comparison.firmware.largest.unit) == (ulps, "ulp")
    with pytest.raises(VerificationError, match=r"scores\[1\].* units? in the last place apart"):
        require_cases_passed(comparison)


def test_one_not_a_number_is_as_good_as_another_and_far_from_any_number() -> None:
    nan, other = struct.pack("<I", 0x7FC00000), struct.pack("<I", 0xFFC00001)
    judged = ((b"\x01\xff", nan + nan), JUDGED[1])
    reference = dataclasses.replace(REFERENCE, judged=judged)
    assert compare_cases(reference, ((b"\x01\xff", other + nan), JUDGED[1])).passed
    assert not compare_cases(reference, JUDGED).passed
    assert not compare_cases(REFERENCE, judged).passed


@pytest.mark.parametrize(
    "computed",
    [
        [],
        JUDGED[:1],
        [*JUDGED, JUDGED[0]],
        with_output(0, 0, b"\x01"),
        [outputs[:1] for outputs in JUDGED],
    ],
)
def test_a_missing_case_or_byte_is_an_error(computed: list[list[bytes]]) -> None:
    with pytest.raises(VerificationError, match="have other sizes"):
        compare_cases(REFERENCE, computed)


def document(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "schema": CASES_SCHEMA,
        "model": "m",
        "model_sha256": "0" * 64,
        "judge": "a judge",
        "outputs": [{"name": "classes", "type": "INT8"}, {"name": "scores", "type": "FLOAT32"}],
        "judged": [[data.hex() for data in case] for case in JUDGED],
        "opinions": {
            "another": {
                "outputs": [[data.hex() for data in case] for case in JUDGED],
                "refusal": "",
            },
            "a third": {"outputs": None, "refusal": "it has no such kernel"},
        },
    }
    return fields | changes


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(document()))
    assert read_case_reference(path) == REFERENCE


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "tinyml-toolchain/reference/1"},
        {"judged": []},
        {"judged": [["01ff"]]},
        {"judged": [["xy", "00"]]},
        {"outputs": None},
        {"opinions": {"another": {}}},
        {"opinions": []},
        {"opinions": {"another": {"outputs": [], "refusal": ""}}},
        {"opinions": {"another": {"outputs": None, "refusal": None}}},
        {"outputs": [{"name": "classes", "type": "INT4"}, {"name": "scores", "type": "FLOAT32"}]},
        {"outputs": [{"name": "classes", "type": "INT32"}, {"name": "scores", "type": "INT64"}]},
        {"outputs": [{"name": 1, "type": "INT8"}, {"name": "scores", "type": "FLOAT32"}]},
        {"judged": [["01ff", "0000803f00"]]},
        {"judged": [[1, 2]]},
        {"judge": None},
    ],
)
def test_a_reference_that_cannot_be_used_is_an_error(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(document(**changes)))
    with pytest.raises(VerificationError, match="cannot be used as reference"):
        read_case_reference(path)
