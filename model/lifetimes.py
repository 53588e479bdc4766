"""Checks the life of each tensor: written once and then read, in memory that can be planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from model.errors import UnsupportedModelError
from model.graph import Graph, Tensor
from model.node import Node

_STATE = ("SVDF", 4)
"""The input that keeps its value from one inference to the next."""


def require_lifetimes(graph: Graph) -> None:
    """Check that what is read was written before, and that the memory planner accepts the rest.

    Raises:
        UnsupportedModelError: one tensor has no such life; names it.
    """
    if not graph.operators:
        raise UnsupportedModelError(
            "the model has no operators",
            why="there is nothing to compute",
            next_step="convert a network with at least one layer",
        )
    for ends, name in ((graph.inputs, "inputs"), (graph.outputs, "outputs")):
        if not ends:
            raise UnsupportedModelError(
                f"the model has no {name}",
                why="it would compute the same each time, or nothing that can be seen",
                next_step="convert a network with an input and an output",
            )
    written: set[int] = set()
    for index in _writings(graph):
        _require_writable(graph.tensors[index], again=index in written)
        written.add(index)
    _require_variables(graph, written)
    _require_order(graph)
    read = {*graph.outputs, *(index for each in graph.operators for index in each.inputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in read and not tensor.is_constant and not tensor.is_variable:
            raise UnsupportedModelError(
                f"tensor {tensor.name} is not read by any operator",
                why="the pinned memory planner refuses a tensor that is not used",
                next_step="leave the layer's unused input or output out of the network",
            )


def _writings(graph: Graph) -> Iterator[int]:
    yield from graph.inputs
    for operator in graph.operators:
        yield from operator.outputs


def _require_writable(tensor: Tensor, *, again: bool) -> None:
    if tensor.is_constant:
        raise UnsupportedModelError(
            f"tensor {tensor.name} is computed and has constant content",
            why="the device would write into its flash",
            next_step="convert the model with TensorFlow",
        )
    if again:
        raise UnsupportedModelError(
            f"tensor {tensor.name} is written twice",
            why="what is read from it would be the one or the other",
            next_step="convert the model with TensorFlow",
        )


def _require_order(graph: Graph) -> None:
    ready = set(graph.inputs)
    for index, tensor in enumerate(graph.tensors):
        if tensor.is_constant or tensor.is_variable or tensor.elements == 0:
            ready.add(index)
    for operator in graph.operators:
        for index in operator.inputs:
            if index not in ready:
                raise _nothing_written(operator.name, graph.tensors[index])
        ready.update(operator.outputs)
    for index in graph.outputs:
        if index not in ready:
            raise _nothing_written("the model's output", graph.tensors[index])


def _require_variables(graph: Graph, written: Set[int]) -> None:
    """Check that variables are states, which the interpreter sets to zero when it starts."""
    others = written | {
        index
        for operator in graph.operators
        for place, index in enumerate(operator.inputs)
        if (operator.name, place) != _STATE
    }
    for index, tensor in enumerate(graph.tensors):
        if tensor.is_variable and (tensor.is_constant or index in others):
            raise UnsupportedModelError(
                f"tensor {tensor.name} is a variable and no state of an SVDF",
                why="the pinned tree keeps no other state between two inferences",
                next_step="let the network have no state, or keep it outside of the network",
            )


def require_scratch_buffers(nodes: Sequence[Node]) -> None:
    """Check that kernels ask for scratch buffers one after another.

    The pinned allocator keeps them in one piece of memory, and Prepare of a convolution takes
    memory of its own.

    Raises:
        UnsupportedModelError: a convolution comes in between.
    """
    asked, interrupted = False, False
    for node in nodes:
        if node.name == "SVDF":
            if interrupted:
                raise node.refusal(
                    f"comes after another SVDF and a convolution, into tensor {node.output.name}",
                    "the pinned allocator refuses scratch buffers that are not asked for in a row",
                    "put the convolutions before the first SVDF",
                )
            asked = True
        elif node.name in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            interrupted = asked


def _nothing_written(reader: str, tensor: Tensor) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{reader} reads tensor {tensor.name} before anything is written to it",
        why="the operators are not in the order of their data, or one is missing",
        next_step="convert the model with TensorFlow",
    )
