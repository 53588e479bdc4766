"""Estimates the memory that the pinned interpreter needs for a model.

The firmware checks it when it starts and prints what it used; measuring the smallest arena that
works is the simulator's business.
"""

from __future__ import annotations

from model.graph import Graph, Tensor

BLOCK = 1024
"""The estimate is rounded up to a multiple of this, so that a small change keeps the arena."""

_ALIGNMENT = 16
# Sizes on a 32-bit processor, from tensorflow/lite/c/common.h and micro/micro_allocator.cc.
_TENSOR_BYTES = 64
_PLAN_ENTRY_BYTES = 20
_AFFINE_BYTES = 12
# A node with its registration (80), its operator data (at most 56), options and scratch handles.
_OPERATOR_BYTES = 208
_FIXED_BYTES = 256


def estimate_arena(graph: Graph) -> int:
    """Return a number of bytes that is enough, a multiple of ``BLOCK``.

    Everything that the interpreter keeps beside the tensors is counted with its size on a 32-bit
    processor; tensors alive at the same time are added up. The planner's fragmentation is not
    known here, so a quarter of the tensors' size is added when there are more than two at a time.
    """
    total = _FIXED_BYTES + _OPERATOR_BYTES * len(graph.operators)
    for tensor in graph.tensors:
        total += _TENSOR_BYTES + _PLAN_ENTRY_BYTES + 4 * (1 + len(tensor.shape))
        if tensor.quantisation is not None:
            total += _AFFINE_BYTES + 2 * (4 + 4 * len(tensor.quantisation.scales))
            # CONV_2D and DEPTHWISE_CONV_2D keep a multiplier and a shift for each channel.
            if len(tensor.quantisation.scales) > 1:
                total += 8 * len(tensor.quantisation.scales)
    total += _live_bytes(graph) * 5 // 4
    return -(-total // BLOCK) * BLOCK


def _live_bytes(graph: Graph) -> int:
    """Return the largest sum of computed tensors that are needed at the same time."""
    first: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    last: dict[int, int] = dict.fromkeys(graph.outputs, len(graph.operators))
    for step, operator in enumerate(graph.operators):
        for index in operator.outputs:
            first.setdefault(index, step)
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0:
                last[index] = max(last.get(index, step), step)
    sizes = {
        index: _aligned_bytes(graph.tensors[index])
        for index in first
        if not graph.tensors[index].is_constant
    }
    return max(
        (
            sum(size for index, size in sizes.items() if first[index] <= step <= last.get(index, 0))
            for step in range(len(graph.operators) + 1)
        ),
        default=0,
    ) + sum(_aligned_bytes(tensor) for tensor in graph.tensors if tensor.is_variable)


def _aligned_bytes(tensor: Tensor) -> int:
    size = tensor.elements * (tensor.element_bytes or 0)
    return -(-size // _ALIGNMENT) * _ALIGNMENT
