"""Reads a ``.tflite`` file: operators, versions, tensor types, quantisation.

Field numbers are those of TensorFlow's ``lite/schema/schema.fbs``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model.errors import UnsupportedModelError
from model.flatbuffer import MalformedFlatbufferError, Octets, Table
from model.kernels import NAME_OF_CODE
from model.structure import require_structure

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
CUSTOM_CODE = 32
OPTIONAL_TENSOR = -1

_TYPES = (
    *("FLOAT32", "FLOAT16", "INT32", "UINT8", "INT64", "STRING", "BOOL", "INT16", "COMPLEX64"),
    *("INT8", "FLOAT64", "COMPLEX128", "UINT64", "RESOURCE", "VARIANT", "UINT32", "UINT16"),
    *("INT4", "BFLOAT16"),
)
_TYPE_BYTES = {
    name: size
    for size, names in {
        1: "INT8 UINT8 BOOL",
        2: "FLOAT16 BFLOAT16 INT16 UINT16",
        4: "FLOAT32 INT32 UINT32",
        8: "FLOAT64 INT64 UINT64 COMPLEX64",
        16: "COMPLEX128",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True)
class Quantisation:
    """real = scale * (value - zero point), per tensor or per slice along ``dimension``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dimension: int


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        type: name in the schema, or ``type <number>`` for one that is not known here.
        shape: dimensions; empty for a scalar.
        open_shape: dimensions with -1 where the size is open; empty where none is.
        data: constant content and where it stands in the file; empty for a computed tensor.
        quantisation: None when there is none.
        is_variable: keeps its value from one inference to the next.
        is_sparse: stored in a packed form.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    open_shape: tuple[int, ...]
    data: Octets
    quantisation: Quantisation | None
    is_variable: bool
    is_sparse: bool

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def element_bytes(self) -> int | None:
        """Bytes of one element; None where they vary or are unknown."""
        return _TYPE_BYTES.get(self.type)

    @property
    def described(self) -> str:
        """Type and shape, such as ``INT8[1,4]``."""
        return f"{self.type}[{','.join(map(str, self.shape))}]"

    @property
    def is_constant(self) -> bool:
        """Whether its content stands in the file."""
        return bool(self.data.data)


@dataclass(frozen=True)
class Operator:
    """One node of the graph.

    Attributes:
        name: in the schema; ``CUSTOM <its name>`` for a custom operator.
        version: from the operator code table.
        inputs: indices of tensors; -1 for an optional one that is left out.
        outputs: indices of tensors.
        options: table of the operator's own options, or None.
        options_kind: which table of the schema's union ``BuiltinOptions`` that is.
        has_custom_options: whether the options of a custom operator are there too.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    options_kind: int = 0
    has_custom_options: bool = False


@dataclass(frozen=True)
class Graph:
    """The one subgraph of a model."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]

    def operator_versions(self) -> tuple[tuple[str, int], ...]:
        """Return each pair of operator and version once, in order of first use."""
        return tuple(dict.fromkeys((each.name, each.version) for each in self.operators))


def read_graph(tflite: bytes) -> Graph:
    """Read a model.

    Raises:
        UnsupportedModelError: not a TFL3 flatbuffer, damaged, of another schema version, with
            more than one subgraph, or with indices that lead nowhere.
    """
    with damage_refused():
        return _graph(Table.root(tflite, IDENTIFIER))


@contextmanager
def damage_refused() -> Iterator[None]:
    """Turn what is found while a table is read, an operator's options too, into a refusal.

    Raises:
        UnsupportedModelError: something in the file points outside of it.
    """
    try:
        yield
    except MalformedFlatbufferError as error:
        raise UnsupportedModelError(
            "the model is not a readable TensorFlow Lite file",
            why=str(error),
            next_step="give a .tflite file as TensorFlow's converter writes it, complete",
        ) from error


def _graph(model: Table) -> Graph:
    version = model.integer(0, "I")
    if version != SCHEMA_VERSION:
        raise UnsupportedModelError(
            f"the model has schema version {version}",
            why=f"the pinned tree reads version {SCHEMA_VERSION}",
            next_step="convert the model with TensorFlow 2",
        )
    require_structure(model)
    subgraphs = model.tables(2)
    if len(subgraphs) != 1:
        raise UnsupportedModelError(
            f"the model has {len(subgraphs)} subgraphs",
            why="the pinned interpreter runs models with exactly one: no control flow",
            next_step="convert the model without loops and conditions",
        )
    (subgraph,) = subgraphs
    codes = [_operator_code(code) for code in model.tables(1)]
    buffers = model.tables(4)
    tensors = tuple(
        _tensor(table, number, buffers) for number, table in enumerate(subgraph.tables(0))
    )
    graph = Graph(
        tensors,
        subgraph.integers(1, "i"),
        subgraph.integers(2, "i"),
        tuple(_operator(table, codes) for table in subgraph.tables(3)),
    )
    _check_indices(graph)
    return graph


def _operator_code(code: Table) -> tuple[str, int]:
    # The first field held all codes until there were more than a signed byte can count; a file
    # has either one or both, and the pinned tree reads the first.
    old, number = code.integer(0, "b"), code.integer(3, "i")
    builtin = max(old, number)
    version = code.integer(2, "i", 1)
    if builtin == CUSTOM_CODE:
        return f"CUSTOM {code.text(1)}", version
    name = operator_name(builtin)
    if builtin != old and builtin in NAME_OF_CODE:
        raise UnsupportedModelError(
            f"the operator code of {name} stands in the newer field of the file only",
            why="the pinned tree reads the older field",
            next_step="convert the model with TensorFlow, which writes both",
        )
    return name, version


def operator_name(code: int) -> str:
    """Return the schema's name of a builtin operator, also of one without a kernel.

    Outside the train image the latter are called by their number.
    """
    if code in NAME_OF_CODE:
        return NAME_OF_CODE[code]
    # Imported here because it takes longer than all the rest.
    try:
        from tflite.utils import BUILTIN_OPCODE2NAME
    except ModuleNotFoundError:
        return f"builtin operator {code}"
    return str(BUILTIN_OPCODE2NAME.get(code, f"builtin operator {code}"))


def _tensor(table: Table, number: int, buffers: tuple[Table, ...]) -> Tensor:
    name = table.text(3) or f"number {number}"
    kind = table.integer(1, "b")
    buffer = table.integer(2, "I")
    if buffer >= len(buffers):
        raise MalformedFlatbufferError(f"tensor {name} has buffer {buffer} of {len(buffers)}")
    if buffers[buffer].integer(1, "Q") > 1:
        raise UnsupportedModelError(
            f"the content of tensor {name} stands behind the flatbuffer",
            why="the pinned tree reads content inside the flatbuffer only",
            next_step="convert the model to less than 2 GB",
        )
    open_shape = table.integers(7, "i")
    return Tensor(
        name=name,
        type=_TYPES[kind] if 0 <= kind < len(_TYPES) else f"type {kind}",
        shape=table.integers(0, "i"),
        open_shape=open_shape if -1 in open_shape else (),
        data=buffers[buffer].octets(0),
        quantisation=_quantisation(table.table(4)),
        is_variable=bool(table.integer(5, "B")),
        is_sparse=table.has(6),
    )


def _quantisation(table: Table | None) -> Quantisation | None:
    if table is None:
        return None
    scales = table.numbers(2, "f")
    zero_points = table.integers(3, "q")
    if not scales and not zero_points:
        return None
    return Quantisation(scales, zero_points, table.integer(6, "i"))


def _operator(table: Table, codes: list[tuple[str, int]]) -> Operator:
    code = table.integer(0, "I")
    if code >= len(codes):
        raise MalformedFlatbufferError(f"an operator has code {code} of {len(codes)}")
    name, version = codes[code]
    return Operator(
        name,
        version,
        table.integers(1, "i"),
        table.integers(2, "i"),
        table.table(4),
        table.integer(3, "B"),
        table.has(5),
    )


def _check_indices(graph: Graph) -> None:
    count = len(graph.tensors)
    for operator in graph.operators:
        for tensor in operator.inputs:
            if not OPTIONAL_TENSOR <= tensor < count:
                raise MalformedFlatbufferError(f"{operator.name} reads tensor {tensor} of {count}")
    written = [tensor for operator in graph.operators for tensor in operator.outputs]
    for tensor in (*graph.inputs, *graph.outputs, *written):
        if not 0 <= tensor < count:
            raise MalformedFlatbufferError(f"the graph names tensor {tensor} of {count}")
