"""What the kernels of the pinned TensorFlow Lite Micro tree can compute.

Read from the kernels themselves (``tensorflow/lite/micro/kernels``, the file of each entry), not
from ``all_ops_resolver.cc``, which registers some of them at fewer versions than they compute.
Versions are those of ``tensorflow/lite/tools/versioning/op_version.cc``, which each converter
writes; type names are those of the schema's ``TensorType``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANY_COUNT = 1 << 16


@dataclass(frozen=True)
class Form:
    """One combination of types that a kernel computes.

    Attributes:
        operands: type of each input; the last one stands for all that follow.
        result: type of every output.
        version: highest operator version of which the kernel knows everything.
    """

    operands: tuple[str, ...]
    result: str
    version: int


@dataclass(frozen=True)
class Kernel:
    """One kernel.

    Attributes:
        code: ``BuiltinOperator`` in the schema.
        source: its file in ``tensorflow/lite/micro/kernels``.
        forms: the types that it computes.
        inputs: smallest and largest number of inputs.
        bias: input that is added to the products of the first two as it is, so that its scale
            must be the product of theirs.
        channels: of each input that may have one scale a channel, the dimension that counts them;
            zero points of such an input are not read.
        moves_raw_values: quantised values are moved or compared without rescaling, so that inputs
            and output must share scale and zero point.
        fixed: scale and zero point that the kernel gives an output of a type, whatever the
            tensor's own are.
    """

    code: int
    source: str
    forms: tuple[Form, ...]
    inputs: tuple[int, int]
    bias: int | None = None
    channels: Mapping[int, int] = field(default_factory=dict)
    moves_raw_values: bool = False
    fixed: Mapping[str, tuple[float, int]] = field(default_factory=dict)


def _of(types: str, version: int, operands: str = "T", result: str = "T") -> tuple[Form, ...]:
    """Return a form for each type; ``T`` in ``operands`` and ``result`` stands for the type."""

    def named(name: str, kind: str) -> str:
        return kind if name == "T" else name

    return tuple(
        Form(tuple(named(name, kind) for name in operands.split()), named(result, kind), version)
        for kind in types.split()
    )


_8BIT = "UINT8 INT8"
_FLOAT_8BIT = f"FLOAT32 {_8BIT}"
_MOVED = f"{_FLOAT_8BIT} INT32 INT64"


def _weighted(version: int) -> tuple[Form, ...]:
    return (
        *_of("FLOAT32", version, "T T T"),
        *_of(_8BIT, version, "T T INT32"),
    )


def _float_function(code: int, source: str) -> Kernel:
    return Kernel(code, source, _of("FLOAT32", 1), (1, 1))


def _comparison(code: int, types: str) -> Kernel:
    return Kernel(code, "comparisons.cc", _of(types, 2, "T T", "BOOL"), (2, 2))


_ORDERED = f"FLOAT32 INT32 INT64 {_8BIT}"

KERNELS: Mapping[str, Kernel] = {
    "ADD": Kernel(0, "add.cc", _of(_FLOAT_8BIT, 2, "T T"), (2, 2)),
    "AVERAGE_POOL_2D": Kernel(1, "pooling.cc", _of(_FLOAT_8BIT, 2), (1, 1), moves_raw_values=True),
    "CONCATENATION": Kernel(
        2,
        "concatenation.cc",
        # UINT8 is rescaled, INT8 is not: see support.py.
        _of(_MOVED, 3),
        (1, 10),
        moves_raw_values=True,
    ),
    "CONV_2D": Kernel(3, "conv.cc", _weighted(3), (2, 3), bias=2, channels={1: 0, 2: 0}),
    "DEPTHWISE_CONV_2D": Kernel(
        4, "depthwise_conv.cc", _weighted(3), (2, 3), bias=2, channels={1: 3, 2: 0}
    ),
    "DEQUANTIZE": Kernel(
        6,
        "dequantize.cc",
        # To INT32 too, which is not in the schema's meaning of it.
        (*_of(_8BIT, 2, "T", "FLOAT32"), Form(("INT16",), "FLOAT32", 3)),
        (1, 1),
    ),
    "FLOOR": _float_function(8, "floor.cc"),
    "FULLY_CONNECTED": Kernel(9, "fully_connected.cc", _weighted(4), (2, 3), bias=2),
    "L2_NORMALIZATION": Kernel(
        11,
        "l2norm.cc",
        _of(_FLOAT_8BIT, 2),
        (1, 1),
        fixed={"UINT8": (1 / 128, 128), "INT8": (1 / 128, 0)},
    ),
    "LOGISTIC": Kernel(
        14, "logistic.cc", _of("FLOAT32 INT8", 2), (1, 1), fixed={"INT8": (1 / 256, -128)}
    ),
    "MAX_POOL_2D": Kernel(17, "pooling.cc", _of(_FLOAT_8BIT, 2), (1, 1), moves_raw_values=True),
    "MUL": Kernel(18, "mul.cc", _of(_FLOAT_8BIT, 3, "T T"), (2, 2)),
    "RELU": Kernel(19, "activations.cc", _of(_FLOAT_8BIT, 2), (1, 1), moves_raw_values=True),
    "RELU6": Kernel(21, "activations.cc", _of(_FLOAT_8BIT, 2), (1, 1), moves_raw_values=True),
    "RESHAPE": Kernel(
        22, "reshape.cc", _of(f"{_MOVED} INT16 BOOL", 1, "T INT32"), (1, 2), moves_raw_values=True
    ),
    "SOFTMAX": Kernel(
        25,
        "softmax.cc",
        (*_of(_FLOAT_8BIT, 2), Form(("INT8",), "INT16", 2)),
        (1, 1),
        fixed={"UINT8": (1 / 256, 0), "INT8": (1 / 256, -128), "INT16": (1 / 65536, -32768)},
    ),
    "SVDF": Kernel(
        27,
        "svdf.cc",
        (*_of("FLOAT32", 3), Form(("INT8", "INT8", "INT16", "INT32", "INT16"), "INT8", 3)),
        (5, 5),
    ),
    "TANH": Kernel(28, "tanh.cc", _of("FLOAT32 INT8", 2), (1, 1), fixed={"INT8": (1 / 128, 0)}),
    "PAD": Kernel(
        34, "pad.cc", _of(f"{_FLOAT_8BIT} INT32", 2, "T INT32"), (2, 2), moves_raw_values=True
    ),
    "MEAN": Kernel(40, "reduce.cc", _of("FLOAT32", 1, "T INT32"), (2, 2)),
    "SUB": Kernel(41, "sub.cc", _of(_FLOAT_8BIT, 2, "T T"), (2, 2)),
    "STRIDED_SLICE": Kernel(
        45,
        "strided_slice.cc",
        _of(_FLOAT_8BIT, 2, "T INT32 INT32 INT32"),
        (4, 4),
        moves_raw_values=True,
    ),
    "SPLIT": Kernel(
        49,
        "split.cc",
        (
            *_of(f"{_FLOAT_8BIT} INT32", 3, "INT32 T"),
            *_of("INT16", 4, "INT32 T"),
        ),
        (2, 2),
        moves_raw_values=True,
    ),
    "PRELU": Kernel(54, "prelu.cc", _of(_FLOAT_8BIT, 1, "T T"), (2, 2)),
    "MAXIMUM": Kernel(
        55, "maximum_minimum.cc", _of(_MOVED, 2, "T T"), (2, 2), moves_raw_values=True
    ),
    "ARG_MAX": Kernel(56, "arg_min_max.cc", _of(_FLOAT_8BIT, 2, "T INT32", "INT32"), (2, 2)),
    "MINIMUM": Kernel(
        57, "maximum_minimum.cc", _of(_MOVED, 2, "T T"), (2, 2), moves_raw_values=True
    ),
    "LESS": _comparison(58, _ORDERED),
    "NEG": _float_function(59, "neg.cc"),
    "PADV2": Kernel(
        60, "pad.cc", _of(f"{_FLOAT_8BIT} INT32", 2, "T INT32 T"), (3, 3), moves_raw_values=True
    ),
    "GREATER": _comparison(61, _ORDERED),
    "GREATER_EQUAL": _comparison(62, _ORDERED),
    "LESS_EQUAL": _comparison(63, _ORDERED),
    "SIN": _float_function(66, "elementwise.cc"),
    "EQUAL": _comparison(71, f"BOOL {_ORDERED}"),
    "NOT_EQUAL": _comparison(72, f"BOOL {_ORDERED}"),
    "LOG": _float_function(73, "elementwise.cc"),
    "SQRT": _float_function(75, "elementwise.cc"),
    "RSQRT": _float_function(76, "elementwise.cc"),
    "ARG_MIN": Kernel(79, "arg_min_max.cc", _of(_FLOAT_8BIT, 2, "T INT32", "INT32"), (2, 2)),
    "PACK": Kernel(83, "pack.cc", _of(_MOVED, 2), (1, ANY_COUNT), moves_raw_values=True),
    "LOGICAL_OR": Kernel(84, "logical.cc", _of("BOOL", 1, "T T"), (2, 2)),
    "LOGICAL_AND": Kernel(86, "logical.cc", _of("BOOL", 1, "T T"), (2, 2)),
    "LOGICAL_NOT": Kernel(87, "elementwise.cc", _of("BOOL", 1), (1, 1)),
    "UNPACK": Kernel(
        88, "unpack.cc", _of(f"{_FLOAT_8BIT} INT32", 2), (1, 1), moves_raw_values=True
    ),
    "SQUARE": _float_function(92, "elementwise.cc"),
    "RESIZE_NEAREST_NEIGHBOR": Kernel(
        97,
        "resize_nearest_neighbor.cc",
        # Version 3 may ask for centres of pixels, which only shapes.py can tell to be of no matter.
        _of(_FLOAT_8BIT, 3, "T INT32"),
        (2, 2),
        moves_raw_values=True,
    ),
    "ABS": _float_function(101, "elementwise.cc"),
    "CEIL": _float_function(104, "ceil.cc"),
    "COS": _float_function(108, "elementwise.cc"),
    "QUANTIZE": Kernel(
        114,
        "quantize.cc",
        (
            Form(("FLOAT32",), "INT8", 1),
            Form(("FLOAT32",), "UINT8", 1),
            Form(("INT16",), "INT8", 1),
        ),
        (1, 1),
    ),
    "ROUND": _float_function(116, "round.cc"),
}
"""By the operator's name in the schema, which is also that of ``Register_<name>()``."""

NAME_OF_CODE: Mapping[int, str] = {kernel.code: name for name, kernel in KERNELS.items()}
