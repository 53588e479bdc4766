from __future__ import annotations

import dataclasses
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.embedding import check_model, embedded_files
from model.errors import UnsupportedModelError
from model.graph import Quantisation, operator_name, read_graph
from tests.unit import model_support as fb
from tests.unit.model_support import changed

INT8 = fb.int8_dense()
FLOAT = fb.float_dense()
FILES = [INT8.tflite(), FLOAT.tflite()]


def refusal(file: bytes) -> UnsupportedModelError:
    with pytest.raises(UnsupportedModelError) as caught:
        read_graph(file)
    return caught.value


def test_a_model_is_read_as_it_was_written() -> None:
    graph = read_graph(FILES[0])
    assert [each.name for each in graph.tensors] == ["x", "kernel", "bias", "y"]
    assert [each.type for each in graph.tensors] == ["INT8", "INT8", "INT32", "INT8"]
    assert [each.shape for each in graph.tensors] == [(1, 1), (1, 1), (1,), (1, 1)]
    assert [each.is_constant for each in graph.tensors] == [False, True, True, False]
    assert graph.tensors[1].data.data == bytes([100])
    assert FILES[0][graph.tensors[2].data.position :][:4] == (5000).to_bytes(4, "little")
    scale = struct.unpack("<f", fb.floats(0.02))
    assert graph.tensors[1].quantisation == Quantisation(scale, (0,), 0)
    assert (graph.inputs, graph.outputs) == ((0,), (3,))
    (operator,) = graph.operators
    assert (operator.name, operator.version) == ("FULLY_CONNECTED", 4)
    assert (operator.inputs, operator.outputs) == ((0, 1, 2), (3,))
    assert graph.operator_versions() == (("FULLY_CONNECTED", 4),)


def test_a_float_tensor_has_no_quantisation() -> None:
    assert {each.quantisation for each in read_graph(FILES[1]).tensors} == {None}


def test_each_pair_of_operator_and_version_is_named_once() -> None:
    relu, dense = fb.Operator(fb.RELU, (3,), (3,)), FLOAT.operators[0]
    newer = dataclasses.replace(dense, version=2)
    model = dataclasses.replace(FLOAT, operators=[dense, relu, newer, relu, dense])
    assert read_graph(model.tflite()).operator_versions() == (
        ("FULLY_CONNECTED", 1),
        ("RELU", 1),
        ("FULLY_CONNECTED", 2),
    )


@pytest.mark.parametrize("file", FILES, ids=["int8", "float"])
def test_every_truncation_is_refused_as_damage(file: bytes) -> None:
    # The end of the file is the end of the last tensor's buffer table, which holds nothing.
    last = len(file) - 4
    for length in range(last):
        assert "not a readable" in refusal(file[:length]).what


@pytest.mark.parametrize("file", FILES, ids=["int8", "float"])
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_refused_or_harmless(file: bytes, flip: int) -> None:
    for place in range(len(file)):
        damaged = bytearray(file)
        damaged[place] ^= flip
        with suppress(UnsupportedModelError):
            embedded_files(check_model("m", bytes(damaged)))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.integers(0, 1000), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_overwritten_stretches_are_refused_or_harmless(
    file: bytes, stretches: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(file)
    for place, noise in stretches:
        start = place % len(file)
        damaged[start : start + len(noise)] = noise
    with suppress(UnsupportedModelError):
        embedded_files(check_model("m", bytes(damaged)))


@pytest.mark.parametrize(
    "file", [b"", b"no model", b"\x08\0\0\0TFL3", b"\x1c\0\0\0TFL2" + bytes(99)]
)
def test_another_file_is_refused_with_the_cure(file: bytes) -> None:
    error = refusal(file)
    assert error.what == "the model is not a readable TensorFlow Lite file"
    assert error.why
    assert "TensorFlow's converter" in error.next_step


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (dataclasses.replace(FLOAT, schema_version=2), "schema version 2"),
        (dataclasses.replace(FLOAT, copies_of_subgraph=2), "2 subgraphs"),
        (dataclasses.replace(FLOAT, copies_of_subgraph=0), "0 subgraphs"),
    ],
)
def test_what_the_interpreter_does_not_read_is_refused(model: fb.Model, what: str) -> None:
    assert what in refusal(model.tflite()).what


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"inputs": (4,)}, "names tensor 4 of 4"),
        ({"outputs": (-1,)}, "names tensor -1 of 4"),
        ({"operators": [fb.Operator(fb.RELU, (0,), (4,))]}, "names tensor 4 of 4"),
        ({"operators": [fb.Operator(fb.RELU, (4,), (3,))]}, "RELU reads tensor 4 of 4"),
        ({"operators": [fb.Operator(fb.RELU, (-2,), (3,))]}, "RELU reads tensor -2 of 4"),
    ],
)
def test_an_index_that_leads_nowhere_is_refused(fields: dict[str, object], why: str) -> None:
    model = dataclasses.replace(FLOAT, **fields)  # type: ignore[arg-type]
    assert why in refusal(model.tflite()).why


def root_with(number: int, value: fb.Value) -> bytes:
    return fb.flatbuffer(fb.Table({**FLOAT.root().fields, number: value}))


def test_a_buffer_or_operator_code_that_is_missing_is_refused() -> None:
    assert "buffer 2 of 2" in refusal(root_with(4, fb.Tables([fb.Table()] * 2))).why
    assert "code 0 of 0" in refusal(root_with(1, fb.Tables([]))).why


def test_content_behind_the_flatbuffer_is_refused() -> None:
    behind = fb.Table({1: fb.Scalar("Q", 4096), 2: fb.Scalar("Q", 4)})
    error = refusal(root_with(4, fb.Tables([fb.Table()] + [behind] * 4)))
    assert "stands behind the flatbuffer" in error.what


def code_table(old: int, new: int | None) -> bytes:
    number = None if new is None else fb.i32(new)
    return root_with(1, fb.Tables([fb.Table({0: fb.i8(old), 3: number})]))


def test_an_old_file_has_the_operator_code_in_the_first_field_only() -> None:
    assert read_graph(code_table(fb.FULLY_CONNECTED, None)).operators[0].name == "FULLY_CONNECTED"


def test_a_known_operator_that_the_first_field_does_not_name_is_refused() -> None:
    error = refusal(code_table(0, fb.FULLY_CONNECTED))
    assert error.what.startswith("the operator code of FULLY_CONNECTED stands in the newer field")


def test_a_code_beyond_a_byte_is_read_from_the_newer_field() -> None:
    name = read_graph(code_table(127, 200)).operators[0].name
    assert name == operator_name(200)
    assert name not in {operator_name(127), "FULLY_CONNECTED"}


def test_a_custom_operator_is_named_by_its_own_name() -> None:
    custom = fb.Operator(fb.CUSTOM, (0,), (3,), custom="TFLite_Detection")
    model = dataclasses.replace(FLOAT, operators=[custom])
    assert read_graph(model.tflite()).operators[0].name == "CUSTOM TFLite_Detection"


def test_an_unknown_type_is_named_by_its_number() -> None:
    table = FLOAT.tensors[0].table(1)
    unknown = fb.Table({**table.fields, 1: fb.i8(99)})
    subgraph = fb.Table({0: fb.Tables([unknown]), 1: fb.ints([]), 2: fb.ints([]), 3: fb.Tables([])})
    (tensor,) = read_graph(root_with(2, fb.Tables([subgraph]))).tensors
    assert (tensor.type, tensor.element_bytes) == ("type 99", None)


def test_a_tensor_without_a_name_is_named_by_its_number() -> None:
    names = [each.name for each in read_graph(changed(FLOAT, 1, name="").tflite()).tensors]
    assert names == ["x", "number 1", "bias", "y"]


def test_variables_sparsity_and_open_shapes_are_seen() -> None:
    model = changed(FLOAT, 0, variable=True, sparse=True, open_shape=(-1, 1))
    first, second, *_ = read_graph(model.tflite()).tensors
    assert (first.is_variable, first.is_sparse, first.open_shape) == (True, True, (-1, 1))
    assert (second.is_variable, second.is_sparse, second.open_shape) == (False, False, ())


def test_a_shape_signature_without_an_open_dimension_is_no_open_shape() -> None:
    assert read_graph(changed(FLOAT, 0, open_shape=(1, 1)).tflite()).tensors[0].open_shape == ()


@given(st.lists(st.integers(0, 9), max_size=5))
def test_elements_are_the_product_of_the_dimensions(shape: list[int]) -> None:
    product = 1
    for size in shape:
        product *= size
    tensor = read_graph(changed(FLOAT, 0, shape=shape).tflite()).tensors[0]
    assert tensor.elements == product
