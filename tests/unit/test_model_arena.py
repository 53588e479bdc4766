from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.arena import BLOCK, PlannedBuffer, estimate_arena, place_buffers, planned_buffers
from model.graph import read_graph
from tests.unit import model_support as fb
from tests.unit.model_support import Model, Tensor, changed

WIDTHS = st.lists(st.integers(1, 5000), min_size=2, max_size=8)


def chain(widths: Sequence[int]) -> Model:
    """RELU after RELU; the tensors become as wide as these."""
    tensors = [Tensor(f"t{number}", shape=(1, width)) for number, width in enumerate(widths)]
    last = len(widths) - 1
    operators = [fb.Operator(fb.RELU, (number,), (number + 1,)) for number in range(last)]
    return Model(tensors, operators, (0,), (last,))


def arena(model: Model) -> int:
    return estimate_arena(read_graph(model.tflite()))


def total(buffers: Sequence[PlannedBuffer]) -> int:
    offsets = place_buffers(buffers)
    return max((at + each.size for at, each in zip(offsets, buffers, strict=True)), default=0)


@given(WIDTHS)
def test_the_estimate_is_in_blocks_and_holds_what_is_needed_at_once(widths: list[int]) -> None:
    model = chain(widths)
    assert arena(model) % BLOCK == 0
    assert arena(model) > 4 * max(left + right for left, right in pairwise(widths))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_more_operators_never_need_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    assert arena(chain([1] * (more + 1))) >= arena(chain([1] * (fewer + 1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_more_channels_never_need_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    for code in (fb.CONV_2D, fb.DEPTHWISE_CONV_2D):
        needed = arena(convolution(code, more, "INT8"))
        assert needed >= arena(convolution(code, fewer, "INT8"))


@st.composite
def buffers(draw: st.DrawFn) -> list[PlannedBuffer]:
    spans = st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
    return [
        PlannedBuffer(16 * size, min(one, other), max(one, other))
        for size, one, other in draw(st.lists(spans, max_size=12))
    ]


@given(buffers())
def test_buffers_that_are_needed_at_the_same_time_do_not_overlap(
    buffers: list[PlannedBuffer],
) -> None:
    placed = list(zip(place_buffers(buffers), buffers, strict=True))
    for number, (at, one) in enumerate(placed):
        for other_at, other in placed[:number]:
            apart = at + one.size <= other_at or other_at + other.size <= at
            assert apart or one.last < other.first or other.last < one.first


@given(buffers())
def test_the_place_is_not_less_than_what_is_needed_at_once(buffers: list[PlannedBuffer]) -> None:
    at_once = [
        sum(each.size for each in buffers if each.first <= step <= each.last) for step in range(10)
    ]
    assert total(buffers) >= max(at_once)


def test_the_gaps_that_the_planner_leaves_are_counted() -> None:
    # Neighbours are needed together: 480 at most.
    sizes = [16, 240, 240, 176, 192]
    chained = [PlannedBuffer(size, max(at - 1, 0), min(at, 3)) for at, size in enumerate(sizes)]
    assert place_buffers(chained) == (240, 0, 240, 480, 0)
    assert total(chained) == 656
    assert arena(chain([each * 100 // 4 for each in sizes])) > 65600


def test_the_lifetime_of_a_tensor_is_from_its_operator_to_its_last_reader() -> None:
    model = chain([1, 2, 3, 4])
    late = dataclasses.replace(model.operators[2], inputs=(2,))
    skip = fb.Operator(fb.ADD, (1, 3), (4,), 1)
    tensors = [*model.tensors, Tensor("sum", shape=(1, 5))]
    graph = read_graph(Model(tensors, [*model.operators[:2], late, skip], (0,), (4,)).tflite())
    assert [(each.first, each.last) for each in planned_buffers(graph)] == [
        (0, 0),
        (0, 3),
        (1, 2),
        (2, 3),
        (3, 3),
    ]


def test_constants_and_variables_are_not_placed() -> None:
    model = changed(fb.float_dense(), 2, data=b"", variable=True)
    assert len(planned_buffers(read_graph(fb.float_dense().tflite()))) == 2
    assert len(planned_buffers(read_graph(model.tflite()))) == 2


def test_a_variable_is_kept_between_inferences() -> None:
    plain = fb.float_dense()
    variable = changed(plain, 2, data=b"", variable=True, shape=(4000,))
    assert arena(variable) >= arena(plain) + 15 * BLOCK


def convolution(code: int, channels: int, kind: str) -> Model:
    shape = (1, 1, 1, channels) if code == fb.DEPTHWISE_CONV_2D else (channels, 1, 1, 1)
    size = 4 if kind == "FLOAT32" else 1
    return Model(
        [
            Tensor("x", kind, (1, 1, 1, 1)),
            Tensor("filter", kind, shape, bytes(size * channels)),
            Tensor("y", kind, (1, 1, 1, 1)),
        ],
        [fb.Operator(code, (0, 1), (2,))],
        (0,),
        (2,),
    )


@pytest.mark.parametrize("code", [fb.CONV_2D, fb.DEPTHWISE_CONV_2D])
@pytest.mark.parametrize("kind", ["FLOAT32", "INT8"])
def test_a_convolution_keeps_two_numbers_a_channel_also_without_scales(
    code: int, kind: str
) -> None:
    assert arena(convolution(code, 1 + 1024, kind)) == arena(convolution(code, 1, kind)) + 8 * 1024


def svdf(filters: int) -> Model:
    shapes = {"features": (filters, 4), "time": (filters, 8), "bias": (filters,)}
    tensors = [
        Tensor("x", shape=(1, 4)),
        *(Tensor(name, shape=shape, data=bytes(4)) for name, shape in shapes.items()),
        Tensor("state", shape=(1, 8 * filters), variable=True),
        Tensor("y", shape=(1, filters)),
    ]
    return Model(tensors, [fb.Operator(fb.SVDF, (0, 1, 2, 3, 4), (5,))], (0,), (5,))


def test_svdf_needs_scratch_memory_for_its_filters() -> None:
    graph = read_graph(svdf(1000).tflite())
    for scratch in planned_buffers(graph)[-2:]:
        assert scratch.size >= 4 * 1000
        assert (scratch.first, scratch.last) == (0, 0)
    assert estimate_arena(graph) >= 4 * (8 * 1000 + 1000 + 1000)


def test_many_small_tensors_need_room_for_the_plan_itself() -> None:
    count = 100
    graph = read_graph(chain([1] * (count + 1)).tflite())
    # From micro_allocator.cc: tensors, nodes, what the plan keeps of a tensor and of a buffer.
    needed = (count + 1) * (64 + 20 + 36) + count * 40
    assert total(planned_buffers(graph)) < 36 * count
    assert estimate_arena(graph) >= needed
