"""Counts the work of an inference."""

from __future__ import annotations

from model.graph import Graph, Operator


def multiply_accumulates(graph: Graph) -> int:
    """Return the products that one inference adds up, padding included; other work is not counted.

    Counted are convolutions, dense layers and SVDF, which take nearly all the time of a network.
    """
    return sum(_products(graph, operator) for operator in graph.operators)


def _products(graph: Graph, operator: Operator) -> int:
    tensors = [graph.tensors[index] for index in operator.inputs]
    results = sum(graph.tensors[index].elements for index in operator.outputs)
    if operator.name == "CONV_2D":
        filters = tensors[1]
        return results * filters.elements // max(filters.shape[0], 1)
    if operator.name == "DEPTHWISE_CONV_2D":
        filters = tensors[1]
        return results * filters.elements // max(filters.shape[-1], 1)
    if operator.name == "FULLY_CONNECTED":
        return results * tensors[1].shape[-1]
    if operator.name == "SVDF":
        return tensors[0].shape[0] * (tensors[1].elements + tensors[2].elements)
    return 0
