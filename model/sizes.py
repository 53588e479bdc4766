"""Says what the bytes of a ``.tflite`` file are spent on."""

from __future__ import annotations

from dataclasses import dataclass

from model.graph import read_graph

SMALLEST_DYNAMIC_WEIGHT = 1024
"""Elements from which on the converter quantises a weight in dynamic range.

``kWeightsMinNumElementsDefault`` in TensorFlow's ``lite/tools/optimize/quantize_weights.cc``.
"""


@dataclass(frozen=True)
class FileParts:
    """The bytes of one file.

    Attributes:
        total: the whole file.
        weights: constants that are multiplied with, of two dimensions or more.
        biases: constants of one dimension or none.
        tensors: how many tensors the graph has, computed ones included.
        quantised_tensors: how many of them carry scales and zero points.
        largest_weight: elements of the largest weight.
    """

    total: int
    weights: int
    biases: int
    tensors: int
    quantised_tensors: int
    largest_weight: int

    @property
    def structure(self) -> int:
        """Everything but the constants: graph, names, scales, versions, alignment."""
        return self.total - self.weights - self.biases


def file_parts(tflite: bytes) -> FileParts:
    """Read a model.

    Raises:
        UnsupportedModelError: the file cannot be read.
    """
    graph = read_graph(tflite)
    constants = [tensor for tensor in graph.tensors if tensor.is_constant]
    weights = [tensor for tensor in constants if len(tensor.shape) > 1]
    return FileParts(
        total=len(tflite),
        weights=sum(len(tensor.data.data) for tensor in weights),
        biases=sum(len(tensor.data.data) for tensor in constants if len(tensor.shape) <= 1),
        tensors=len(graph.tensors),
        quantised_tensors=sum(tensor.quantisation is not None for tensor in graph.tensors),
        largest_weight=max((tensor.elements for tensor in weights), default=0),
    )
