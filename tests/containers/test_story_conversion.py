"""Conversion in dynamic range by the real TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from toolchain.layout import Layout

PYTHON = ("/opt/venv/bin/python", "-B", "-c")

DYNAMIC = """
import json
from model.runtime import deterministic_tensorflow
tf = deterministic_tensorflow()
import keras, numpy
from model.conversion import convert_dynamic_range, convert_float
from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.network import sine_network
from model.sizes import file_parts
from model.support import require_support
tf.keras.utils.set_random_seed(5)
large = keras.Sequential(
    [keras.Input((1,), name="x")]
    + [keras.layers.Dense(32, activation="relu", name=f"hidden_{i}") for i in (1, 2)]
    + [keras.layers.Dense(1, name="y")]
)
found, generator = {}, numpy.random.default_rng(1)
for name, network in (("small", sine_network(2)), ("large", large)):
    # Biases of zeros would be left out, and equal ones stored once.
    weights = network.get_weights()
    network.set_weights([weight + generator.normal(size=weight.shape) for weight in weights])
    dynamic, whole = convert_dynamic_range(network), convert_float(network)
    found[name] = {"dynamic": vars(file_parts(dynamic)), "float": vars(file_parts(whole))}
    try:
        require_support(read_graph(dynamic))
        found[name]["refused"] = ""
    except UnsupportedModelError as error:
        found[name]["refused"] = error.what
open("/out/found.json", "w").write(json.dumps(found))
"""


def model_files(layout: Layout) -> dict[str, Path | bytes]:
    return {f"model/{path.name}": path for path in (layout.project / "model").glob("*.py")}


Found = dict[str, dict[str, Any]]
RunPython = Callable[[str], Found]


@pytest.fixture
def run_python(
    run_in_image: Callable[..., dict[str, bytes]], train_image: str, layout: Layout
) -> RunPython:
    def run(source: str) -> Found:
        command: Sequence[str] = (*PYTHON, source)
        outputs = run_in_image(train_image, command, model_files(layout), ["found.json"])
        found: Found = json.loads(outputs["found.json"])
        return found

    return run


def test_dynamic_range_leaves_a_small_network_and_makes_a_larger_one_hybrid(
    run_python: RunPython,
) -> None:
    found = run_python(DYNAMIC)
    small, large = found["small"], found["large"]
    assert small["refused"] == ""
    assert small["dynamic"]["quantised_tensors"] == 0
    assert small["dynamic"]["weights"] == small["float"]["weights"] == 4 * (16 + 256 + 16)
    assert small["dynamic"]["biases"] == 4 * 33
    assert "hybrid" in large["refused"]
    assert large["dynamic"]["quantised_tensors"] == 1
    assert large["dynamic"]["largest_weight"] == 1024
    assert large["dynamic"]["weights"] == large["float"]["weights"] - 3 * 1024
