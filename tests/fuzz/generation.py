"""Makes models of one operator each, consistent in themselves but with numbers from all over.

They reach what changing a converter's models does not: all types and shapes that the kernels have,
old operators, and scales at the ends of what can be computed.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random

from model.kernels import KERNELS, Form, Kernel
from model.options import NO_ACTIVATION, OPTIONS, RELU, SAME, VALID
from model.shapes import broadcast
from tests.unit.model_support import Model, Operator, Scalar, Table, Tensor

Shape = tuple[int, ...]

_FORMS = {"FLOAT32": "f", "INT8": "b", "UINT8": "B", "INT16": "h", "INT32": "i", "INT64": "q"}
_FORMS |= {"BOOL": "?"}
_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}


class Maker:
    """Collects the tensors of a model with one operator."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.random = random
        self.kernel: Kernel = KERNELS[name]
        self.form: Form = random.choice(self.kernel.forms)
        self.tensors: list[Tensor] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.options: dict[str, float] = {}

    def shape(self, fewest: int = 0, most: int = 5) -> Shape:
        largest = self.random.choice((1, 2, 3, 3, 5, 9))
        return tuple(
            self.random.randint(1, largest) for _ in range(self.random.randint(fewest, most))
        )

    def scale(self) -> float:
        wide = self.random.random()
        exponent = self.random.uniform(-8, 2) if wide < 0.7 else self.random.uniform(-34, 16)
        exponent = exponent if wide < 0.95 else self.random.uniform(-45, 45)
        scale = 2.0**exponent if self.random.random() < 0.8 else 2.0 ** round(exponent)
        return float(struct.unpack("<f", struct.pack("<f", scale))[0])

    def quantised(self, tensor: Tensor, count: int = 1, *, symmetric: bool = False) -> Tensor:
        """Return the tensor with scales and a zero point, if it is of a type that has them."""
        if tensor.type not in _RANGES:
            return tensor
        lowest, highest = _RANGES[tensor.type]
        zero = self.random.choice((lowest, highest, 0, 0, self.random.randint(lowest, highest)))
        zero = 0 if symmetric else min(max(zero, lowest), highest)
        scales = [self.scale() for _ in range(count)]
        return dataclasses.replace(tensor, scales=scales, zero_points=[zero] * count)

    def content(self, kind: str, count: int) -> bytes:
        """Return random elements; of floats mostly ordinary ones."""
        if kind == "BOOL":
            return bytes(self.random.randrange(2) for _ in range(count))
        if kind == "FLOAT32" and self.random.random() < 0.9:
            return struct.pack(f"<{count}f", *(self.random.uniform(-8, 8) for _ in range(count)))
        width = struct.calcsize("<" + _FORMS[kind])
        if self.random.random() < 0.3:
            return bytes([self.random.choice((0, 1, 0x7F, 0x80, 0xFF))]) * (width * count)
        return self.random.randbytes(width * count)

    def source(self, tensor: Tensor, *, constant: bool | None = None) -> Tensor:
        """Add an input, that is constant or is one of the model's."""
        if constant is None:
            constant = bool(self.inputs) and self.random.random() < 0.4
        if constant and not tensor.data:
            data = self.content(tensor.type, math.prod(tensor.shape))
            tensor = dataclasses.replace(tensor, data=data)
        self.inputs.append(len(self.tensors))
        self.tensors.append(tensor)
        return tensor

    def integers(self, name: str, values: Sequence[int], shape: Shape | None = None) -> Tensor:
        shape = (len(values),) if shape is None else shape
        data = struct.pack(f"<{len(values)}i", *values)
        return self.source(Tensor(name, "INT32", shape, data), constant=True)

    def result(self, tensor: Tensor) -> Tensor:
        """Add an output, with the scale that the kernel gives it or that of the first input."""
        fixed = self.kernel.fixed.get(tensor.type)
        if fixed is not None:
            tensor = dataclasses.replace(tensor, scales=[fixed[0]], zero_points=[fixed[1]])
        elif self.kernel.moves_raw_values and tensor.type != "BOOL":
            first = self.tensors[self.inputs[1 if self.name == "SPLIT" else 0]]
            tensor = dataclasses.replace(tensor, scales=first.scales, zero_points=first.zero_points)
        else:
            tensor = self.quantised(tensor)
        self.outputs.append(len(self.tensors))
        self.tensors.append(tensor)
        return tensor

    def operand(self, name: str, shape: Shape, place: int = 0) -> Tensor:
        kind = self.form.operands[min(place, len(self.form.operands) - 1)]
        tensor = self.quantised(Tensor(name, kind, shape))
        if self.kernel.moves_raw_values and self.inputs:
            first = self.tensors[self.inputs[0]]
            tensor = dataclasses.replace(tensor, scales=first.scales, zero_points=first.zero_points)
        return tensor

    def computed(self, name: str, shape: Shape) -> Tensor:
        return self.result(Tensor(name, self.form.result, shape))

    def model(self) -> Model:
        known = OPTIONS.get(self.name)
        options = None
        if known is not None:
            fields: dict[int, Scalar | None] = {
                number: Scalar(form, self.options[name])
                for name, (number, form, _) in known.fields.items()
                if name in self.options
            }
            options = Table(fields)
        operator = Operator(self.kernel.code, self.inputs, self.outputs, self.form.version, options)
        given = [place for place in self.inputs if self.is_given(place)]
        return Model(self.tensors, [operator], list(dict.fromkeys(given)), self.outputs)

    def is_given(self, place: int) -> bool:
        return not self.tensors[place].data and not self.tensors[place].variable

    def activation(self) -> int:
        return self.random.choice((NO_ACTIVATION, NO_ACTIVATION, RELU, 2, 3))


def _same(maker: Maker) -> None:
    last_axis = maker.name in {"SOFTMAX", "L2_NORMALIZATION"}
    shape = maker.shape(int(last_axis))
    if last_axis and maker.random.random() < 0.1:
        shape = (*shape[:-1], maker.random.choice((500, 511, 512, 4095, 4096, 40000)))
    maker.options["beta"] = maker.random.choice((1, 1, 1, 0.5, 0, -1, 1e-9, 1e9, math.nan))
    maker.source(maker.operand("x", shape), constant=False)
    maker.computed("y", shape)


def _two(maker: Maker) -> None:
    shape = maker.shape()
    other = list(shape[maker.random.randrange(len(shape) + 1) :] if shape else shape)
    for axis in range(len(other)):
        if maker.random.random() < 0.3:
            other[axis] = 1
    shapes = [shape, tuple(other) if maker.random.random() < 0.6 else shape]
    if maker.name != "PRELU":
        maker.random.shuffle(shapes)
    for name, each in zip("ab", shapes, strict=True):
        maker.source(maker.operand(name, each, "ab".index(name)))
    maker.options["fused_activation_function"] = maker.activation()
    maker.computed("y", broadcast(*shapes) or ())


def _weights(maker: Maker, shape: Shape, axis: int | None) -> Tensor:
    kind = maker.form.operands[1]
    channels = shape[0 if axis is None else axis]
    many = axis is not None and kind == "INT8" and maker.random.random() < 0.6
    symmetric = axis is not None and kind == "INT8"
    weights = maker.quantised(
        Tensor("weights", kind, shape, axis=axis or 0), channels if many else 1, symmetric=symmetric
    )
    constant = maker.random.random() < 0.95
    return maker.source(weights, constant=constant)


def _bias(maker: Maker, count: int, scales: Sequence[float]) -> None:
    if maker.random.random() < 0.1:
        return
    kind = maker.form.operands[2]
    bias = Tensor("bias", kind, (count,))
    if kind == "INT32":
        limit = maker.random.choice((100, 1 << 16, (1 << 31) - 1))
        values = [maker.random.randint(-limit, limit) for _ in range(count)]
        bias = dataclasses.replace(
            bias,
            data=struct.pack(f"<{count}i", *values),
            scales=[min(max(scale, 1e-38), 3e38) for scale in scales],
            zero_points=[0] * len(scales),
        )
    maker.source(bias, constant=True)


def _dense(maker: Maker) -> None:
    rows, columns = maker.random.randint(1, 6), maker.random.choice((1, 2, 7, 100))
    batch = maker.shape(0, 2) if maker.form.result != "INT8" else maker.shape(1, 1)
    source = maker.source(maker.operand("x", (*batch, columns)), constant=False)
    weights = _weights(maker, (rows, columns), None)
    _bias(maker, rows, [one * other for one in source.scales for other in weights.scales])
    maker.options["fused_activation_function"] = maker.activation()
    maker.computed("y", (*batch, rows))


def _window(maker: Maker, image: int, size: int, letter: str, *, dilated: bool) -> int:
    stride = maker.random.choice((1, 1, 2, 3, 70000))
    maker.options[f"stride_{letter}"] = stride
    dilation = maker.random.choice((1, 1, 1, 2, 3)) if dilated else 1
    if dilated:
        maker.options[f"dilation_{letter}_factor"] = dilation
    reach = (size - 1) * dilation + 1
    if maker.options["padding"] == SAME:
        return -(-image // stride)
    return max(1, (image + stride - reach) // stride)


def _convolution(maker: Maker) -> None:
    depthwise = maker.name == "DEPTHWISE_CONV_2D"
    height, width, depth = (maker.random.randint(1, 7) for _ in range(3))
    rows, columns = (maker.random.randint(1, 4) for _ in range(2))
    source = maker.source(maker.operand("x", (1, height, width, depth)), constant=False)
    multiplier = maker.random.randint(1, 3)
    channels = depth * multiplier if depthwise else maker.random.randint(1, 4)
    axis = 3 if depthwise else 0
    shape = (1, rows, columns, channels) if depthwise else (channels, rows, columns, depth)
    weights = _weights(maker, shape, axis)
    _bias(maker, channels, [one * other for one in source.scales for other in weights.scales])
    maker.options["padding"] = maker.random.choice((SAME, VALID))
    maker.options["fused_activation_function"] = maker.activation()
    if depthwise:
        maker.options["depth_multiplier"] = multiplier
    high = _window(maker, height, rows, "h", dilated=True)
    wide = _window(maker, width, columns, "w", dilated=True)
    maker.computed("y", (1, high, wide, channels))


def _pooling(maker: Maker) -> None:
    shape = maker.shape(4, 4)
    maker.source(maker.operand("x", shape), constant=False)
    maker.options["padding"] = maker.random.choice((SAME, VALID))
    maker.options["fused_activation_function"] = maker.activation()
    sizes = []
    for side, axis in (("height", 1), ("width", 2)):
        size = maker.random.choice((1, 2, 3, 3, 65535, 70000))
        maker.options[f"filter_{side}"] = size
        sizes.append(_window(maker, shape[axis], size, side[0], dilated=False))
    maker.computed("y", (shape[0], *sizes, shape[3]))


def _axis(maker: Maker, rank: int) -> tuple[int, int]:
    """Return an axis from the front, and the same from the front or from the end."""
    axis = maker.random.randrange(rank)
    return axis, axis - rank if maker.random.random() < 0.5 else axis


def _concatenation(maker: Maker) -> None:
    shape = maker.shape(1, 4)
    axis, given = _axis(maker, len(shape))
    parts = [maker.random.randint(1, 3) for _ in range(maker.random.randint(1, 11))]
    for number, part in enumerate(parts):
        piece = (*shape[:axis], part, *shape[axis + 1 :])
        maker.source(maker.operand(f"x{number}", piece))
    maker.options |= {"axis": given}
    maker.computed("y", (*shape[:axis], sum(parts), *shape[axis + 1 :]))


def _split(maker: Maker) -> None:
    shape = maker.shape(1, 6)
    axis, given = _axis(maker, len(shape))
    count = maker.random.randint(1, 4)
    maker.integers("axis", [given], maker.random.choice(((), (1,))))
    whole = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    maker.source(maker.quantised(Tensor("x", maker.form.operands[1], whole)), constant=False)
    for number in range(count):
        maker.computed(f"y{number}", shape)


def _pack(maker: Maker) -> None:
    shape = maker.shape(0, 5)
    axis, given = _axis(maker, len(shape) + 1)
    count = maker.random.randint(1, 4)
    for number in range(count):
        maker.source(maker.operand(f"x{number}", shape))
    maker.options |= {"values_count": count, "axis": given}
    maker.computed("y", (*shape[:axis], count, *shape[axis:]))


def _unpack(maker: Maker) -> None:
    shape = maker.shape(1, 6)
    axis, given = _axis(maker, len(shape))
    maker.source(maker.operand("x", shape), constant=False)
    maker.options |= {"num": shape[axis], "axis": given}
    for number in range(shape[axis]):
        maker.computed(f"y{number}", (*shape[:axis], *shape[axis + 1 :]))


def _reshape(maker: Maker) -> None:
    shape = maker.shape(0, 7)
    maker.source(maker.operand("x", shape), constant=False)
    target = [*shape, 1] if maker.random.random() < 0.5 else [math.prod(shape)]
    maker.random.shuffle(target)
    if maker.random.random() < 0.5:
        wanted = list(target)
        wanted[maker.random.randrange(len(wanted))] = maker.random.choice((-1, wanted[0]))
        maker.integers("shape", wanted)
    maker.computed("y", tuple(target))


def _pad(maker: Maker) -> None:
    shape = maker.shape(1, 4)
    maker.source(maker.operand("x", shape), constant=False)
    amounts = [maker.random.choice((0, 0, 1, 2, -1)) for _ in range(2 * len(shape))]
    maker.integers("paddings", amounts, (len(shape), 2))
    if maker.name == "PADV2":
        value = maker.operand("value", maker.random.choice(((), (1,))), 2)
        maker.source(value, constant=maker.random.random() < 0.7)
    added = [size + sum(amounts[2 * at : 2 * at + 2]) for at, size in enumerate(shape)]
    maker.computed("y", tuple(added))


def _mean(maker: Maker) -> None:
    batch, height, width, depth = shape = maker.shape(4, 4)
    maker.source(maker.operand("x", shape), constant=False)
    maker.integers("axes", maker.random.choice(([1, 2], [2, 1], [1], [1, 1], [-3, -2], [2, 3])))
    kept = maker.random.random() < 0.5
    maker.options["keep_dims"] = kept
    del height, width
    maker.computed("y", (batch, 1, 1, depth) if kept else (batch, depth))


def _arg(maker: Maker) -> None:
    shape = maker.shape(1, 5)
    axis, given = _axis(maker, len(shape))
    maker.source(maker.operand("x", shape), constant=False)
    maker.integers("axis", [given], maker.random.choice(((), (1,))))
    maker.options["output_type"] = 2
    maker.computed("y", (*shape[:axis], *shape[axis + 1 :]))


def _resize(maker: Maker) -> None:
    batch, _, _, depth = shape = maker.shape(4, 4)
    maker.source(maker.operand("x", shape), constant=False)
    size = [maker.random.choice((1, 2, 3, 5, 1000)) for _ in range(2)]
    maker.integers("size", size)
    maker.options["align_corners"] = maker.random.randrange(2)
    maker.computed("y", (batch, *size, depth))


def _strided_slice(maker: Maker) -> None:
    shape = maker.shape(1, 4)
    rank, pick = len(shape), maker.random
    maker.source(maker.operand("x", shape), constant=False)
    begins, ends, strides, counts = [], [], [], []
    masks = {name: pick.getrandbits(rank) & pick.getrandbits(rank) for name in _MASKS}
    for axis, size in enumerate(shape):
        begin, end = (pick.randint(-size - 2, size + 2) for _ in range(2))
        stride = pick.choice((1, 1, 1, 2, -1, -2, 1 << 30, -(1 << 31)))
        begins.append(begin)
        ends.append(end)
        strides.append(stride)
        bit = 1 << axis
        taken = range(size)[
            slice(
                None if masks["begin_mask"] & bit else begin,
                None if masks["end_mask"] & bit else end,
                stride,
            )
        ]
        if not masks["shrink_axis_mask"] & bit:
            counts.append(len(taken))
    for name, values in (("begin", begins), ("end", ends), ("strides", strides)):
        maker.integers(name, values)
    maker.options |= masks
    maker.computed("y", tuple(counts))


_MASKS = ("begin_mask", "end_mask", "shrink_axis_mask")


def _svdf(maker: Maker) -> None:
    batch, columns, units, rank, memory = (maker.random.randint(1, 4) for _ in range(5))
    filters = units * rank
    kinds = [*maker.form.operands, *[maker.form.operands[-1]] * 4]
    maker.source(maker.quantised(Tensor("x", kinds[0], (batch, columns))), constant=False)
    features = Tensor("features", kinds[1], (filters, columns))
    maker.source(maker.quantised(features, symmetric=True), constant=True)
    times = maker.quantised(Tensor("times", kinds[2], (filters, memory)), symmetric=True)
    if kinds[2] == "INT16" and maker.random.random() < 0.7:
        limit = 1 << maker.random.randint(1, 14)
        values = [maker.random.randint(-limit, limit) for _ in range(filters * memory)]
        times = dataclasses.replace(times, data=struct.pack(f"<{len(values)}h", *values))
    maker.source(times, constant=True)
    state = Tensor("state", kinds[4], (batch, filters * memory), variable=True)
    state = maker.quantised(state, symmetric=True)
    _bias_of_svdf(maker, kinds[3], units, [a * b for a in state.scales for b in times.scales])
    maker.source(state, constant=False)
    maker.options |= {"rank": rank, "fused_activation_function": RELU}
    result = maker.computed("y", (batch, units))
    if result.type == "INT8":
        maker.tensors[-1] = dataclasses.replace(result, zero_points=[-128])


def _bias_of_svdf(maker: Maker, kind: str, units: int, scales: Sequence[float]) -> None:
    data = struct.pack(f"<{units}i", *(maker.random.randint(-999, 999) for _ in range(units)))
    zeros = [0] * len(scales)
    bias = Tensor("bias", kind, (units,), data if kind == "INT32" else b"", scales, zeros)
    maker.source(bias, constant=True)


_FAMILIES: Mapping[str, Callable[[Maker], None]] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "PRELU"), _two),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER"), _two),
    **dict.fromkeys(("GREATER_EQUAL", "LOGICAL_AND", "LOGICAL_OR"), _two),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _convolution),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pooling),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _arg),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    "CONCATENATION": _concatenation,
    "FULLY_CONNECTED": _dense,
    "MEAN": _mean,
    "PACK": _pack,
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SVDF": _svdf,
    "UNPACK": _unpack,
}
"""Of operators that do not give what they take its own shape."""


def generated(random: Random, name: str | None = None) -> bytes:
    """Return a model of one operator, any if it is not named."""
    maker = Maker(random.choice(sorted(KERNELS)) if name is None else name, random)
    _FAMILIES.get(maker.name, _same)(maker)
    return maker.model().tflite()
