"""Users' ``.keras`` files, in the real image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.cases import model_inputs, model_outputs
from model.graph import read_graph
from tests.conftest import RunInImage, RunSteps
from tests.containers.model_bench import ModelBench
from toolchain.errors import UnsupportedModelError, UnusableDataError
from toolchain.model_choice import chosen_model
from toolchain.pipeline import Pipeline

NETWORKS = ("two_inputs", "sequential", "with_lambda", "any_size", "without_kernel")
GENERATOR = np.random.default_rng(4)

Convert = Callable[..., bytes]


@pytest.fixture
def convert(
    pipeline: Pipeline,
    run_steps: RunSteps,
    run_in_image: RunInImage,
    train_image: str,
    tmp_path: Path,
) -> Convert:
    assert pipeline.train_image == train_image
    bench = ModelBench(pipeline, run_steps, run_in_image)
    names = [f"{name}.keras" for name in NETWORKS]
    (made,) = bench.known(bench.script("model_networks", ["/out"], names)).values()

    def convert(name: str, **representative: object) -> bytes:
        file = tmp_path / f"{name}.keras"
        file.write_bytes(made[f"{name}.keras"])
        data = ""
        if representative:
            data = str(tmp_path / "data.npz")
            np.savez(data, **representative)  # type: ignore[arg-type]
        step = pipeline.models.convert_network(chosen_model(str(file), data))
        (files,) = bench.known(step).values()
        return files[f"{name}.tflite"]

    return convert


def samples(*shape: int) -> object:
    return GENERATOR.uniform(-1, 1, (100, *shape))


def test_a_network_of_several_inputs_and_outputs_is_quantised_throughout(convert: Convert) -> None:
    graph = read_graph(convert("two_inputs", image=samples(12, 12, 1), numbers=samples(2)))
    assert {(each.type, each.shape) for each in model_inputs(graph)} == {
        ("INT8", (1, 12, 12, 1)),
        ("INT8", (1, 2)),
    }
    assert {(each.type, each.shape) for each in model_outputs(graph)} == {
        ("INT8", (1, 3)),
        ("INT8", (1, 1)),
    }
    assert {each.type for each in graph.tensors} <= {"INT8", "INT32"}


def test_a_network_without_representative_data_stays_float(convert: Convert) -> None:
    graph = read_graph(convert("two_inputs"))
    computed = {each.type for each in (*model_inputs(graph), *model_outputs(graph))}
    assert computed == {"FLOAT32"}


def test_a_missing_input_is_refused_by_name(convert: Convert) -> None:
    with pytest.raises(UnusableDataError, match="numbers"):
        convert("two_inputs", image=samples(12, 12, 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("with_lambda", "cannot be loaded as a Keras model"),
        ("any_size", "open shape"),
        ("without_kernel", "the model uses ELU"),
    ],
)
def test_a_network_that_the_tree_cannot_compute_is_refused(
    convert: Convert, name: str, message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        convert(name)
    assert caught.value.next_step
