"""Checks sizes against what any board with a 32-bit processor can count, whatever its memories."""

from __future__ import annotations

from model.errors import UnsupportedModelError
from model.graph import Graph, Tensor

LARGEST_ARENA = (1 << 31) - 16
"""In bytes: the pinned planner counts with 32 bits and a sign."""

_MOST = 4096
"""Of tensors and of operators: the interpreter keeps more than 40 bytes of RAM for each."""

_LARGEST_RANK = 8
"""``TFLITE_RESHAPE_PARAMS_MAX_DIMENSION_COUNT`` of ``lite/c/builtin_op_data.h``."""


def require_counts(graph: Graph) -> None:
    """Check the numbers of tensors, operators and dimensions, and the size of each tensor.

    Raises:
        UnsupportedModelError: one is beyond what the pinned tree can count.
    """
    for count, name in ((len(graph.tensors), "tensors"), (len(graph.operators), "operators")):
        if count > _MOST:
            raise UnsupportedModelError(
                f"the model has {count} {name}",
                why=f"{_MOST} are more than any board has the memory for",
                next_step="make the model smaller",
            )
    for tensor in graph.tensors:
        _require_size(tensor)


def _require_size(tensor: Tensor) -> None:
    if len(tensor.shape) > _LARGEST_RANK:
        raise UnsupportedModelError(
            f"tensor {tensor.name} has {len(tensor.shape)} dimensions",
            why=f"the pinned tree knows {_LARGEST_RANK} at most",
            next_step="reshape the tensor to fewer dimensions",
        )
    if tensor.elements * (tensor.element_bytes or 1) > LARGEST_ARENA:
        raise UnsupportedModelError(
            f"tensor {tensor.name} has {tensor.elements} elements",
            why="that is more than a 32-bit processor can address",
            next_step="make the model smaller",
        )


def require_arena(wanted: int) -> None:
    """Check a size of the tensor arena, in bytes.

    Raises:
        UnsupportedModelError: no 32-bit processor can address it.
    """
    if wanted > LARGEST_ARENA:
        raise UnsupportedModelError(
            f"the model needs {wanted} bytes of memory to run",
            why="that is more than a 32-bit processor can address",
            next_step="make the model smaller",
        )
