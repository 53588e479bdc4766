"""Checks the shapes and options of each operator against what its pinned kernel does with them.

The kernels check little themselves: most take over a size from one tensor and read or write
another one to it. Read from ``tensorflow/lite/micro/kernels`` and, for the loops, from
``tensorflow/lite/kernels/internal/reference``.

A new operator is one entry in ``RULES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from model.node import DAMAGED, LARGEST_INT32, Node, single
from model.options import NO_ACTIVATION, RELU, RELU6, RELU_N1_TO_1
from model.windows import require_convolution, require_depthwise_convolution, require_pooling

Shape = Sequence[int]

LARGEST_RANK = 5
"""Of ``RuntimeShape`` in ``types.h``, which halts the device at one more."""

_BROADCAST_RANK = 4
_ACTIVATIONS = (NO_ACTIVATION, RELU, RELU_N1_TO_1, RELU6)
_INT32_IN_SCHEMA = 2
_LARGEST_RESIZED = 1 << 13
_MASKS = ("begin_mask", "end_mask", "shrink_axis_mask")


@dataclass(frozen=True)
class Rule:
    """What a kernel needs.

    Attributes:
        check: of its own shapes and options.
        ranks: smallest and largest number of dimensions of each tensor; None where the kernel
            sees memory only.
        many_outputs: whether it has as many outputs as it is given.
        empty: inputs that are not read, so that they may have no elements.
    """

    check: Callable[[Node], None]
    ranks: tuple[int, int] | None = (0, LARGEST_RANK)
    many_outputs: bool = False
    empty: frozenset[int] = frozenset()


def require_shapes(node: Node) -> None:
    """Check one operator whose number and types of tensors are those of its kernel.

    Raises:
        UnsupportedModelError: the kernel would not compute it rightly, or not inside its tensors.
    """
    rule = RULES[node.name]
    if len(node.outputs) != 1 and not rule.many_outputs:
        raise node.refusal(
            f"has {len(node.outputs)} outputs", "{kernel} writes to the first one only"
        )
    if node.operator.has_custom_options:
        raise node.refusal(
            "has the options of a custom operator", "the pinned interpreter refuses it"
        )
    for place, tensor in enumerate(node.tensors()):
        if tensor.elements == 0 and place not in rule.empty:
            raise node.refusal(
                f"has tensor {tensor.name} {tensor.described}, which is empty",
                "{kernel} is made for at least one element",
            )
        if rule.ranks is not None and place not in rule.empty:
            node.require_rank(tensor, *rule.ranks)
    if node.options.get("fused_activation_function", NO_ACTIVATION) not in _activations(node):
        raise node.refusal(
            f"has the activation {node.option('fused_activation_function')}, into tensor "
            f"{node.output.name}",
            "{kernel} would leave it out",
            "let the activation be a layer of its own",
        )
    rule.check(node)


def _activations(node: Node) -> Sequence[int]:
    if node.name in {"CONCATENATION", "L2_NORMALIZATION"}:
        return (NO_ACTIVATION,)
    if node.name == "SVDF" and node.inputs[0].type == "INT8":
        return (RELU,)
    return _ACTIVATIONS


def _axis(node: Node, value: int, rank: int) -> int:
    """Return an axis that may count from the end as one that counts from the front."""
    if not -rank <= value < rank:
        raise node.refusal(
            f"has the axis {value}, into tensor {node.output.name}",
            f"the tensor that {{kernel}} counts it in has {rank} dimensions",
        )
    return value % rank


def _same(node: Node) -> None:
    node.require_shape(node.output, node.inputs[0].shape)


def _last_axis(node: Node) -> None:
    node.require_rank(node.inputs[0], 1, LARGEST_RANK)
    _same(node)


def broadcast(one: Shape, other: Shape) -> tuple[int, ...] | None:
    """Return the shape that two shapes are stretched to, or None when they do not fit."""
    rank = max(len(one), len(other))
    pairs = zip((*[1] * (rank - len(one)), *one), (*[1] * (rank - len(other)), *other), strict=True)
    result = []
    for left, right in pairs:
        if left != right and 1 not in {left, right}:
            return None
        result.append(right if left == 1 else left)
    return tuple(result)


def _broadcast_up_to(most: int, *, also_equal: bool = False) -> Callable[[Node], None]:
    """Return the check of a kernel that stretches shapes of ``most`` dimensions.

    ``also_equal``: it takes that way with equal shapes too.
    """

    def check(node: Node) -> None:
        one, other = node.inputs
        shape = broadcast(one.shape, other.shape)
        if shape is None:
            raise node.refusal(
                f"has tensors {one.name} {one.described} and {other.name} {other.described}",
                "neither can be stretched to the shape of the other",
            )
        if one.shape != other.shape or also_equal:
            for tensor in node.tensors():
                node.require_rank(tensor, 0, most)
        node.require_shape(node.output, shape)

    return check


def _dense(node: Node) -> None:
    source, weights = node.inputs[:2]
    rows, columns = weights.shape if len(weights.shape) == 2 else (0, 0)
    if not rows:
        raise node.refusal(
            f"has weights in tensor {weights.name} {weights.described}",
            "{kernel} reads a matrix",
        )
    if node.output.type == "INT8":
        if len(node.output.shape) != 2:
            raise node.refusal(
                f"writes tensor {node.output.name} {node.output.described}",
                "{kernel} computes INT8 results of two dimensions only, and would leave a part of "
                "this one out",
                "flatten or reshape before the dense layer, and reshape after it",
            )
    else:
        node.require_rank(node.output, 1, LARGEST_RANK)
    *batch, depth = node.output.shape
    node.require(
        depth == rows and source.elements == math.prod(batch) * columns,
        f"multiplies tensor {source.name} {source.described} by tensor {weights.name} "
        f"{weights.described} into tensor {node.output.name} {node.output.described}",
    )
    node.require_bias(rows)


def _concatenation(node: Node) -> None:
    rank = len(node.output.shape)
    axis = _axis(node, node.option("axis"), rank)
    for tensor in node.inputs:
        node.require_rank(tensor, rank, rank)
    total = sum(tensor.shape[axis] for tensor in node.inputs)
    for tensor in node.inputs:
        shape = list(tensor.shape)
        shape[axis] = total
        node.require_shape(node.output, shape)


def _split(node: Node) -> None:
    source = node.inputs[1]
    (value,) = node.constant_integers(0, 1, "axis")
    axis = _axis(node, value, len(source.shape))
    shape, count = list(source.shape), len(node.outputs)
    node.require(
        shape[axis] % count == 0,
        f"splits tensor {source.name} {source.described} along axis {axis} into {count} parts",
    )
    shape[axis] //= count
    for tensor in node.outputs:
        node.require_shape(tensor, shape)


def _without(shape: Shape, axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _pack(node: Node) -> None:
    count = len(node.inputs)
    axis = _axis(node, node.option("axis"), len(node.output.shape))
    node.require(
        node.option("values_count") == count == node.output.shape[axis],
        f"packs {count} tensors, of {node.option('values_count')}, into tensor "
        f"{node.output.name} {node.output.described} along axis {axis}",
    )
    for tensor in node.inputs:
        node.require_shape(tensor, _without(node.output.shape, axis))


def _unpack(node: Node) -> None:
    (source,) = node.inputs
    count = len(node.outputs)
    axis = _axis(node, node.option("axis"), len(source.shape))
    node.require(
        node.option("num") == count == source.shape[axis],
        f"unpacks {node.option('num')} tensors, to {count}, from tensor {source.name} "
        f"{source.described} along axis {axis}",
    )
    for tensor in node.outputs:
        node.require_shape(tensor, _without(source.shape, axis))


def _reshape(node: Node) -> None:
    source, result = node.inputs[0], node.output
    node.require(
        source.elements == result.elements,
        f"makes tensor {result.name} {result.described} of tensor {source.name} {source.described}",
    )
    if node.options["new_shape"] > 8:
        raise node.refusal(
            f"has {node.option('new_shape')} dimensions in its options, for tensor {result.name}",
            "the pinned parser refuses more than 8",
            "reshape to fewer dimensions",
        )
    if len(node.inputs) == 2 and node.inputs[1].is_constant:
        tensor = node.inputs[1]
        wanted = node.constant_integers(1, tensor.elements, "dimensions")
        fits = len(wanted) == len(result.shape) and all(
            one in {-1, other} for one, other in zip(wanted, result.shape, strict=True)
        )
        node.require(
            fits,
            f"makes tensor {result.name} {result.described}, and its tensor {tensor.name} says "
            f"[{','.join(map(str, wanted))}]",
        )


def _pad(node: Node) -> None:
    source, rank = node.inputs[0], len(node.inputs[0].shape)
    node.require_rank(source, 1, 4)
    amounts = node.constant_integers(1, 2 * rank, "paddings")
    if any(amount < 0 for amount in amounts):
        raise node.refusal(
            f"takes away from tensor {source.name}: its paddings are negative",
            "{kernel} adds only",
            "slice the tensor instead",
        )
    node.require_shape(
        node.output,
        [size + sum(amounts[2 * at : 2 * at + 2]) for at, size in enumerate(source.shape)],
    )
    for value in node.inputs[2:]:
        node.require(
            value.elements == 1,
            f"pads with tensor {value.name} {value.described}, which is not one value",
        )


def _mean(node: Node) -> None:
    source = node.inputs[0]
    axes = node.constant_integers(1, 2, "axes")
    if len(source.shape) != 4 or set(axes) != {1, 2}:
        raise node.refusal(
            f"averages tensor {source.name} {source.described} over the axes {axes[0]} and "
            f"{axes[1]}",
            "{kernel} averages over height and width, the axes 1 and 2 of four, only",
            "use a pooling layer, or GlobalAveragePooling2D",
        )
    batch, _, _, depth = source.shape
    kept = (batch, 1, 1, depth)
    node.require_shape(node.output, kept if node.options["keep_dims"] else (batch, depth))


def _arg_min_max(node: Node) -> None:
    source = node.inputs[0]
    (value,) = node.constant_integers(1, 1, "axis")
    axis = _axis(node, value, len(source.shape))
    node.require_shape(node.output, _without(source.shape, axis))
    if node.operator.options is not None and node.options["output_type"] != _INT32_IN_SCHEMA:
        raise node.refusal(
            f"says that its result is of type {node.option('output_type')}, and tensor "
            f"{node.output.name} is INT32",
            DAMAGED,
        )


def _resize(node: Node) -> None:
    source = node.inputs[0]
    node.require_rank(source, 4, 4)
    size = node.constant_integers(1, 2, "new sizes")
    node.require_shape(node.output, (source.shape[0], *size, source.shape[3]))
    if node.options["half_pixel_centers"] and not (
        not node.options["align_corners"]
        and all(_takes_centres(old, new) for old, new in zip(source.shape[1:3], size, strict=True))
    ):
        raise node.refusal(
            f"takes the centres of pixels, into tensor {node.output.name} {node.output.described}",
            "{kernel} leaves that out and would take other pixels",
            "resize to twice the size, or another whole factor, or with half_pixel_centers=False",
        )


def _takes_centres(old: int, new: int) -> bool:
    """Return whether ``GetNearestNeighbor`` takes the pixels that it would take by their centres.

    It computes in single precision.
    """
    scale = single(old / new)
    return (
        new % old == 0
        and new <= _LARGEST_RESIZED
        and all(math.floor(single(place * scale)) == place * old // new for place in range(new))
    )


def _svdf(node: Node) -> None:
    source, features, times, bias, state = node.inputs
    for tensor in (source, features, times, state, node.output):
        node.require_rank(tensor, 2, 2)
    rank = node.option("rank")
    batch, columns = source.shape
    filters, memory = times.shape
    if rank <= 0 or filters % rank:
        raise node.refusal(
            f"has the rank {rank} for the {filters} filters of tensor {times.name}",
            "{kernel} divides by it",
        )
    node.require_shape(features, (filters, columns))
    node.require_shape(state, (batch, filters * memory))
    node.require_shape(node.output, (batch, filters // rank))
    node.require_shape(bias, (filters // rank,))
    if not state.is_variable or state.is_constant:
        raise node.refusal(
            f"keeps its state in tensor {state.name}, which is no variable",
            "{kernel} would write through a null pointer",
        )


def _strided_slice(node: Node) -> None:
    source, rank = node.inputs[0], len(node.inputs[0].shape)
    node.require_rank(source, 1, 4)
    begins = node.constant_integers(1, rank, "begins")
    ends = node.constant_integers(2, rank, "ends")
    strides = node.constant_integers(3, rank, "strides")
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if node.options[name]:
            raise node.refusal(
                f"slices tensor {source.name} with its option {name}",
                "{kernel} leaves that out",
                "slice with a begin and an end for each dimension, and reshape",
            )
    begin_mask, end_mask, shrink_mask = masks = [node.option(name) for name in _MASKS]
    node.require(
        all(0 <= mask < 1 << rank for mask in masks),
        f"slices tensor {source.name} with a mask of more than its {rank} dimensions",
    )
    counts = []
    for axis, (size, stride) in enumerate(zip(source.shape, strides, strict=True)):
        bit = 1 << axis
        step = abs(stride) * (*source.shape, 1)[axis + 1]
        if stride == 0 or source.elements + step > LARGEST_INT32:
            raise node.refusal(
                f"slices tensor {source.name} with a stride of {stride}",
                "{kernel} cannot step so far" if stride else "{kernel} would never arrive",
            )
        shrinks = bool(shrink_mask & bit)
        start = _start(size, None if begin_mask & bit else begins[axis], stride)
        stop = start + 1 if shrinks else ends[axis]
        stop = _stop(size, None if end_mask & bit else stop, stride)
        count = max(0, -(-(stop - start) // stride))
        if shrinks and count != 1:
            raise node.refusal(
                f"takes one element of dimension {axis} of tensor {source.name}, with an end or a "
                "stride of its own",
                f"{{kernel}} would take {count}",
                "take the element with a stride of 1 and without a mask for its end",
            )
        if not shrinks:
            counts.append(count)
    node.require_shape(node.output, counts)


def _start(size: int, begin: int | None, stride: int) -> int:
    """Return what ``StartForAxis`` of ``strided_slice_logic.h`` does; None for a masked begin."""
    if begin is None:
        return 0 if stride > 0 else size - 1
    return min(max(begin + size if begin < 0 else begin, 0), size - 1)


def _stop(size: int, end: int | None, stride: int) -> int:
    """Return what ``StopForAxis`` of ``strided_slice_logic.h`` does; None for a masked end."""
    if end is None:
        return size if stride > 0 else -1
    end = end + size if end < 0 else end
    return min(max(end, 0), size) if stride > 0 else min(max(end, -1), size - 1)


_ELEMENTWISE = Rule(_same)
_MEMORY_ONLY = Rule(_same, ranks=None)
_LAST_AXIS = Rule(_last_axis)
_BROADCAST_4 = Rule(_broadcast_up_to(_BROADCAST_RANK))
_BROADCAST_5 = Rule(_broadcast_up_to(LARGEST_RANK))
_PAD = Rule(_pad, ranks=(0, 4))

RULES: Mapping[str, Rule] = {
    "ABS": _MEMORY_ONLY,
    "ADD": _BROADCAST_4,
    "ARG_MAX": Rule(_arg_min_max),
    "ARG_MIN": Rule(_arg_min_max),
    "AVERAGE_POOL_2D": Rule(require_pooling),
    "CEIL": _ELEMENTWISE,
    "CONCATENATION": Rule(_concatenation, ranks=(0, 4)),
    "CONV_2D": Rule(require_convolution),
    "COS": _MEMORY_ONLY,
    "DEPTHWISE_CONV_2D": Rule(require_depthwise_convolution),
    "DEQUANTIZE": _ELEMENTWISE,
    "EQUAL": _BROADCAST_4,
    "FLOOR": _ELEMENTWISE,
    "FULLY_CONNECTED": Rule(_dense),
    "GREATER": _BROADCAST_4,
    "GREATER_EQUAL": _BROADCAST_4,
    "L2_NORMALIZATION": _LAST_AXIS,
    "LESS": _BROADCAST_4,
    "LESS_EQUAL": _BROADCAST_4,
    "LOG": _MEMORY_ONLY,
    "LOGICAL_AND": _BROADCAST_4,
    "LOGICAL_NOT": _MEMORY_ONLY,
    "LOGICAL_OR": _BROADCAST_4,
    "LOGISTIC": _ELEMENTWISE,
    "MAXIMUM": _BROADCAST_5,
    "MAX_POOL_2D": Rule(require_pooling),
    "MEAN": Rule(_mean),
    "MINIMUM": _BROADCAST_5,
    "MUL": _BROADCAST_4,
    "NEG": _ELEMENTWISE,
    "NOT_EQUAL": _BROADCAST_4,
    "PACK": Rule(_pack, ranks=None),
    "PAD": _PAD,
    "PADV2": _PAD,
    "PRELU": Rule(_broadcast_up_to(_BROADCAST_RANK, also_equal=True)),
    "QUANTIZE": _ELEMENTWISE,
    "RELU": _ELEMENTWISE,
    "RELU6": _ELEMENTWISE,
    # Its second input is not read: the shape of the output says it all.
    "RESHAPE": Rule(_reshape, ranks=None, empty=frozenset({1})),
    "RESIZE_NEAREST_NEIGHBOR": Rule(_resize),
    "ROUND": _ELEMENTWISE,
    "RSQRT": _MEMORY_ONLY,
    "SIN": _MEMORY_ONLY,
    "SOFTMAX": _LAST_AXIS,
    "SPLIT": Rule(_split, ranks=None, many_outputs=True),
    "SQRT": _MEMORY_ONLY,
    "SQUARE": _MEMORY_ONLY,
    "STRIDED_SLICE": Rule(_strided_slice, ranks=(0, 4)),
    "SUB": _BROADCAST_5,
    "SVDF": Rule(_svdf),
    "TANH": _ELEMENTWISE,
    "UNPACK": Rule(_unpack, ranks=None, many_outputs=True),
}
"""By the operator's name; one for each of ``KERNELS``."""
