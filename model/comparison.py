"""Compares the networks in Keras with their conversions on LiteRT and TensorFlow Lite Micro."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from model.data import Column
from model.embedding import scalar_quantisation
from model.errors import UnsupportedModelError
from model.files import json_text
from model.graph import read_graph
from model.reference import (
    Run,
    float_inputs,
    int8_inputs,
    litert_runner,
    real_values,
    tflm_runner,
)
from model.support import require_scalar_function, require_support

COMPARISON_SCHEMA = "tinyml-toolchain/comparison/1"

Form: TypeAlias = Literal["keras", "float", "dynamic", "int8"]
Runtime: TypeAlias = Literal["Keras", "LiteRT", "TFLM"]
Predict: TypeAlias = Callable[[Column], Column]

_PACKAGES: Mapping[Runtime, str] = {
    "Keras": "keras",
    "LiteRT": "ai-edge-litert",
    "TFLM": "tflite-micro",
}


@dataclass(frozen=True)
class Errors:
    """How far some predictions are from the values wanted.

    Attributes:
        mse: mean of the squared differences.
        mae: mean of the absolute differences.
        largest: the largest absolute difference.
    """

    mse: float
    mae: float
    largest: float


@dataclass(frozen=True)
class Outcome:
    """What one network, in one form, on one runtime gives.

    Attributes:
        network: ``model_1`` or ``model_2``.
        form: ``keras``, or what the ``.tflite`` file holds.
        runtime: what computed it.
        test: predictions for the test samples, shape ``(n,)``.
        grid: predictions for the grid, shape ``(m,)``.
    """

    network: str
    form: Form
    runtime: Runtime
    test: Column
    grid: Column


@dataclass(frozen=True)
class Int8Outputs:
    """Outputs of the int8 model for all 256 inputs, as its own numbers.

    Attributes:
        inputs: from -128 to 127.
        x: what they stand for, in radians.
        output_scale: real size of one step of the outputs.
    """

    inputs: tuple[int, ...]
    x: tuple[float, ...]
    tflm: tuple[int, ...]
    litert: tuple[int, ...]
    output_scale: float

    def differences(self) -> tuple[tuple[int, float, int, int], ...]:
        """Return input, x, TFLM's output and LiteRT's where the two outputs are not the same."""
        rows = zip(self.inputs, self.x, self.tflm, self.litert, strict=True)
        return tuple(row for row in rows if row[2] != row[3])


@dataclass(frozen=True)
class Comparison:
    """All outcomes on the same inputs.

    Attributes:
        x_test: inputs of the test samples in radians.
        y_test: their noisy values.
        x_grid: 1,000 inputs at equal distances over one period, those of ``hello_world_test``.
        outcomes: Keras' own first, for each network.
        int8: the int8 model's outputs, number for number.
        versions: of the runtimes.
    """

    x_test: Column
    y_test: Column
    x_grid: Column
    outcomes: tuple[Outcome, ...]
    int8: Int8Outputs
    versions: Mapping[str, str]

    def find(self, network: str, form: Form, runtime: Runtime) -> Outcome:
        """Return one outcome.

        Raises:
            KeyError: there is none.
        """
        for outcome in self.outcomes:
            if (outcome.network, outcome.form, outcome.runtime) == (network, form, runtime):
                return outcome
        raise KeyError(f"{network} as {form} on {runtime} was not compared")

    def test_errors(self, outcome: Outcome) -> Errors:
        """Return the errors against the noisy test samples."""
        return errors(outcome.test, self.y_test)

    def grid_errors(self, outcome: Outcome) -> Errors:
        """Return the errors against sin x on the grid."""
        return errors(outcome.grid, np.sin(self.x_grid.astype(np.float64)))

    def distance_from_keras(self, outcome: Outcome) -> float:
        """Return the largest difference from the same network in Keras, on test set and grid."""
        keras = self.find(outcome.network, "keras", "Keras")
        pairs = ((outcome.test, keras.test), (outcome.grid, keras.grid))
        return max(errors(mine, theirs).largest for mine, theirs in pairs)


def errors(predicted: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Errors:
    """Return how far ``predicted`` is from ``wanted``; both of shape ``(n,)``, n at least 1."""
    difference = np.abs(predicted.astype(np.float64) - wanted.astype(np.float64))
    return Errors(
        float(np.mean(np.square(difference))),
        float(np.mean(difference)),
        float(np.max(difference)),
    )


def compare(
    networks: Mapping[str, Predict],
    models: Mapping[Form, bytes],
    test: tuple[Column, Column],
) -> Comparison:
    """Run everything on the test samples and on the grid.

    Args:
        networks: Keras' predictions by the network's name.
        models: the ``.tflite`` files of ``model_2``, ``int8`` among them. One that the pinned tree
            cannot compute is run by LiteRT alone.
        test: inputs and noisy values of the test samples.

    Raises:
        UnsupportedModelError: a model is not one from a number to a number, both int8 or float32.
    """
    (x_test, y_test), grid = test, float_inputs()
    predictors = _predictors(networks, models)
    return Comparison(
        x_test=x_test,
        y_test=y_test,
        x_grid=grid,
        outcomes=tuple(
            Outcome(network, form, runtime, predict(x_test), predict(grid))
            for network, form, runtime, predict in predictors
        ),
        int8=_int8_outputs(models["int8"]),
        versions={name: importlib.metadata.version(it) for name, it in _PACKAGES.items()},
    )


def _predictors(
    networks: Mapping[str, Predict], models: Mapping[Form, bytes]
) -> Iterator[tuple[str, Form, Runtime, Predict]]:
    for name, predict in networks.items():
        yield name, "keras", "Keras", predict
    for form, tflite in models.items():
        yield "model_2", form, "LiteRT", tflite_predictor(tflite, litert_runner(tflite))
        try:
            require_support(read_graph(tflite))
        except UnsupportedModelError:
            continue
        yield "model_2", form, "TFLM", tflite_predictor(tflite, tflm_runner(tflite))


def keras_predictor(network: Any) -> Predict:
    """Return a function from x to y, both of shape ``(n,)``, that runs a network in one batch."""

    def predict(x: Column) -> Column:
        outputs: Column = network(x.reshape(-1, 1), training=False).numpy().reshape(-1)
        return outputs

    return predict


def tflite_predictor(tflite: bytes, run: Run) -> Predict:
    """Return a function from x to y that quantises and back as the model asks for.

    Raises:
        UnsupportedModelError: the model is not one from a number to a number.
    """
    graph = read_graph(tflite)
    require_scalar_function(graph)
    source, sink = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]

    def predict(x: Column) -> Column:
        raw = quantised(x, *scalar_quantisation(source)).reshape(-1, *source.shape)
        outputs = np.array([run(value).reshape(()) for value in raw])
        return real_values(outputs, *scalar_quantisation(sink)).astype(np.float32)

    return predict


def quantised(
    x: Column, scale: float | None, zero_point: int | None
) -> npt.NDArray[np.int8] | Column:
    """Return the nearest int8 numbers, clipped to -128..127; ``x`` itself without a scale.

    Args:
        x: real numbers, of any shape.
        scale: what one step stands for; None for a tensor of floats.
        zero_point: the int8 number that stands for 0, -128 to 127.
    """
    if scale is None or zero_point is None:
        return x
    numbers: npt.NDArray[Any] = np.clip(np.round(x / scale) + zero_point, -128, 127)
    return numbers.astype(np.int8)


def _int8_outputs(tflite: bytes) -> Int8Outputs:
    graph = read_graph(tflite)
    source, sink = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    raw = int8_inputs()
    shaped = raw.reshape(-1, *source.shape)
    scale, _ = scalar_quantisation(sink)
    assert scale is not None

    def outputs(run: Run) -> tuple[int, ...]:
        return tuple(int(run(value).reshape(())) for value in shaped)

    return Int8Outputs(
        inputs=tuple(int(value) for value in raw),
        x=tuple(float(x) for x in real_values(raw, *scalar_quantisation(source))),
        tflm=outputs(tflm_runner(tflite)),
        litert=outputs(litert_runner(tflite)),
        output_scale=scale,
    )


def comparison_text(comparison: Comparison) -> str:
    """Return ``comparison.json``: inputs, predictions, errors, and the int8 outputs."""

    def listed(values: Column) -> list[float]:
        return [float(value) for value in values]

    return json_text(
        {
            "schema": COMPARISON_SCHEMA,
            "versions": dict(comparison.versions),
            "x_test": listed(comparison.x_test),
            "y_test": listed(comparison.y_test),
            "x_grid": listed(comparison.x_grid),
            "outcomes": [
                {
                    "network": outcome.network,
                    "form": outcome.form,
                    "runtime": outcome.runtime,
                    "test": listed(outcome.test),
                    "grid": listed(outcome.grid),
                    "test_errors": vars(comparison.test_errors(outcome)),
                    "grid_errors": vars(comparison.grid_errors(outcome)),
                    "distance_from_keras": comparison.distance_from_keras(outcome),
                }
                for outcome in comparison.outcomes
            ],
            "int8": vars(comparison.int8),
        }
    )


def read_comparison(text: str) -> Comparison:
    """Read what ``comparison_text`` wrote.

    Raises:
        ValueError: it is no such file.
        KeyError: a part is missing.
    """
    found: dict[str, Any] = json.loads(text)
    if found.get("schema") != COMPARISON_SCHEMA:
        raise ValueError(f"not a {COMPARISON_SCHEMA} file: {found.get('schema')}")

    def column(values: list[float]) -> Column:
        return np.array(values, dtype=np.float32)

    int8 = found["int8"]
    return Comparison(
        x_test=column(found["x_test"]),
        y_test=column(found["y_test"]),
        x_grid=column(found["x_grid"]),
        outcomes=tuple(
            Outcome(
                each["network"],
                each["form"],
                each["runtime"],
                column(each["test"]),
                column(each["grid"]),
            )
            for each in found["outcomes"]
        ),
        int8=Int8Outputs(
            inputs=tuple(int8["inputs"]),
            x=tuple(int8["x"]),
            tflm=tuple(int8["tflm"]),
            litert=tuple(int8["litert"]),
            output_scale=int8["output_scale"],
        ),
        versions=found["versions"],
    )
