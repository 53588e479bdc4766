"""Files whose parts are missing, lie elsewhere, or are those of something else."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable

import pytest

from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.kernels import KERNELS
from model.limits import LARGEST_ARENA, require_arena
from model.options import OPTIONS
from model.support import require_support
from tests.unit import model_support as fb
from tests.unit.model_support import Model, Tensor, changed, one_operator, with_operator

FLOAT = fb.float_dense()


def refusal(file: bytes | Model) -> UnsupportedModelError:
    data = file if isinstance(file, bytes) else file.tflite()
    with pytest.raises(UnsupportedModelError) as caught:
        require_support(read_graph(data))
    assert caught.value.why
    assert caught.value.next_step
    return caught.value


def without(table: fb.Table, field: int) -> fb.Table:
    return fb.Table({**table.fields, field: None})


def in_subgraph(change: Callable[[fb.Table], fb.Table]) -> bytes:
    root = FLOAT.root()
    subgraphs = root.fields[2]
    assert isinstance(subgraphs, fb.Tables)
    (subgraph,) = subgraphs.items
    return fb.flatbuffer(fb.Table({**root.fields, 2: fb.Tables([change(subgraph)])}))


def in_operator(change: Callable[[fb.Table], fb.Table]) -> bytes:
    def changing(subgraph: fb.Table) -> fb.Table:
        operators = subgraph.fields[3]
        assert isinstance(operators, fb.Tables)
        changed = fb.Tables([change(each) for each in operators.items])
        return fb.Table({**subgraph.fields, 3: changed})

    return in_subgraph(changing)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (fb.flatbuffer(without(FLOAT.root(), 1)), "the model has no vector of operator codes"),
        (fb.flatbuffer(without(FLOAT.root(), 2)), "the model has no vector of subgraphs"),
        (fb.flatbuffer(without(FLOAT.root(), 4)), "the model has no vector of buffers"),
        (in_subgraph(lambda each: without(each, 0)), "the subgraph has no vector of tensors"),
        (in_subgraph(lambda each: without(each, 1)), "the subgraph has no vector of inputs"),
        (in_subgraph(lambda each: without(each, 2)), "the subgraph has no vector of outputs"),
        (in_subgraph(lambda each: without(each, 3)), "the subgraph has no vector of operators"),
        (in_operator(lambda each: without(each, 1)), "an operator has no vector of inputs"),
        (in_operator(lambda each: without(each, 2)), "an operator has no vector of outputs"),
    ],
)
def test_what_the_interpreter_reads_unasked_must_be_there(file: bytes, why: str) -> None:
    assert refusal(file).why == why


def named(name: str) -> fb.Table:
    return fb.Table({0: name, 1: fb.u32(0)})


SIGNATURE = fb.Table({0: fb.Tables([named("in")]), 1: fb.Tables([named("out")]), 2: "serve"})


def whole() -> fb.Table:
    """A model with all that converters write beside what is computed."""
    more: dict[int, fb.Value | None] = {
        5: fb.ints([0]),
        6: fb.Tables([named("version")]),
        7: fb.Tables([SIGNATURE]),
    }
    return fb.Table({**FLOAT.root().fields, **more})


@pytest.mark.parametrize(
    "text", [b"written by a test", b"version", b"serve", b"in", b"out", b"kernel"]
)
def test_each_text_and_vector_must_lie_in_the_file_though_nobody_reads_it(text: bytes) -> None:
    file = fb.flatbuffer(whole())
    require_support(read_graph(file))
    place = file.index(struct.pack("<I", len(text)) + text + b"\0")
    longer = bytearray(file)
    struct.pack_into("<I", longer, place, len(file))
    assert "leaves the file" in refusal(bytes(longer)).why
    endless = bytearray(file)
    endless[place + 4 + len(text)] = 1
    assert "has no end" in refusal(bytes(endless)).why


def test_the_options_of_another_operator_are_refused() -> None:
    (operator,) = FLOAT.operators
    other = dataclasses.replace(operator, options_kind=9)
    error = refusal(dataclasses.replace(FLOAT, operators=[other]))
    assert error.what == "FULLY_CONNECTED has options of the kind 9 instead of 8"


def test_options_that_the_kernel_computes_with_must_be_there() -> None:
    error = refusal(with_operator(FLOAT, options=None))
    assert error.what == "FULLY_CONNECTED has no options"
    assert "whatever lies in memory" in error.why


def test_options_that_the_kernel_does_not_read_may_be_missing() -> None:
    model = one_operator("L2_NORMALIZATION", [Tensor("x")], [Tensor("y")])
    for options in (None, fb.Table()):
        require_support(read_graph(with_operator(model, options=options).tflite()))
    error = refusal(with_operator(model, options=fb.Table({0: fb.i8(1)})))
    assert error.what == "L2_NORMALIZATION has the activation 1, into tensor y"


def test_options_of_an_operator_that_has_none_are_not_looked_at() -> None:
    model = fb.unary(fb.RELU, Tensor("x"), Tensor("y"))
    (operator,) = model.operators
    odd = dataclasses.replace(operator, options=fb.Table({0: fb.i32(7)}), options_kind=99)
    require_support(read_graph(dataclasses.replace(model, operators=[odd]).tflite()))


def test_options_of_a_custom_operator_are_refused_at_others() -> None:
    file = in_operator(lambda each: fb.Table({**each.fields, 5: fb.Octets(b"", 1)}))
    assert refusal(file).what == "FULLY_CONNECTED has the options of a custom operator"


def test_options_are_those_of_operators_with_a_kernel() -> None:
    assert OPTIONS.keys() <= KERNELS.keys()
    for name, table in OPTIONS.items():
        numbers = [number for number, _, _ in table.fields.values()]
        assert sorted(numbers) == sorted(set(numbers)), name


def test_fewer_zero_points_than_scales_are_refused_wherever_they_stand() -> None:
    unused = Tensor("unused", data=fb.floats(1), scales=[0.5, 0.5], zero_points=[0])
    model = dataclasses.replace(FLOAT, tensors=[*FLOAT.tensors, unused])
    assert refusal(model).what == "tensor unused has 2 scales and 1 zero points"
    require_support(read_graph(changed(model, 4, zero_points=[]).tflite()))


def test_booleans_are_true_or_false() -> None:
    def model(content: bytes) -> Model:
        tensors = [Tensor("x", "BOOL", (2,)), Tensor("mask", "BOOL", (2,), content)]
        return one_operator("LOGICAL_AND", tensors, [Tensor("y", "BOOL", (2,))])

    require_support(read_graph(model(b"\0\1").tflite()))
    assert "neither true nor false" in refusal(model(b"\1\2")).what


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_below_one_is_refused(version: int) -> None:
    assert (
        f"FULLY_CONNECTED, version {version}" in refusal(with_operator(FLOAT, version=version)).what
    )


def test_more_than_any_board_can_hold_is_refused() -> None:
    graph = read_graph(FLOAT.tflite())
    for name in ("tensors", "operators"):
        many = dataclasses.replace(graph, **{name: getattr(graph, name)[:1] * 4097})
        with pytest.raises(UnsupportedModelError, match=f"the model has 4097 {name}"):
            require_support(many)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((1,) * 9, "tensor x has 9 dimensions"),
        ((1 << 15, 1 << 15), "tensor x has 1073741824 elements"),
        ((1 << 30,) * 8, f"tensor x has {1 << 240} elements"),
    ],
)
def test_a_tensor_beyond_what_32_bits_count_is_refused(shape: tuple[int, ...], what: str) -> None:
    assert refusal(changed(FLOAT, 0, shape=shape)).what == what


def test_the_largest_arena_is_what_32_bits_with_a_sign_count() -> None:
    require_arena(LARGEST_ARENA)
    with pytest.raises(UnsupportedModelError, match="needs 2147483633 bytes"):
        require_arena(LARGEST_ARENA + 1)
