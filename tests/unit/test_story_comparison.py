from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.comparison import (
    Comparison,
    Errors,
    Int8Outputs,
    Outcome,
    comparison_text,
    errors,
    quantised,
    read_comparison,
)
from model.data import Column

VALUES = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=30)


def column(*values: float) -> Column:
    return np.array(values, dtype=np.float32)


def comparison() -> Comparison:
    return Comparison(
        x_test=column(0.5, 1.5),
        y_test=column(0.25, 1.0),
        x_grid=column(0.0, 1.0, 2.0),
        outcomes=(
            Outcome("model_2", "keras", "Keras", column(0.5, 1.0), column(0.0, 0.8, 0.9)),
            Outcome("model_2", "int8", "TFLM", column(0.25, 0.75), column(0.125, 0.8, 0.9)),
        ),
        int8=Int8Outputs((-128, -127), (0.0, 0.025), (4, 7), (4, 6), 0.0078125),
        versions={"Keras": "3", "LiteRT": "2", "TFLM": "1"},
    )


@given(VALUES)
def test_errors_are_those_of_the_plain_formulas(values: list[float]) -> None:
    wanted = [value / 2 for value in values]
    found = errors(column(*values), np.array(wanted))
    differences = [abs(value - half) for value, half in zip(values, wanted, strict=True)]
    assert found.largest == max(differences)
    assert found.mae == pytest.approx(math.fsum(differences) / len(values))
    assert found.mse == pytest.approx(math.fsum(d * d for d in differences) / len(values))


def test_each_outcome_is_judged_by_the_samples_by_sine_and_by_keras() -> None:
    compared = comparison()
    int8 = compared.find("model_2", "int8", "TFLM")
    assert compared.test_errors(int8) == Errors(0.03125, 0.125, 0.25)
    assert compared.grid_errors(int8).largest == pytest.approx(0.125)
    assert compared.distance_from_keras(int8) == 0.25


def test_an_outcome_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="model_1 as float on LiteRT"):
        comparison().find("model_1", "float", "LiteRT")


@given(
    st.lists(st.floats(-300, 300, width=32), min_size=1),
    st.floats(1e-3, 1.0),
    st.integers(-128, 127),
)
def test_quantised_numbers_are_the_nearest_that_int8_has(
    values: list[float], scale: float, zero_point: int
) -> None:
    numbers = quantised(column(*values), scale, zero_point)
    assert numbers.dtype == np.int8
    for value, number in zip(values, numbers, strict=True):
        best = min(abs(value - (q - zero_point) * scale) for q in range(-128, 128))
        off = abs(value - (int(number) - zero_point) * scale)
        assert off <= best + 1e-5 * max(1.0, abs(value))


def test_a_float_tensor_is_not_quantised() -> None:
    x = column(0.1, 0.2)
    assert quantised(x, None, None) is x


def test_only_unequal_int8_outputs_are_differences() -> None:
    assert comparison().int8.differences() == ((-127, 0.025, 7, 6),)


def test_what_was_written_is_read_with_every_bit() -> None:
    text = comparison_text(comparison())
    assert comparison_text(read_comparison(text)) == text
    assert read_comparison(text).int8 == comparison().int8


def test_the_file_holds_the_errors_too() -> None:
    found = json.loads(comparison_text(comparison()))
    assert found["outcomes"][1]["test_errors"] == {"mse": 0.03125, "mae": 0.125, "largest": 0.25}
    assert found["outcomes"][1]["distance_from_keras"] == 0.25


def test_a_file_of_another_schema_is_refused() -> None:
    text = comparison_text(comparison()).replace("comparison/1", "comparison/9")
    with pytest.raises(ValueError, match="comparison/9"):
        read_comparison(text)
