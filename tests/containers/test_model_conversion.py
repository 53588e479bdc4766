"""Conversion, embedding and references in the real image; models of other makers."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import pytest

from model.embedding import check_model, embedded_files
from model.graph import Graph, Tensor, read_graph
from tests.containers.model_bench import ModelBench
from tests.unit.model_support import float_dense, int8_dense
from toolchain.errors import UnsupportedModelError
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.verification.sine import Reference, float_of_bits, read_reference

_INSPECT = """
import json, sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], experimental_preserve_all_tensors=True)
def told(tensor):
    parameters = tensor["quantization_parameters"]
    return {
        "name": tensor["name"], "type": tensor["dtype"].__name__, "shape": tensor["shape"].tolist(),
        "scales": parameters["scales"].tolist(), "zero_points": parameters["zero_points"].tolist(),
    }
print(json.dumps({
    "tensors": [told(each) for each in interpreter.get_tensor_details()],
    "inputs": [each["index"] for each in interpreter.get_input_details()],
    "outputs": [each["index"] for each in interpreter.get_output_details()],
}), file=open("/out/told.json", "w"))
"""


def test_a_conversion_gives_the_same_bytes_again(bench: ModelBench) -> None:
    sine = bench.sine()
    inputs = {"sine_keras": sine["sine.keras"], "data_npz": sine["data.npz"]}
    again = bench.fresh(bench.pipeline.models.convert("sine"), **inputs)
    assert set(again) == {"sine_float.tflite", "sine_int8.tflite"}
    assert again == {name: sine[name] for name in again}


def ends(graph: Graph) -> list[Tensor]:
    return [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]


def test_the_int8_model_is_int8_throughout_with_one_scale_a_tensor(bench: ModelBench) -> None:
    graph = read_graph(bench.sine()["sine_int8.tflite"])
    assert [(each.type, each.shape) for each in ends(graph)] == [("INT8", (1, 1))] * 2
    assert {each.type for each in graph.tensors} == {"INT8", "INT32"}
    assert graph.operator_versions() == (("FULLY_CONNECTED", 4),)
    assert len(graph.operators) == 3
    for tensor in graph.tensors:
        assert tensor.quantisation is not None
        assert len(tensor.quantisation.scales) == 1
        assert tensor.open_shape == ()
    # The whole period is represented, and the sine with it.
    source, result = (each.quantisation for each in ends(graph))
    assert source is not None
    assert result is not None
    assert 6.2 < 255 * source.scales[0] < 2 * math.pi
    assert 1.8 < 255 * result.scales[0] < 2.4


def test_the_float_model_is_float_throughout(bench: ModelBench) -> None:
    graph = read_graph(bench.sine()["sine_float.tflite"])
    assert [(each.type, each.shape) for each in ends(graph)] == [("FLOAT32", (1, 1))] * 2
    assert {(each.type, each.quantisation) for each in graph.tensors} == {("FLOAT32", None)}
    assert len(graph.operators) == 3


TYPES = {"INT8": "int8", "INT32": "int32", "FLOAT32": "float32"}


@pytest.mark.parametrize("name", ["sine_int8", "sine_float", "convolutions"])
def test_a_model_is_read_as_litert_reads_it(bench: ModelBench, name: str) -> None:
    tflite = bench.foreign()[name] if name == "convolutions" else bench.sine()[f"{name}.tflite"]
    made = bench.run_in_image(
        bench.pipeline.train_image,
        ["/opt/venv/bin/python", "-B", "-c", _INSPECT, "model.tflite"],
        {"model.tflite": tflite},
        ["told.json"],
    )
    told = json.loads(made["told.json"])
    graph = read_graph(tflite)
    assert list(graph.inputs) == told["inputs"]
    assert list(graph.outputs) == told["outputs"]
    # LiteRT lists tensors of its own behind those of the file.
    assert 0 < len(graph.tensors) <= len(told["tensors"])
    for tensor, other in zip(graph.tensors, told["tensors"], strict=False):
        scales = tensor.quantisation.scales if tensor.quantisation else ()
        zero_points = tensor.quantisation.zero_points if tensor.quantisation else ()
        assert {
            "name": tensor.name,
            "type": TYPES[tensor.type],
            "shape": list(tensor.shape),
            "scales": pytest.approx(list(scales), rel=1e-9),
            "zero_points": list(zero_points),
        } == other


@pytest.mark.parametrize("name", MODELS)
def test_embedding_gives_the_same_text_in_the_image_and_here(bench: ModelBench, name: str) -> None:
    sine = bench.sine()
    here = embedded_files(check_model(name, sine[f"{name}.tflite"]))
    assert {file: sine[f"{name}/{file}"].decode() for file in here} == here
    assert json.loads(here["model.json"])["arena_bytes"] == 2048


REFUSED = {
    "per_channel": (
        r"FULLY_CONNECTED has 16 scales, one a channel, in tensor \S+/MatMul$",
        "would compute wrong numbers without an error",
        "_experimental_disable_per_channel_quantization_for_dense_layers = True",
    ),
    "hybrid": (
        r"FULLY_CONNECTED is hybrid: FLOAT32, INT8 -> FLOAT32, with weights in tensor \S+/MatMul$",
        "no kernel for float inputs with quantised weights",
        "quantise the whole model to int8 with a representative data set, or not at all",
    ),
    "open_batch": (
        r"tensor serving_default_x:0 has the open shape \[\?,1,1\]$",
        "for fixed sizes",
        r"keras.Input\(batch_shape=\(1, \.\.\.\)\)",
    ),
    "lstm": (
        r"the model has \d subgraphs$",
        "no control flow",
        "without loops and conditions",
    ),
    "elu": (
        "the model uses ELU, version 1$",
        "no kernel for this operator",
        "operators that it has: .*FULLY_CONNECTED",
    ),
    "without_bias": (
        "FULLY_CONNECTED leaves out its optional input 2$",
        "memory planner",
        r"give the layer a bias \(use_bias=True\) that is not zero throughout",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_embedding_refuses_a_model_that_would_not_work_and_tells_the_cure(
    bench: ModelBench, name: str
) -> None:
    what, why, cure = REFUSED[name]
    with pytest.raises(UnsupportedModelError) as caught:
        bench.fresh(bench.embed(bench.foreign()[name]))
    assert re.search(what, caught.value.what), caught.value.what
    assert re.search(why, caught.value.why), caught.value.why
    assert re.search(cure, caught.value.next_step), caught.value.next_step


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("per_channel", "one a channel, in tensor"),
        ("image", r"1 inputs and 1 outputs: serving_default_x:0 INT8\[1,8,8,1\], \S+ INT8\[1,1\]"),
    ],
)
def test_the_references_of_hello_world_refuse_what_it_cannot_run(
    bench: ModelBench, name: str, message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        bench.fresh(bench.reference(bench.foreign()[name]))


def reference(data: bytes, folder: Path) -> Reference:
    path = folder / "reference.json"
    path.write_bytes(data)
    return read_reference(path)


@pytest.mark.parametrize(("name", "count"), [("sine_int8", 256), ("sine_float", 1000)])
def test_a_reference_holds_both_interpreters_outputs_for_every_input(
    bench: ModelBench, pins: Pins, tmp_path: Path, name: str, count: int
) -> None:
    sine = bench.sine()
    made = reference(sine[f"{name}/reference.json"], tmp_path)
    assert (made.model, len(made.inputs)) == (name, count)
    assert len(set(made.inputs)) == count
    assert made.model_sha256 == hashlib.sha256(sine[f"{name}.tflite"]).hexdigest()
    assert made.judge == f"tflite-micro {pins.train.requirements['tflite-micro']}"
    assert len(set(made.tflm)) > count / 4
    # LiteRT rounds differently: it stands beside, and need not be equal.
    differences = [
        abs(made.output_value(one) - made.output_value(other))
        for one, other in zip(made.tflm, made.litert, strict=True)
    ]
    assert max(differences) <= 4 * (made.output_scale or 1e-6)
    errors = [
        abs(made.output_value(got) - math.sin(made.input_value(raw)))
        for raw, got in zip(made.inputs, made.tflm, strict=True)
    ]
    assert max(errors) < 0.12
    if made.kind == "int8":
        assert list(made.inputs) == list(range(-128, 128))
        tensor = ends(read_graph(sine[f"{name}.tflite"]))[0].quantisation
        assert tensor is not None
        assert (made.input_scale, made.input_zero_point) == (
            tensor.scales[0],
            tensor.zero_points[0],
        )
    else:
        assert made.input_scale is None
        assert float_of_bits(made.inputs[500]) == pytest.approx(math.pi)


def test_both_interpreters_compute_a_model_written_by_hand(
    bench: ModelBench, tmp_path: Path
) -> None:
    (made,) = bench.known(bench.reference(float_dense().tflite())).values()
    floats = reference(made["reference.json"], tmp_path)
    expected = [2 * floats.input_value(raw) + 1 for raw in floats.inputs]
    for outputs in (floats.tflm, floats.litert):
        assert [float_of_bits(raw) for raw in outputs] == pytest.approx(expected, rel=1e-7)
    (made,) = bench.known(bench.reference(int8_dense().tflite())).values()
    int8 = reference(made["reference.json"], tmp_path)
    assert int8.tflm == int8.litert
    for raw, got in zip(int8.inputs, int8.tflm, strict=True):
        exact = 2 * int8.input_value(raw) + 1
        assert abs(int8.output_value(got) - exact) <= 0.51 * 0.03
