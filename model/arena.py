"""Estimates the memory that the pinned interpreter needs for a model.

The firmware checks it when it starts and prints what it used; measuring the smallest arena that
works is the simulator's business.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

from model.graph import Graph, Operator, Tensor

BLOCK = 1024
"""The estimate is rounded up to a multiple of this, so that a small change keeps the arena."""

_ALIGNMENT = 16
# Sizes on a 32-bit processor, from tensorflow/lite/c/common.h and micro/micro_allocator.cc.
TENSOR_BYTES = 64
NODE_BYTES = 40
AFFINE_BYTES = 12
# While the plan is made: of each tensor or scratch buffer, and of each one that is placed.
ALLOCATION_BYTES = 20
PLANNED_BYTES = 36
# Of tensorflow/lite/c/builtin_op_data.h, the largest of an operator with a kernel.
OPTIONS_BYTES = 40
# What a kernel's Init keeps: its OpData.
_DATA_BYTES = {
    "CONV_2D": 40,
    "DEPTHWISE_CONV_2D": 40,
    "DEQUANTIZE": 8,
    "FULLY_CONNECTED": 20,
    "QUANTIZE": 8,
    "SVDF": 24,
}
# internal::ScratchBufferHandle of micro/micro_allocator.h.
_HANDLE_BYTES = 12
# The filter's dimension that counts the channels.
_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
# The allocator itself, and the alignment of what it hands out first.
_FIXED_BYTES = 64


@dataclass(frozen=True)
class PlannedBuffer:
    """Memory that is needed from operator ``first`` to operator ``last``, both included."""

    size: int
    first: int
    last: int


def estimate_arena(graph: Graph) -> int:
    """Return a number of bytes that is enough, a multiple of ``BLOCK``.

    Everything that the interpreter keeps beside the tensors is counted with its size on a 32-bit
    processor; computed tensors are placed as the pinned planner places them.
    """
    kept = _FIXED_BYTES + sum(_tensor_bytes(each) for each in graph.tensors)
    kept += sum(_operator_bytes(graph, each) for each in graph.operators)
    buffers = planned_buffers(graph)
    offsets = place_buffers(buffers)
    placed = max((at + each.size for at, each in zip(offsets, buffers, strict=True)), default=0)
    # The planner works in the memory that it will hand out.
    planning = ALLOCATION_BYTES * (len(graph.tensors) + len(_scratch_buffers(graph)))
    planning += PLANNED_BYTES * len(buffers)
    return -(-(kept + max(placed, planning)) // BLOCK) * BLOCK


def _tensor_bytes(tensor: Tensor) -> int:
    total = TENSOR_BYTES
    if tensor.quantisation is not None:
        total += AFFINE_BYTES + 2 * (4 + 4 * len(tensor.quantisation.scales))
    if tensor.is_variable:
        total += _handed_out(_bytes(tensor))
    return total


def _operator_bytes(graph: Graph, operator: Operator) -> int:
    total = NODE_BYTES + OPTIONS_BYTES
    if operator.name in _DATA_BYTES:
        total += _handed_out(_DATA_BYTES[operator.name])
    if operator.name in _CHANNELS:
        # A multiplier and a shift for each channel, quantised or not.
        channels = _dimension(graph.tensors[operator.inputs[1]], _CHANNELS[operator.name])
        total += 2 * _handed_out(4 * channels)
    if operator.name == "SVDF":
        total += 2 * _HANDLE_BYTES
    return total


def _handed_out(size: int) -> int:
    """Return what ``size`` bytes cost at most when they are aligned."""
    return size + _ALIGNMENT - 1


def planned_buffers(graph: Graph) -> tuple[PlannedBuffer, ...]:
    """Return the computed tensors and the scratch buffers, as the pinned allocator lists them."""
    end = len(graph.operators) - 1
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.outputs, end)
    for step, operator in enumerate(graph.operators):
        for index in operator.outputs:
            first.setdefault(index, step)
        for index in (*operator.inputs, *operator.outputs):
            last[index] = max(last.get(index, step), step)
    computed = [
        PlannedBuffer(_aligned(_bytes(tensor)), first[index], last.get(index, end))
        for index, tensor in enumerate(graph.tensors)
        if index in first and not tensor.is_constant and not tensor.is_variable
    ]
    return (*computed, *_scratch_buffers(graph))


def _scratch_buffers(graph: Graph) -> list[PlannedBuffer]:
    """Return what SVDF asks for: 4 bytes a filter, and 4 bytes a unit, of which not more are."""
    buffers = []
    for step, operator in enumerate(graph.operators):
        if operator.name == "SVDF":
            batch, filters = (_dimension(graph.tensors[index], 0) for index in operator.inputs[:2])
            buffers += 2 * [PlannedBuffer(_aligned(4 * batch * filters), step, step)]
    return buffers


def _dimension(tensor: Tensor, axis: int) -> int:
    return tensor.shape[axis] if axis < len(tensor.shape) else 1


def place_buffers(buffers: Sequence[PlannedBuffer]) -> tuple[int, ...]:
    """Return an offset for each buffer: what ``greedy_memory_planner.cc`` computes.

    The largest comes first; each next one goes into the first gap, among the placed ones that
    are needed at the same time, that is large enough.
    """
    offsets: dict[int, int] = {}
    placed: list[tuple[int, PlannedBuffer]] = []
    for number in sorted(range(len(buffers)), key=lambda each: -buffers[each].size):
        wanted = buffers[number]
        offset = 0
        for start, other in placed:
            if other.first > wanted.last or wanted.first > other.last:
                continue
            if start - offset >= wanted.size:
                break
            offset = max(offset, start + other.size)
        offsets[number] = offset
        insort(placed, (offset, wanted), key=lambda each: each[0])
    return tuple(offsets[number] for number in range(len(buffers)))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _bytes(tensor: Tensor) -> int:
    return tensor.elements * (tensor.element_bytes or 0)
