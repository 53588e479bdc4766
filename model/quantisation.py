"""Checks scales and zero points against what the pinned kernels make of them.

Nearly all of these models run on the device without any error and give wrong numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import UnsupportedModelError
from model.graph import Operator, Quantisation, Tensor
from model.kernels import Kernel

QUANTISED = frozenset({"INT8", "UINT8"})
RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
"""Smallest and largest value by type."""

LARGEST_BIAS_ERROR = 0.02
"""In output steps; from ``GetQuantizedConvolutionMultipler`` of ``lite/kernels/kernel_util.cc``."""

_PER_TENSOR_CURE = (
    "convert with converter._experimental_disable_per_channel_quantization_for_dense_layers = True"
)
_AGAIN = "convert with TensorFlow's own quantisation and a representative data set"


def require_one_scale(operator: Operator, kernel: Kernel, tensors: Sequence[Tensor]) -> None:
    """Check that only inputs with channels, none of UINT8, have several scales: one a channel.

    Args:
        operator: a node of the graph.
        kernel: what computes it.
        tensors: its inputs, then its outputs.

    Raises:
        UnsupportedModelError: a tensor has scales that the kernel does not read.
    """
    for place, tensor in enumerate(tensors):
        count = 0 if tensor.quantisation is None else len(tensor.quantisation.scales)
        if count <= 1:
            continue
        if place not in kernel.channels:
            dense = operator.name == "FULLY_CONNECTED"
            raise UnsupportedModelError(
                f"{operator.name} has {count} scales, one a channel, in tensor {tensor.name}",
                why=f"its kernel ({kernel.source}) reads the first scale only and would compute "
                "wrong numbers without an error",
                next_step=_PER_TENSOR_CURE if dense else "quantise this tensor with one scale",
            )
        if tensor.type == "UINT8":
            raise UnsupportedModelError(
                f"{operator.name} has {count} scales, one a channel, in the UINT8 tensor "
                f"{tensor.name}",
                why="TensorFlow Lite defines a scale for each channel for INT8 only",
                next_step="quantise to int8, or this tensor with one scale",
            )
        axis = kernel.channels[place]
        channels = tensor.shape[axis] if axis < len(tensor.shape) else 0
        if count != channels or (tensor.quantisation and tensor.quantisation.dimension != axis):
            raise UnsupportedModelError(
                f"{operator.name} has {count} scales for the {channels} channels of tensor "
                f"{tensor.name}",
                why=f"its kernel ({kernel.source}) reads one for each slice along dimension {axis}",
                next_step=_AGAIN,
            )


def require_quantisation(operator: Operator, kernel: Kernel, tensors: Sequence[Tensor]) -> None:
    """Check that every quantised tensor has the scales that the kernel computes with.

    Args:
        operator: a node of the graph.
        kernel: what computes it.
        tensors: its inputs, then its outputs.

    Raises:
        UnsupportedModelError: one has not; names the tensor.
    """
    for tensor in tensors:
        # A kernel that moves values moves plain 16-bit numbers too.
        if tensor.type in QUANTISED or (tensor.type == "INT16" and not kernel.moves_raw_values):
            _usable(operator, tensor)
    if tensors[0].type in QUANTISED:
        _require_plain_channels(operator, kernel, tensors)
        _require_bias(operator, kernel, tensors)
    _require_fixed(operator, kernel, tensors[-1])
    if kernel.moves_raw_values:
        _require_same(operator, kernel, [each for each in tensors if each.type in QUANTISED])


def _usable(operator: Operator, tensor: Tensor) -> Quantisation:
    """Return a tensor's quantisation when there is one to compute with."""
    parameters = tensor.quantisation
    if (
        parameters is None
        or not parameters.scales
        or len(parameters.scales) != len(parameters.zero_points)
        or not all(0 < scale < float("inf") for scale in parameters.scales)
    ):
        raise UnsupportedModelError(
            f"{operator.name} has the {tensor.type} tensor {tensor.name} without a scale and "
            "a zero point for each channel",
            why="the pinned tree then computes with a scale of 0 or reads outside the file",
            next_step="convert with a representative data set",
        )
    # Of INT32, a bias, no kernel reads it.
    lowest, highest = RANGES.get(tensor.type, (0, 0))
    for zero_point in parameters.zero_points:
        if not lowest <= zero_point <= highest:
            raise UnsupportedModelError(
                f"{operator.name} has the {tensor.type} tensor {tensor.name} with the zero point "
                f"{zero_point}",
                why=f"that is not between {lowest} and {highest}: the file is damaged or was "
                "written by a faulty tool",
                next_step=_AGAIN,
            )
    return parameters


def _require_plain_channels(operator: Operator, kernel: Kernel, tensors: Sequence[Tensor]) -> None:
    if tensors[0].type != "INT8":
        return
    for place in kernel.channels:
        tensor = tensors[place]
        if place != kernel.bias and any(_usable(operator, tensor).zero_points):
            raise UnsupportedModelError(
                f"{operator.name} has a zero point other than 0 in tensor {tensor.name}",
                why=f"its kernel ({kernel.source}) takes it for 0",
                next_step=_AGAIN,
            )


def _require_bias(operator: Operator, kernel: Kernel, tensors: Sequence[Tensor]) -> None:
    if kernel.bias is None or kernel.bias >= len(operator.inputs):
        return
    quantisations = [_usable(operator, tensors[place]) for place in (0, 1, kernel.bias, -1)]
    source, weights, bias, result = (each.scales for each in quantisations)
    if len(bias) not in {1, len(weights)} or any(
        abs(source[0] * weight - bias[number % len(bias)]) / result[0] > LARGEST_BIAS_ERROR
        for number, weight in enumerate(weights)
    ):
        raise UnsupportedModelError(
            f"{operator.name} has a bias, tensor {tensors[kernel.bias].name}, whose scale is not "
            "that of its input times that of its weights",
            why=f"its kernel ({kernel.source}) adds the bias to their products as it is",
            next_step=_AGAIN,
        )


def _require_fixed(operator: Operator, kernel: Kernel, result: Tensor) -> None:
    fixed = kernel.fixed.get(result.type)
    if fixed is None:
        return
    parameters = _usable(operator, result)
    if (parameters.scales[0], parameters.zero_points[0]) != fixed:
        raise UnsupportedModelError(
            f"{operator.name} gives tensor {result.name} the scale {parameters.scales[0]:g} and "
            f"the zero point {parameters.zero_points[0]}",
            why=f"its kernel ({kernel.source}) computes with {fixed[0]:g} and {fixed[1]}",
            next_step=_AGAIN,
        )


def _require_same(operator: Operator, kernel: Kernel, quantised: Sequence[Tensor]) -> None:
    if operator.name == "CONCATENATION" and any(each.type == "UINT8" for each in quantised):
        return
    for tensor in quantised[1:]:
        first, other = _usable(operator, quantised[0]), _usable(operator, tensor)
        if (first.scales, first.zero_points) != (other.scales, other.zero_points):
            raise UnsupportedModelError(
                f"{operator.name} has tensors of different scales: {quantised[0].name} and "
                f"{tensor.name}",
                why=f"the pinned kernel ({kernel.source}) takes the values over unchanged",
                next_step="let the converter fuse the layer with the one before it, or quantise "
                "both tensors alike",
            )
