"""Inputs on which firmware and judge are compared, for a model of any form.

As bytes, a case is the contents of all input tensors one after the other, in the model's order, and
the cases follow each other without anything between them; outputs likewise.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.arrays import Array, as_float32, read_arrays
from model.embedding import scalar_quantisation
from model.errors import UnusableDataError
from model.files import zip_bytes
from model.graph import Graph, Tensor

DTYPES: dict[str, type[np.generic]] = {
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
"""By the schema's name, the types of tensors that the pinned tree has."""

MOST = 64
BYTES_OF_CASES = 32768
"""About as much of the board's flash as inputs may take that nobody asked for."""

_LARGEST_DRAWN = 100
"""Of integers that are no quantised numbers."""


@dataclass(frozen=True)
class Cases:
    """Values of each tensor, shape ``(cases, *shape of the tensor)``."""

    tensors: tuple[Array, ...]

    @property
    def count(self) -> int:
        """Number of cases."""
        return len(self.tensors[0]) if self.tensors else 0

    def as_bytes(self) -> bytes:
        """Return the cases one after the other."""
        return b"".join(
            np.ascontiguousarray(tensor[number]).tobytes()
            for number in range(self.count)
            for tensor in self.tensors
        )

    @classmethod
    def from_bytes(cls, data: bytes, tensors: Sequence[Tensor]) -> Cases:
        """Read what ``as_bytes`` wrote.

        Raises:
            ValueError: ``data`` is no whole number of cases.
        """
        sizes = [tensor.elements * (tensor.element_bytes or 0) for tensor in tensors]
        if not sum(sizes) or len(data) % sum(sizes):
            raise ValueError(f"{len(data)} bytes are not cases of {sum(sizes)} bytes")
        rows = np.frombuffer(data, np.uint8).reshape(-1, sum(sizes))
        parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return cls(
            tuple(
                np.ascontiguousarray(part).view(DTYPES[tensor.type]).reshape(-1, *tensor.shape)
                for part, tensor in zip(parts, tensors, strict=True)
            )
        )

    def as_npz(self, names: Sequence[str]) -> bytes:
        """Return a ``.npz`` archive with a member for each tensor; the same bytes for the same."""
        members = {}
        for name, tensor in zip(names, self.tensors, strict=True):
            stream = io.BytesIO()
            np.save(stream, tensor)
            members[f"{name}.npy"] = stream.getvalue()
        return zip_bytes(members)


def model_inputs(graph: Graph) -> tuple[Tensor, ...]:
    """Return the input tensors in the model's order."""
    return tuple(graph.tensors[index] for index in graph.inputs)


def model_outputs(graph: Graph) -> tuple[Tensor, ...]:
    """Return the output tensors in the model's order."""
    return tuple(graph.tensors[index] for index in graph.outputs)


def random_cases(graph: Graph, seed: int) -> Cases:
    """Draw cases, one or more: any values, then the lowest and the highest, then any again.

    Quantised tensors get their whole range, floats -1 to 1, other integers -100 to 100.

    Args:
        graph: a model of which ``require_support`` said nothing.
        seed: of the generator (PCG64); the same seed gives the same bytes.
    """
    tensors = model_inputs(graph)
    size = sum(tensor.elements * (tensor.element_bytes or 0) for tensor in tensors)
    count = min(max(BYTES_OF_CASES // max(size, 1), 1), MOST)
    generator = np.random.default_rng(seed)
    return Cases(tuple(_drawn(tensor, count, generator) for tensor in tensors))


def _drawn(tensor: Tensor, count: int, generator: np.random.Generator) -> Array:
    dtype = DTYPES[tensor.type]
    shape = (count, *tensor.shape)
    values: Array
    if dtype is np.float32:
        lowest, highest = -1, 1
        values = generator.uniform(-1.0, 1.0, shape).astype(np.float32)
    elif dtype is np.bool_:
        lowest, highest = 0, 1
        values = generator.integers(0, 2, shape).astype(np.bool_)
    else:
        lowest, highest = -_LARGEST_DRAWN, _LARGEST_DRAWN
        if np.dtype(dtype).itemsize <= 2:
            limits = np.iinfo(dtype)  # type: ignore[type-var]
            lowest, highest = int(limits.min), int(limits.max)
        values = generator.integers(lowest, highest + 1, shape).astype(dtype)
    # Where there is room for a few only, one that is like what the model will see counts most.
    values[1:2], values[2:3] = lowest, highest
    return values


def given_cases(graph: Graph, path: Path) -> Cases:
    """Read the user's cases.

    Args:
        graph: a model of which ``require_support`` said nothing.
        path: see ``read_arrays``. Each array has the tensor's shape after a first dimension that
            counts the cases; a batch dimension of 1 may be left out. Floats for a quantised
            tensor are real numbers and get quantised.

    Raises:
        UnusableDataError: an array is missing, or does not fit its tensor.
    """
    tensors = model_inputs(graph)
    arrays = read_arrays(path, [tensor.name for tensor in tensors])
    cases = Cases(
        tuple(_fitted(array, tensor, path) for array, tensor in zip(arrays, tensors, strict=True))
    )
    counts = {len(tensor) for tensor in cases.tensors}
    if len(counts) != 1 or not cases.count:
        raise UnusableDataError(
            f"the arrays of {path.name} hold {', '.join(map(str, sorted(counts)))} cases",
            next_step="give the same number of cases, 1 or more, for each input",
        )
    return cases


def _fitted(array: Array, tensor: Tensor, path: Path) -> Array:
    shapes = [tensor.shape]
    if tensor.shape[:1] == (1,):
        shapes.append(tensor.shape[1:])
    if not array.ndim or array.shape[1:] not in shapes:
        wanted = " or ".join(f"(cases, {', '.join(map(str, shape))})" for shape in shapes)
        raise UnusableDataError(
            f"{path.name} has shape {array.shape} for the model's input {tensor.name}",
            why=f"it must be {wanted}",
            next_step="reshape the array",
        )
    return _converted(array, tensor, path).reshape(-1, *tensor.shape)


def _converted(array: Array, tensor: Tensor, path: Path) -> Array:
    dtype = np.dtype(DTYPES[tensor.type])
    scale, zero_point = scalar_quantisation(tensor)
    if array.dtype.kind == "f":
        converted = as_float32(array) if dtype == np.float32 else array
        if not np.isfinite(converted).all():
            raise UnusableDataError(
                f"{path.name} has numbers that are not finite for the input {tensor.name}",
                why="float32 reaches to 3.4e38" if np.isfinite(array).all() else "",
                next_step="look at how the data were made",
            )
        if dtype == np.float32:
            return converted
        if scale is not None and zero_point is not None:
            limits = np.iinfo(dtype)
            with np.errstate(over="ignore"):
                steps = np.round(array.astype(np.float64) / scale) + zero_point
            return np.clip(steps, limits.min, limits.max).astype(dtype)
    elif array.dtype == dtype:
        return array
    elif array.dtype.kind in "iu" and dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if limits.min <= array.min() and array.max() <= limits.max:
            return array.astype(dtype)
    raise UnusableDataError(
        f"{path.name} has numbers of type {array.dtype} for the model's input {tensor.name}, which "
        f"is {tensor.type}",
        why="they cannot be converted without loss",
        next_step=f"give {dtype}" + (", or floats to be quantised" if scale is not None else ""),
    )
