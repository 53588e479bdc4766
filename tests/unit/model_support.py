"""Writes small .tflite files, whole or wrong on purpose, with the field numbers of the schema."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from model.kernels import NAME_OF_CODE
from model.options import OPTIONS

TYPES = {"FLOAT32": 0, "FLOAT16": 1, "INT32": 2, "UINT8": 3, "INT64": 4, "BOOL": 6, "INT16": 7}
TYPES |= {"INT8": 9, "INT4": 17}
ADD, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED = 0, 2, 3, 4, 9
LOGISTIC, LSTM, RELU, RESHAPE, SOFTMAX, SVDF, CUSTOM, PAD = 14, 16, 19, 22, 25, 27, 32, 34
STRIDED_SLICE, SPLIT = 45, 49


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@dataclass(frozen=True)
class Scalar:
    form: str
    value: float


@dataclass(frozen=True)
class Vector:
    form: str
    values: Sequence[float]
    alignment: int = 4


@dataclass(frozen=True)
class Octets:
    data: bytes
    alignment: int = 16


@dataclass(frozen=True)
class Table:
    fields: Mapping[int, Value | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    items: Sequence[Table]


Value: TypeAlias = Scalar | Vector | Octets | Table | Tables | str


def i8(value: int) -> Scalar:
    return Scalar("b", value)


def i32(value: int) -> Scalar:
    return Scalar("i", value)


def u32(value: int) -> Scalar:
    return Scalar("I", value)


def ints(values: Sequence[int]) -> Vector:
    return Vector("i", values)


def flatbuffer(root: Table, identifier: bytes = b"TFL3") -> bytes:
    """Parents stand before what they point to, each vtable before its table."""
    file = bytearray(4) + identifier
    _point(file, 0, _table(file, root))
    return bytes(file)


def _align(file: bytearray, alignment: int, ahead: int = 0) -> None:
    file.extend(bytes(-(len(file) + ahead) % alignment))


def _point(file: bytearray, place: int, target: int) -> None:
    struct.pack_into("<I", file, place, target - place)


def _table(file: bytearray, table: Table) -> int:
    present = {number: value for number, value in table.fields.items() if value is not None}
    offsets, size = {}, 4
    for number, value in present.items():
        width = struct.calcsize(value.form) if isinstance(value, Scalar) else 4
        offsets[number] = size + -size % width
        size = offsets[number] + width
    slots = [offsets.get(number, 0) for number in range(max(present, default=-1) + 1)]
    _align(file, 2)
    vtable = len(file)
    file.extend(struct.pack(f"<{2 + len(slots)}H", 4 + 2 * len(slots), size, *slots))
    _align(file, 8)
    start = len(file)
    file.extend(bytes(size))
    struct.pack_into("<i", file, start, start - vtable)
    for number, value in present.items():
        place = start + offsets[number]
        if isinstance(value, Scalar):
            struct.pack_into("<" + value.form, file, place, value.value)
        else:
            _point(file, place, _child(file, value))
    return start


def _child(file: bytearray, value: Value) -> int:
    match value:
        case Table():
            return _table(file, value)
        case Tables():
            start = _counted(file, len(value.items), 4, bytes(4 * len(value.items)))
            for number, item in enumerate(value.items):
                _point(file, start + 4 + 4 * number, _table(file, item))
            return start
        case Vector():
            data = struct.pack(f"<{len(value.values)}{value.form}", *value.values)
            return _counted(file, len(value.values), value.alignment, data)
        case Octets():
            return _counted(file, len(value.data), value.alignment, value.data)
        case str():
            return _counted(file, len(value.encode()), 4, value.encode() + b"\0")
        case _:
            raise TypeError(value)


def _counted(file: bytearray, count: int, alignment: int, data: bytes) -> int:
    _align(file, 4)
    _align(file, alignment, ahead=4)
    start = len(file)
    file.extend(struct.pack("<I", count) + data)
    return start


@dataclass(frozen=True)
class Tensor:
    name: str
    type: str = "FLOAT32"
    shape: Sequence[int] = (1, 1)
    data: bytes = b""
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    open_shape: Sequence[int] = ()
    variable: bool = False
    sparse: bool = False
    data_alignment: int = 16

    def table(self, buffer: int) -> Table:
        quantised = self.scales or self.zero_points
        quantisation = Table(
            {
                2: Vector("f", self.scales) if self.scales else None,
                3: Vector("q", self.zero_points, 8) if self.zero_points else None,
                6: i32(self.axis),
            }
        )
        return Table(
            {
                0: ints(self.shape),
                1: i8(TYPES[self.type]),
                2: u32(buffer),
                3: self.name,
                4: quantisation if quantised else None,
                5: Scalar("B", 1) if self.variable else None,
                6: Table() if self.sparse else None,
                7: ints(self.open_shape) if self.open_shape else None,
            }
        )


@dataclass(frozen=True)
class Operator:
    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    version: int = 1
    options: Table | None = None
    custom: str | None = None
    options_kind: int | None = None

    def kind(self) -> int:
        """Which options these are, in the order of the schema's union."""
        name = NAME_OF_CODE[self.code]
        return OPTIONS[name].kind if self.options_kind is None else self.options_kind

    def code_table(self) -> Table:
        return Table(
            {
                0: i8(min(self.code, 127)),
                1: self.custom,
                2: i32(self.version),
                3: i32(self.code),
            }
        )


@dataclass(frozen=True)
class Model:
    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[int]
    outputs: Sequence[int]
    schema_version: int = 3
    copies_of_subgraph: int = 1

    def root(self) -> Table:
        empty = Table()
        buffers = [empty] + [
            Table({0: Octets(each.data, each.data_alignment)}) if each.data else empty
            for each in self.tensors
        ]
        subgraph = Table(
            {
                0: Tables([each.table(1 + number) for number, each in enumerate(self.tensors)]),
                1: ints(self.inputs),
                2: ints(self.outputs),
                3: Tables(
                    [
                        Table(
                            {
                                0: u32(number),
                                1: ints(each.inputs),
                                2: ints(each.outputs),
                                3: Scalar("B", each.kind()) if each.options else None,
                                4: each.options,
                            }
                        )
                        for number, each in enumerate(self.operators)
                    ]
                ),
            }
        )
        return Table(
            {
                0: u32(self.schema_version),
                1: Tables([each.code_table() for each in self.operators]),
                2: Tables([subgraph] * self.copies_of_subgraph),
                3: "written by a test",
                4: Tables(buffers),
            }
        )

    def tflite(self) -> bytes:
        return flatbuffer(self.root())


def options(code: int, **values: float) -> Table:
    """Return the table of an operator's options, with these values by their names."""
    fields = OPTIONS[NAME_OF_CODE[code]].fields
    unknown = set(values) - set(fields)
    assert not unknown, unknown
    return Table(
        {
            number: Scalar(form, values[name])
            for name, (number, form, _) in fields.items()
            if name in values
        }
    )


def float_dense() -> Model:
    """y = 2 x + 1."""
    return Model(
        [
            Tensor("x"),
            Tensor("kernel", data=floats(2)),
            Tensor("bias", shape=(1,), data=floats(1)),
            Tensor("y"),
        ],
        [Operator(FULLY_CONNECTED, (0, 1, 2), (3,), options=Table())],
        (0,),
        (3,),
    )


def int8_dense() -> Model:
    """y = 2 x + 1 for x from 0 to 2.55."""
    return Model(
        [
            Tensor("x", "INT8", scales=[0.01], zero_points=[-128]),
            Tensor("kernel", "INT8", data=bytes([100]), scales=[0.02], zero_points=[0]),
            Tensor(
                "bias",
                "INT32",
                (1,),
                struct.pack("<i", 5000),
                scales=[0.01 * 0.02],
                zero_points=[0],
            ),
            Tensor("y", "INT8", scales=[0.03], zero_points=[-128]),
        ],
        [Operator(FULLY_CONNECTED, (0, 1, 2), (3,), 4, options=Table())],
        (0,),
        (3,),
    )


def changed(model: Model, tensor: int, **fields: Any) -> Model:
    """Return the model with other fields of one tensor."""
    tensors = list(model.tensors)
    tensors[tensor] = dataclasses.replace(tensors[tensor], **fields)
    return dataclasses.replace(model, tensors=tensors)


def with_operator(model: Model, **fields: Any) -> Model:
    """Return the model with other fields of its only operator."""
    (operator,) = model.operators
    return dataclasses.replace(model, operators=[dataclasses.replace(operator, **fields)])


def one_operator(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    version: int = 1,
    **values: float,
) -> Model:
    """Return a model of one operator; what is neither constant nor a variable is its input."""
    code = next(code for code, each in NAME_OF_CODE.items() if each == name)
    count = len(inputs)
    operator = Operator(
        code,
        range(count),
        range(count, count + len(outputs)),
        version,
        options(code, **values) if name in OPTIONS else None,
    )
    given = [at for at, each in enumerate(inputs) if not each.data and not each.variable]
    return Model([*inputs, *outputs], [operator], given, operator.outputs)


def unary(
    code: int, source: Tensor, result: Tensor, version: int = 2, options: Table | None = None
) -> Model:
    return Model([source, result], [Operator(code, (0,), (1,), version, options)], (0,), (1,))


def int8(name: str, shape: Sequence[int] = (1, 1), scale: float = 0.5, zero: int = 0) -> Tensor:
    return Tensor(name, "INT8", shape, scales=[scale], zero_points=[zero])


def int8_convolution(code: int = CONV_2D, **values: float) -> Model:
    """Two channels from one, with one scale a channel."""
    axis = 3 if code == DEPTHWISE_CONV_2D else 0
    plain = {"stride_w": 1, "stride_h": 1, **({"depth_multiplier": 2} if axis else {})}
    scales = [0.5, 0.25]
    return Model(
        [
            int8("x", (1, 1, 1, 1)),
            Tensor(
                "filter",
                "INT8",
                (1, 1, 1, 2) if axis else (2, 1, 1, 1),
                bytes([1, 2]),
                scales=scales,
                zero_points=[0, 0],
                axis=axis,
            ),
            Tensor(
                "bias",
                "INT32",
                (2,),
                bytes(8),
                scales=[0.5 * each for each in scales],
                zero_points=[0, 0],
            ),
            int8("y", (1, 1, 1, 2)),
        ],
        [Operator(code, (0, 1, 2), (3,), 3, options(code, **{**plain, **values}))],
        (0,),
        (3,),
    )
