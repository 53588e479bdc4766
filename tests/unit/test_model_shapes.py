"""Operators with shapes and options that their kernels compute, and with others."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.kernels import KERNELS
from model.shapes import RULES, broadcast
from model.support import require_support
from tests.unit.model_support import (
    Model,
    Table,
    Tensor,
    changed,
    one_operator,
    options,
    with_operator,
)
from tests.unit.model_support import ints as vector_of_ints

Shape = Sequence[int]


def check(model: Model) -> None:
    require_support(read_graph(model.tflite()))


def refusal(model: Model) -> UnsupportedModelError:
    with pytest.raises(UnsupportedModelError) as caught:
        check(model)
    assert caught.value.why
    assert "{kernel}" not in caught.value.why
    assert caught.value.next_step
    return caught.value


def f(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape=shape)


def constant(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape=shape, data=bytes(4 * int(np.prod(shape, dtype=int))))


def ints(name: str, *values: int, shape: Shape | None = None) -> Tensor:
    data = struct.pack(f"<{len(values)}i", *values)
    return Tensor(name, "INT32", (len(values),) if shape is None else shape, data)


def bools(name: str, *shape: int) -> Tensor:
    return Tensor(name, "BOOL", shape)


def slicing(begin: Shape, end: Shape, strides: Shape) -> list[Tensor]:
    return [ints("begin", *begin), ints("end", *end), ints("strides", *strides)]


WINDOW = {"stride_w": 1, "stride_h": 1}
POOL = {**WINDOW, "filter_width": 2, "filter_height": 2, "padding": 1}
CONV = [f("x", 1, 5, 6, 2), constant("filter", 3, 2, 3, 2), constant("bias", 3)]
DEPTHWISE = [f("x", 1, 5, 6, 2), constant("filter", 1, 2, 3, 4), constant("bias", 4)]
STATE = Tensor("state", shape=(1, 6), variable=True)
SVDF = [f("x", 1, 2), constant("features", 2, 2), constant("times", 2, 3), constant("bias", 1)]
FIRST_OF_ROW = {"begin_mask": 1, "shrink_axis_mask": 2}

WORKING: Mapping[str, Model] = {
    "ADD": one_operator("ADD", [f("a", 2, 3), constant("b", 3)], [f("y", 2, 3)]),
    "ARG_MAX": one_operator(
        "ARG_MAX", [f("x", 2, 3), ints("axis", -1)], [Tensor("y", "INT32", (2,))], output_type=2
    ),
    "AVERAGE_POOL_2D": one_operator(
        "AVERAGE_POOL_2D", [f("x", 1, 4, 5, 2)], [f("y", 1, 3, 4, 2)], **POOL
    ),
    "CONCATENATION": one_operator(
        "CONCATENATION", [f("a", 2, 1), f("b", 2, 3)], [f("y", 2, 4)], axis=-1
    ),
    "CONV_2D": one_operator("CONV_2D", CONV, [f("y", 1, 4, 4, 3)], **WINDOW, padding=1),
    "DEPTHWISE_CONV_2D": one_operator(
        "DEPTHWISE_CONV_2D", DEPTHWISE, [f("y", 1, 5, 6, 4)], **WINDOW, depth_multiplier=2
    ),
    "FULLY_CONNECTED": one_operator(
        "FULLY_CONNECTED",
        [f("x", 2, 3, 4), constant("weights", 5, 4), constant("bias", 5)],
        [f("y", 2, 3, 5)],
    ),
    "LESS": one_operator("LESS", [f("a", 2, 1), f("b", 3)], [bools("y", 2, 3)]),
    "LOGICAL_OR": one_operator("LOGICAL_OR", [bools("a", 2), bools("b", 2)], [bools("y", 2)]),
    "MAXIMUM": one_operator("MAXIMUM", [f("a", 1, 2, 1, 1, 2), f("b", 2)], [f("y", 1, 2, 1, 1, 2)]),
    "MEAN": one_operator("MEAN", [f("x", 2, 3, 4, 5), ints("axes", 2, 1)], [f("y", 2, 5)]),
    "PACK": one_operator(
        "PACK", [f("a", 2, 3), f("b", 2, 3)], [f("y", 2, 2, 3)], values_count=2, axis=-2
    ),
    "PAD": one_operator(
        "PAD", [f("x", 2, 3), ints("paddings", 1, 0, 0, 2, shape=(2, 2))], [f("y", 3, 5)]
    ),
    "PADV2": one_operator(
        "PADV2", [f("x", 2), ints("paddings", 1, 0, shape=(1, 2)), constant("value")], [f("y", 3)]
    ),
    "PRELU": one_operator("PRELU", [f("x", 1, 2, 2, 3), constant("a", 3)], [f("y", 1, 2, 2, 3)]),
    "RELU": one_operator("RELU", [f("x", 1, 2, 1, 2, 1)], [f("y", 1, 2, 1, 2, 1)]),
    "RESHAPE": one_operator("RESHAPE", [f("x", 2, 6), ints("shape", -1, 4)], [f("y", 3, 4)]),
    "RESIZE_NEAREST_NEIGHBOR": one_operator(
        "RESIZE_NEAREST_NEIGHBOR", [f("x", 1, 2, 3, 4), ints("size", 4, 5)], [f("y", 1, 4, 5, 4)]
    ),
    "SIN": one_operator("SIN", [f("x", 1, 2, 1, 2, 1, 2)], [f("y", 1, 2, 1, 2, 1, 2)]),
    "SOFTMAX": one_operator("SOFTMAX", [f("x", 2, 3)], [f("y", 2, 3)], beta=1),
    "SPLIT": one_operator(
        "SPLIT", [ints("axis", -1, shape=()), f("x", 2, 4)], [f("y", 2, 2), f("z", 2, 2)]
    ),
    "STRIDED_SLICE": one_operator(
        "STRIDED_SLICE",
        [f("x", 4, 5), *slicing((9, -1), (3, 0), (2, 1))],
        [f("y", 2)],
        **FIRST_OF_ROW,
    ),
    "SUB": one_operator("SUB", [f("a", 1, 1, 2, 1, 3), f("b", 2, 1)], [f("y", 1, 1, 2, 2, 3)]),
    "SVDF": one_operator("SVDF", [*SVDF, STATE], [f("y", 1, 1)], rank=2),
    "UNPACK": one_operator("UNPACK", [f("x", 2, 3)], [f("y", 3), f("z", 3)], num=2),
}


@pytest.mark.parametrize("name", WORKING)
def test_what_the_kernel_computes_is_accepted(name: str) -> None:
    check(WORKING[name])


def test_there_is_a_rule_for_every_kernel() -> None:
    assert RULES.keys() == KERNELS.keys()


def optioned(name: str, **values: float) -> Model:
    """Return the working model with other options."""
    model = WORKING[name]
    (operator,) = model.operators
    assert operator.options is not None
    changes = options(operator.code, **values).fields
    fields = {**operator.options.fields, **changes}
    return with_operator(model, options=dataclasses.replace(operator.options, fields=fields))


def at(name: str, tensor: int, **fields: Any) -> Model:
    """Return the working model with other fields of a tensor."""
    return changed(WORKING[name], tensor, **fields)


def computed(name: str, tensor: int) -> Model:
    """Return the working model with a constant that is given instead."""
    return dataclasses.replace(at(name, tensor, data=b""), inputs=(0, 1))


def shaped(name: str, tensor: int, *shape: int) -> Model:
    """Return the working model with another shape of a tensor, and content to it."""
    data = WORKING[name].tensors[tensor].data
    size = 4 * int(np.prod(shape, dtype=int)) if data else 0
    return at(
        name, tensor, shape=shape, data=(data * (size // len(data) + 1))[:size] if data else b""
    )


def with_integers(name: str, tensor: int, *values: int) -> Model:
    shape = WORKING[name].tensors[tensor].shape
    fits = int(np.prod(shape, dtype=int)) == len(values)
    made = ints("", *values, shape=shape if fits else None)
    return at(name, tensor, shape=made.shape, data=made.data)


INSTEAD = "which follows from its other tensors and its options"

WRONG: list[tuple[Model, str]] = [
    # Any operator.
    (with_operator(WORKING["RELU"], outputs=(1, 1)), "written twice"),
    (shaped("RELU", 0, 2, 0), "which is empty"),
    (shaped("RELU", 1, 1, 2, 1, 2), f"y FLOAT32[1,2,1,2] instead of [1,2,1,2,1], {INSTEAD}"),
    (shaped("RELU", 0, 1, 1, 1, 1, 1, 2), "of 6 dimensions"),
    (shaped("SIN", 0, *[1] * 9), "tensor x has 9 dimensions"),
    # Stretching.
    (shaped("ADD", 1, 4), "tensors a FLOAT32[2,3] and b FLOAT32[4]"),
    (shaped("ADD", 2, 3), f"y FLOAT32[3] instead of [2,3], {INSTEAD}"),
    (shaped("LESS", 2, 3, 2), f"instead of [2,3], {INSTEAD}"),
    (shaped("LOGICAL_OR", 0, 1, 1, 1, 1, 1), "a BOOL[1,1,1,1,1], of 5 dimensions"),
    (shaped("PRELU", 0, 1, 1, 2, 2, 3), "of 5 dimensions"),
    (shaped("MAXIMUM", 0, 1, 1, 2, 1, 1, 2), "of 6 dimensions"),
    (shaped("SUB", 2, 1, 1, 2, 1, 2), INSTEAD),
    # Options.
    (optioned("ADD", fused_activation_function=4), "has the activation 4, into tensor y"),
    (optioned("CONCATENATION", fused_activation_function=1), "has the activation 1"),
    # Windows.
    (shaped("CONV_2D", 0, 1, 5, 6), "x FLOAT32[1,5,6], of 3 dimensions"),
    (shaped("CONV_2D", 1, 3, 2, 3, 1), "convolves tensor x FLOAT32[1,5,6,2] with tensor filter"),
    (shaped("CONV_2D", 2, 2), "has a bias, tensor bias FLOAT32[2], for 3 channels"),
    (shaped("CONV_2D", 3, 1, 5, 4, 3), f"instead of [1,4,4,3], {INSTEAD}"),
    (optioned("CONV_2D", stride_w=0), "with stride 0 and dilation 1, into tensor y"),
    (optioned("CONV_2D", stride_h=-1), "with stride -1"),
    (optioned("CONV_2D", dilation_h_factor=0), "dilation 0"),
    (optioned("CONV_2D", dilation_w_factor=2), f"instead of [1,4,2,3], {INSTEAD}"),
    (optioned("CONV_2D", padding=2), "has the padding 2, into tensor y"),
    (optioned("CONV_2D", padding=0, dilation_w_factor=40_000), "has a window of 3"),
    (optioned("CONV_2D", stride_w=(1 << 31) - 1), "has a window of 3"),
    (shaped("DEPTHWISE_CONV_2D", 1, 2, 2, 3, 4), "2 times each channel"),
    (optioned("DEPTHWISE_CONV_2D", depth_multiplier=1), "1 times each channel"),
    (shaped("DEPTHWISE_CONV_2D", 2, 2), "for 4 channels"),
    (shaped("DEPTHWISE_CONV_2D", 3, 1, 5, 6, 2), INSTEAD),
    (shaped("DEPTHWISE_CONV_2D", 0, 5, 6, 2), "of 3 dimensions"),
    (shaped("AVERAGE_POOL_2D", 0, 4, 5, 2), "of 3 dimensions"),
    (shaped("AVERAGE_POOL_2D", 1, 1, 3, 4, 1), f"instead of [1,3,4,2], {INSTEAD}"),
    (optioned("AVERAGE_POOL_2D", filter_width=0), "a window of 0"),
    (optioned("AVERAGE_POOL_2D", filter_height=9), f"instead of [1,0,4,2], {INSTEAD}"),
    (optioned("AVERAGE_POOL_2D", filter_height=70_000, padding=0), "a window of 70000"),
    # Dense.
    (shaped("FULLY_CONNECTED", 1, 5, 4, 1), "weights in tensor weights FLOAT32[5,4,1]"),
    (shaped("FULLY_CONNECTED", 0, 2, 3, 5), "multiplies tensor x FLOAT32[2,3,5]"),
    (shaped("FULLY_CONNECTED", 3, 2, 3, 4), "into tensor y FLOAT32[2,3,4]"),
    (shaped("FULLY_CONNECTED", 3), "of 0 dimensions"),
    (shaped("FULLY_CONNECTED", 2, 4), "has a bias"),
    # Parts and wholes.
    (optioned("CONCATENATION", axis=2), "has the axis 2, into tensor y"),
    (optioned("CONCATENATION", axis=-3), "has the axis -3"),
    (optioned("CONCATENATION", axis=0), INSTEAD),
    (shaped("CONCATENATION", 0, 1), "a FLOAT32[1], of 1 dimensions"),
    (shaped("CONCATENATION", 2, 2, 5), f"y FLOAT32[2,5] instead of [2,4], {INSTEAD}"),
    (with_integers("SPLIT", 0, 2), "has the axis 2"),
    (with_integers("SPLIT", 0, 0, 0), "has 2 numbers for its axis, in tensor axis"),
    (computed("SPLIT", 0), "takes its axis from tensor axis, which is computed"),
    (shaped("SPLIT", 1, 2, 3), "splits tensor x FLOAT32[2,3] along axis 1 into 2 parts"),
    (shaped("SPLIT", 3, 2, 1), INSTEAD),
    (optioned("PACK", values_count=3), "packs 2 tensors, of 3, into tensor y"),
    (optioned("PACK", axis=2), "along axis 2"),
    (optioned("PACK", axis=3), "has the axis 3"),
    (shaped("PACK", 1, 3, 2), f"b FLOAT32[3,2] instead of [2,3], {INSTEAD}"),
    (optioned("UNPACK", num=3), "unpacks 3 tensors, to 2, from tensor x"),
    (optioned("UNPACK", axis=1), "along axis 1"),
    (optioned("UNPACK", axis=2), "has the axis 2"),
    (shaped("UNPACK", 2, 2), INSTEAD),
    # Other shapes of the same.
    (shaped("RESHAPE", 2, 3, 3), "makes tensor y FLOAT32[3,3] of tensor x FLOAT32[2,6]"),
    (with_integers("RESHAPE", 1, 4, 3), "and its tensor shape says [4,3]"),
    (with_integers("RESHAPE", 1, 3, 4, 1), "says [3,4,1]"),
    (with_integers("PAD", 1, 1, 0, 0, 1), f"y FLOAT32[3,5] instead of [3,4], {INSTEAD}"),
    (with_integers("PAD", 1, 2, -1, 0, 2), "its paddings are negative"),
    (with_integers("PAD", 1, 1, 0), "has 2 numbers for its paddings"),
    (shaped("PAD", 0), "of 0 dimensions"),
    (shaped("PAD", 0, 1, 1, 1, 2, 3), "of 5 dimensions"),
    (shaped("PADV2", 2, 2), "which is not one value"),
    (with_integers("MEAN", 1, 1, 1), "over the axes 1 and 1"),
    (with_integers("MEAN", 1, -2, -3), "over the axes -2 and -3"),
    (with_integers("MEAN", 1, 1), "has 1 numbers for its axes"),
    (shaped("MEAN", 0, 2, 3, 4), "averages tensor x FLOAT32[2,3,4]"),
    (optioned("MEAN", keep_dims=1), f"instead of [2,1,1,5], {INSTEAD}"),
    (with_integers("ARG_MAX", 1, 2), "has the axis 2"),
    (computed("ARG_MAX", 1), "which is computed"),
    (shaped("ARG_MAX", 2, 3), f"instead of [2], {INSTEAD}"),
    (optioned("ARG_MAX", output_type=4), "says that its result is of type 4"),
    (shaped("RESIZE_NEAREST_NEIGHBOR", 0, 2, 3, 4), "of 3 dimensions"),
    (with_integers("RESIZE_NEAREST_NEIGHBOR", 1, 4, 4), INSTEAD),
    (optioned("RESIZE_NEAREST_NEIGHBOR", half_pixel_centers=1), "takes the centres of pixels"),
    (shaped("SOFTMAX", 0), "of 0 dimensions"),
    # Slices.
    (with_integers("STRIDED_SLICE", 1, 1), "has 1 numbers for its begins, in tensor begin"),
    (with_integers("STRIDED_SLICE", 3, 0, 1), "with a stride of 0"),
    (with_integers("STRIDED_SLICE", 3, 1 << 30, 1), "with a stride of 1073741824"),
    (with_integers("STRIDED_SLICE", 3, 1, 1), f"y FLOAT32[2] instead of [3], {INSTEAD}"),
    (with_integers("STRIDED_SLICE", 3, 2, -1), "takes one element of dimension 1"),
    (optioned("STRIDED_SLICE", end_mask=2, begin_mask=3), "takes one element of dimension 1"),
    (optioned("STRIDED_SLICE", begin_mask=4), "a mask of more than its 2 dimensions"),
    (optioned("STRIDED_SLICE", shrink_axis_mask=-1), "a mask of more than"),
    (optioned("STRIDED_SLICE", ellipsis_mask=1), "with its option ellipsis_mask"),
    (optioned("STRIDED_SLICE", new_axis_mask=1), "with its option new_axis_mask"),
    (optioned("STRIDED_SLICE", offset=1), "with its option offset"),
    (shaped("STRIDED_SLICE", 0, 4, 5, 1, 1, 1), "of 5 dimensions"),
    # States.
    (optioned("SVDF", rank=0), "has the rank 0 for the 2 filters of tensor times"),
    (optioned("SVDF", rank=3), "has the rank 3"),
    (shaped("SVDF", 1, 2, 3), f"features FLOAT32[2,3] instead of [2,2], {INSTEAD}"),
    (shaped("SVDF", 2, 2, 3, 1), "of 3 dimensions"),
    (shaped("SVDF", 3, 2), f"bias FLOAT32[2] instead of [1], {INSTEAD}"),
    (shaped("SVDF", 4, 1, 5), f"state FLOAT32[1,5] instead of [1,6], {INSTEAD}"),
    (shaped("SVDF", 5, 1, 2), f"y FLOAT32[1,2] instead of [1,1], {INSTEAD}"),
    (
        dataclasses.replace(at("SVDF", 4, variable=False), inputs=(0, 4)),
        "keeps its state in tensor state, which is no variable",
    ),
]


@pytest.mark.parametrize(("model", "what"), WRONG, ids=[what for _, what in WRONG])
def test_what_the_kernel_does_not_compute_is_refused(model: Model, what: str) -> None:
    assert what in refusal(model).what


def test_more_outputs_than_the_kernel_writes_are_refused() -> None:
    extra = one_operator("RELU", [f("x", 2)], [f("y", 2), f("z", 2)])
    assert refusal(extra).what == "RELU has 2 outputs"


def test_a_reshape_in_options_may_have_eight_dimensions() -> None:
    model = one_operator("RESHAPE", [f("x", 2)], [f("y", 2, 1)])
    for count, accepted in ((8, True), (9, False)):
        wanted = with_operator(model, options=Table({0: vector_of_ints([1] * count)}))
        if accepted:
            check(wanted)
        else:
            assert "has 9 dimensions in its options" in refusal(wanted).what


def test_a_dense_layer_of_int8_has_two_dimensions() -> None:
    quantised: dict[str, Any] = {"type": "INT8", "scales": [0.5], "zero_points": [0]}
    x = Tensor("x", shape=(1, 2, 4), **quantised)
    weights = Tensor("weights", shape=(5, 4), data=bytes(20), **quantised)
    check(one_operator("FULLY_CONNECTED", [x, weights], [Tensor("y", shape=(2, 5), **quantised)]))
    deep = Tensor("y", shape=(1, 2, 5), **quantised)
    error = refusal(one_operator("FULLY_CONNECTED", [x, weights], [deep]))
    assert error.what == "FULLY_CONNECTED writes tensor y INT8[1,2,5]"
    assert "reshape after it" in error.next_step
    others = [dataclasses.replace(each, type="UINT8") for each in (x, weights, deep)]
    check(one_operator("FULLY_CONNECTED", others[:2], others[2:]))


@pytest.mark.parametrize(
    ("size", "aligned", "accepted"),
    [
        ((4, 3), 0, True),
        ((2, 9), 0, True),
        ((4, 9), 1, False),
        ((3, 3), 0, False),
        ((1, 3), 0, False),
    ],
)
def test_centres_of_pixels_are_of_no_matter_to_whole_factors(
    size: tuple[int, int], aligned: int, accepted: bool
) -> None:
    model = one_operator(
        "RESIZE_NEAREST_NEIGHBOR",
        [f("x", 1, 2, 3, 1), ints("size", *size)],
        [f("y", 1, *size, 1)],
        3,
        half_pixel_centers=1,
        align_corners=aligned,
    )
    if accepted:
        check(model)
    else:
        assert "takes the centres of pixels" in refusal(model).what


SHAPES = st.lists(st.integers(1, 3), max_size=5)


@given(SHAPES, SHAPES)
def test_shapes_are_stretched_as_numpy_stretches_them(one: Shape, other: Shape) -> None:
    try:
        wanted = np.broadcast_shapes(tuple(one), tuple(other))
    except ValueError:
        assert broadcast(one, other) is None
    else:
        assert broadcast(one, other) == wanted


@st.composite
def slices(draw: st.DrawFn) -> tuple[Shape, list[tuple[int, int, int]], int, int]:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    each = st.tuples(
        st.integers(-7, 7), st.integers(-7, 7), st.integers(-3, 3).filter(lambda stride: stride)
    )
    cuts = [draw(each) for _ in shape]
    masks = st.integers(0, (1 << len(shape)) - 1)
    return shape, cuts, draw(masks), draw(masks)


@given(slices())
def test_a_slice_has_the_shape_that_numpy_gives_it(
    drawn: tuple[Shape, list[tuple[int, int, int]], int, int],
) -> None:
    shape, cuts, begin_mask, end_mask = drawn
    wanted = np.zeros(shape)[
        tuple(
            slice(
                None if begin_mask >> axis & 1 else begin,
                None if end_mask >> axis & 1 else end,
                stride,
            )
            for axis, (begin, end, stride) in enumerate(cuts)
        )
    ].shape
    begins, ends, strides = zip(*cuts, strict=True)
    model = one_operator(
        "STRIDED_SLICE",
        [f("x", *shape), *slicing(begins, ends, strides)],
        [f("y", *wanted)],
        begin_mask=begin_mask,
        end_mask=end_mask,
    )
    if 0 in wanted:
        assert "which is empty" in refusal(model).what
    else:
        check(model)
        other = (*wanted[:-1], wanted[-1] + 1)
        assert INSTEAD in refusal(changed(model, 4, shape=other)).what


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_a_window_has_as_many_places_as_fit_into_the_padded_image(
    image: int, size: int, stride: int, dilation: int, is_valid: bool
) -> None:
    reach = (size - 1) * dilation + 1
    last = image - reach + 1 if is_valid else image
    places = len(range(0, last, stride))
    inputs = [f("x", 1, image, 1, 1), constant("filter", 1, size, 1, 1), constant("bias", 1)]
    model = one_operator(
        "CONV_2D",
        inputs,
        [f("y", 1, max(places, 1), 1, 1)],
        padding=int(is_valid),
        stride_w=1,
        stride_h=stride,
        dilation_h_factor=dilation,
    )
    if places:
        check(model)
    else:
        assert "instead of [1,0,1,1]" in refusal(model).what
