"""Training and conversion in the real TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from toolchain.layout import Layout

PYTHON = ("/opt/venv/bin/python", "-B", "-c")

FIT = """
import json
from model.runtime import deterministic_tensorflow
tf = deterministic_tensorflow()
from model.data import make_sine_data
from model.network import sine_network
from model.training import sample_orders, train_network
data, epochs = make_sine_data(5), 3
def column(values):
    return values.reshape(-1, 1)
def fresh(layers):
    tf.keras.utils.set_random_seed(5)
    return sine_network(layers)
found = {}
for layers in (1, 2):
    ours, theirs = fresh(layers), fresh(layers)
    first = [weight.tobytes() for weight in ours.get_weights()]
    history = train_network(ours, data, seed=5, epochs=epochs)
    losses = []
    for order in sample_orders(5, len(data.x_train), epochs):
        done = theirs.fit(
            column(data.x_train)[order], column(data.y_train)[order], batch_size=16, shuffle=False,
            validation_data=(column(data.x_validation), column(data.y_validation)),
            validation_batch_size=200, verbose=0,
        )
        losses.append([done.history[name][0] for name in ("loss", "mae", "val_loss", "val_mae")])
    trained = [weight.tobytes() for weight in ours.get_weights()]
    found[layers] = {
        "moved": trained != first,
        "same": trained == [weight.tobytes() for weight in theirs.get_weights()],
        "ours": [list(vars(epoch).values()) for epoch in history],
        "theirs": losses,
    }
open("/out/found.json", "w").write(json.dumps(found))
"""

DYNAMIC = """
import json
from model.runtime import deterministic_tensorflow
tf = deterministic_tensorflow()
import keras
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
found = {}
for name, network in (("small", sine_network(2)), ("large", large)):
    # A bias of zeros would be left out.
    network.set_weights([weight + 0.125 for weight in network.get_weights()])
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


def test_training_gives_the_weights_of_plain_fit_bit_for_bit(run_python: RunPython) -> None:
    found = run_python(FIT)
    assert set(found) == {"1", "2"}
    for network in found.values():
        assert network["moved"]
        assert network["same"]
        for ours, theirs in zip(network["ours"], network["theirs"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)


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
