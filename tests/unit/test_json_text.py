from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulator import Inference
from toolchain.json_text import json_text
from toolchain.reference import documents
from toolchain.verification import cases


def strict(text: str) -> Any:
    def refused(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refused)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(DOCUMENTS)
def test_any_document_is_json_and_the_same_where_it_is_finite(document: object) -> None:
    read = strict(json_text(document))
    assert json_text(read) == json_text(document)
    if "NaN" not in json.dumps(document) and "Infinity" not in json.dumps(document):
        assert read == document


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_paths_are_text(number: float) -> None:
    document = {"a": (number, 1.5), "b": {"c": [number]}, "d": Path("/a/b")}
    assert strict(json_text(document, indent=1)) == {
        "a": [None, 1.5],
        "b": {"c": [None]},
        "d": "/a/b",
    }


@pytest.mark.parametrize(
    ("written", "described"),
    [
        (Inference, documents.SimulatedInference),
        (cases.Difference, documents.CaseDifference),
        (cases.Agreement, documents.CaseAgreement),
    ],
)
def test_a_report_has_the_fields_that_its_schema_names(written: type, described: type) -> None:
    names = [[field.name for field in dataclasses.fields(each)] for each in (written, described)]
    assert names[0] == names[1]


def test_the_schema_of_a_verification_takes_what_is_not_finite() -> None:
    difference = cases.Difference(0, "y", 1, math.nan, math.inf, 1 << 32, "ulp")
    agreement = cases.Agreement(1, 0, 2, 1, difference)
    comparison = cases.CaseComparison("m", "0" * 64, "a judge", agreement, {"another": "no"})
    verified = {
        "schema": "tinyml-toolchain/verify/1",
        "target": "a_board",
        "model": "m",
        "build_type": "release",
        "passed": comparison.passed,
        "image_sha256": "0" * 64,
        "instructions": (1,),
        "cases": comparison.as_json(),
    }
    document = {"schema": "tinyml-toolchain/verifications/1", "verifications": [verified]}
    read = strict(json_text(document))
    largest = read["verifications"][0]["cases"]["firmware"]["largest"]
    assert (largest["expected"], largest["computed"]) == (None, None)
    Draft202012Validator(dict(documents.document_schema("verifications"))).validate(read)
