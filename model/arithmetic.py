"""Checks that the numbers of a quantised operator stay inside what its pinned kernel counts with.

The kernels multiply 32-bit integers by a multiplier of 31 bits and a power of two
(``QuantizeMultiplier`` of ``lite/kernels/internal/quantization_util.cc``). Where a multiplier is
out of the range that a kernel is made for they halt the device; where a sum does not fit 32 bits it
wraps around, without an error. Each check takes the worst input there can be.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence

from model.graph import Tensor
from model.node import LARGEST_INT32, Node, single
from model.options import RELU6, RELU_N1_TO_1
from model.quantisation import LARGEST_BIAS_ERROR, RANGES

_EXTREME = 2.0**40
_ROOM = 256
"""What is added to a rescaled sum is a zero point, and smaller than this."""

_QUANTISE = "convert with TensorFlow's own quantisation and a representative data set"
_WRAPS_AROUND = "{kernel} computes with 32 bits: the result would wrap around without an error"
_SMALLER_LAYER = "make the layer smaller, or leave the model in float32"


def require_arithmetic(node: Node) -> None:
    """Check one operator whose shapes, options and quantisation have been checked.

    Raises:
        UnsupportedModelError: for some input the kernel would wrap around or halt.
    """
    quantised = [each for each in node.tensors() if each.type in RANGES and each.quantisation]
    for tensor in quantised:
        _require_plain_scales(node, tensor)
    _require_activation(node)
    if node.inputs[0].type in RANGES or node.output.type in RANGES:
        CHECKS.get(node.name, _nothing)(node)


def _nothing(node: Node) -> None:
    del node


def _scale(tensor: Tensor) -> float:
    return tensor.quantisation.scales[0] if tensor.quantisation else 1.0


def _zero_point(tensor: Tensor) -> int:
    return tensor.quantisation.zero_points[0] if tensor.quantisation else 0


def _is_8bit(tensor: Tensor) -> bool:
    return tensor.type in {"INT8", "UINT8"}


def _farthest(tensor: Tensor) -> int:
    """Return the largest distance of a value from the zero point."""
    lowest, highest = RANGES[tensor.type]
    zero_point = _zero_point(tensor)
    return max(highest - zero_point, zero_point - lowest)


def _require_plain_scales(node: Node, tensor: Tensor) -> None:
    for scale in tensor.quantisation.scales if tensor.quantisation else ():
        if not 1 / _EXTREME < scale < _EXTREME:
            raise node.refusal(
                f"has tensor {tensor.name} with the scale {scale:g}",
                "the products of such scales leave the range of single precision, in which "
                "{kernel} computes with them",
                _QUANTISE,
            )


def _require_activation(node: Node) -> None:
    limits = {RELU6: 6, RELU_N1_TO_1: 1}
    activation = node.options.get("fused_activation_function", 0)
    limit = 6 if node.name == "RELU6" else limits.get(int(activation), 0)
    tensor = node.output
    if _is_8bit(tensor) and limit / _scale(tensor) > LARGEST_INT32 - _ROOM:
        raise node.refusal(
            f"limits tensor {tensor.name}, with the scale {_scale(tensor):g}, to {limit}",
            "that is a number of steps that {kernel} cannot count",
            _QUANTISE,
        )


def quantised_multiplier(value: float) -> tuple[int, int]:
    """Return what ``QuantizeMultiplier`` does: ``value = multiplier / 2**31 * 2**shift``."""
    fraction, shift = math.frexp(value)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def _require_sum(node: Node, worst: int, tensor: Tensor) -> None:
    """Check that sums of at most ``worst`` on the way into ``tensor`` fit."""
    if worst > LARGEST_INT32 - _ROOM:
        raise node.refusal(
            f"adds up to {worst}, into tensor {tensor.name}", _WRAPS_AROUND, _SMALLER_LAYER
        )


def _require_rescaling(node: Node, worst: int, multiplier: float, tensor: Tensor) -> None:
    """Check ``MultiplyByQuantizedMultiplier`` of a sum of at most ``worst`` into ``tensor``."""
    _require_sum(node, worst, tensor)
    _, shift = quantised_multiplier(multiplier)
    if shift > 30 or worst << max(shift, 0) > LARGEST_INT32 - _ROOM:
        raise node.refusal(
            f"multiplies sums of up to {worst} by {multiplier:g}, into tensor {tensor.name}",
            _WRAPS_AROUND,
            _SMALLER_LAYER,
        )


def _require_below_one(node: Node, multiplier: float, tensor: Tensor) -> None:
    """Check ``QuantizeMultiplierSmallerThanOneExp``, which halts the device at any other."""
    if not 0 < multiplier < 1 or quantised_multiplier(multiplier)[1] > 0:
        raise node.refusal(
            f"multiplies tensor {tensor.name}, with the scale {_scale(tensor):g}, by "
            f"{multiplier:g}",
            "{kernel} halts the device unless that is between 0 and 1",
            _QUANTISE,
        )


def _sum_of_two(node: Node) -> None:
    # SUB computes these in single precision, ADD in double.
    rounded: Callable[[float], float] = single if node.name == "SUB" else float
    one, other = node.inputs
    twice = 2 * max(_scale(one), _scale(other))
    for tensor in node.inputs:
        _require_below_one(node, rounded(_scale(tensor) / twice), tensor)
    _require_below_one(node, rounded(twice / ((1 << 20) * _scale(node.output))), node.output)


def _product_of_two(node: Node) -> None:
    one, other = node.inputs
    multiplier = _scale(one) * _scale(other) / _scale(node.output)
    _require_rescaling(node, _farthest(one) * _farthest(other), multiplier, node.output)


def _prelu(node: Node) -> None:
    source = node.inputs[0]
    multiplier = _scale(source) / _scale(node.output)
    _require_rescaling(node, _farthest(source), multiplier, node.output)
    _product_of_two(node)


def _comparison(node: Node) -> None:
    for tensor in node.inputs:
        _require_below_one(node, _scale(tensor), tensor)


def _concatenation(node: Node) -> None:
    for tensor in node.inputs:
        ratio = _scale(tensor) / _scale(node.output)
        if tensor.type == "UINT8" and ratio * 2 * _ROOM > LARGEST_INT32 - _ROOM:
            raise node.refusal(
                f"rescales tensor {tensor.name} by {ratio:g}, into tensor {node.output.name}",
                _WRAPS_AROUND,
                _QUANTISE,
            )


def _quantise(node: Node) -> None:
    (source,) = node.inputs
    if source.type in RANGES:
        multiplier = single(_scale(source) / _scale(node.output))
        _require_rescaling(node, _farthest(source), multiplier, node.output)


def _sigmoid(node: Node) -> None:
    (source,) = node.inputs
    # Of CalculateInputRadius: the exponent of the scale, as a fixed-point number of 27 bits, is
    # a number of places to shift by.
    if not 0 <= math.frexp(_scale(source) * (1 << 27))[1] <= 62:
        raise node.refusal(
            f"has tensor {source.name} with the scale {_scale(source):g}",
            "{kernel} is made for scales from 2**-28 to 2**35",
            _QUANTISE,
        )


def _softmax(node: Node) -> None:
    (source,) = node.inputs
    beta, depth = node.options["beta"], source.shape[-1]
    if not beta * _scale(source) * (1 << 26) > 1:
        raise node.refusal(
            f"has the factor {beta:g} for tensor {source.name}, with the scale {_scale(source):g}",
            "{kernel} halts the device unless their product is more than 2**-26",
            _QUANTISE,
        )
    # The sum of the exponentials has 12 bits before the point, and each is 1 at most. (From 512
    # equal 8-bit values on, the kernel shifts by 32 places; the board then gives 1/256 for 0.)
    if depth > 4095:
        raise node.refusal(
            f"is over {depth} values, of tensor {source.name}",
            _WRAPS_AROUND,
            "leave the softmax out of the network: the largest value keeps its place without it",
        )


def _l2_normalisation(node: Node) -> None:
    (source,) = node.inputs
    _require_sum(node, source.shape[-1] * _farthest(source) ** 2, node.output)


def _average(node: Node) -> None:
    (source,) = node.inputs
    _, height, width, _ = source.shape
    count = min(height, node.option("filter_height")) * min(width, node.option("filter_width"))
    highest = max(abs(each) for each in RANGES[source.type])
    _require_sum(node, count * highest + count // 2, node.output)


def _distances(tensor: Tensor) -> bytes:
    """Return for each byte how far it is from the zero point of a tensor of 8 bits."""
    values = struct.unpack("256b", bytes(range(256))) if tensor.type == "INT8" else range(256)
    return bytes(min(255, abs(value - _zero_point(tensor))) for value in values)


def _sums_of_weights(tensor: Tensor, axis: int) -> list[int]:
    """Return for each channel how far its weights are from their zero point, taken together.

    ``axis``: the first or the last dimension, which counts the channels.
    """
    channels = tensor.shape[axis]
    count = tensor.elements // channels
    if not tensor.is_constant:
        return [count * _farthest(tensor)] * channels
    distances = tensor.data.data.translate(_distances(tensor))
    if axis == 0:
        return [sum(distances[at : at + count]) for at in range(0, len(distances), count)]
    return [sum(distances[at::channels]) for at in range(channels)]


def _integers(tensor: Tensor, form: str) -> Sequence[int]:
    return struct.unpack(f"<{tensor.elements}{form}", tensor.data.data)


def _bias(node: Node, place: int, channels: int) -> Sequence[int]:
    if len(node.inputs) <= place:
        return [0] * channels
    bias = node.inputs[place]
    if not bias.is_constant:
        raise node.refusal(
            f"adds a bias, tensor {bias.name}, that is computed",
            "whether {kernel} can add it cannot be known",
            "let the bias be a constant of the network",
        )
    return _integers(bias, "i")


def _accumulator(axis: int) -> Callable[[Node], None]:
    """Return the check of a kernel that sums products of inputs and weights.

    ``axis``: dimension of the weights that counts the channels.
    """

    def check(node: Node) -> None:
        source, weights = node.inputs[:2]
        sums = _sums_of_weights(weights, axis)
        scales = weights.quantisation.scales if weights.quantisation else (1.0,)
        farthest = _farthest(source)
        # ConvPerChannel multiplies the scales in double precision, all others in single.
        exact = node.name != "FULLY_CONNECTED" and source.type == "INT8"
        for channel, (total, bias) in enumerate(zip(sums, _bias(node, 2, len(sums)), strict=True)):
            scale = _scale(source) * scales[channel % len(scales)]
            multiplier = (scale if exact else single(scale)) / _scale(node.output)
            _require_rescaling(node, total * farthest + abs(bias), multiplier, node.output)

    return check


def _svdf(node: Node) -> None:
    source, features, times, bias, state = node.inputs
    if _zero_point(node.output) != RANGES["INT8"][0]:
        raise node.refusal(
            f"has an activation that tensor {node.output.name} goes beyond",
            "{kernel} leaves the activation to the range of the tensor",
            "let no layer after the activation force a wider range on its tensor",
        )
    expected = _scale(state) * _scale(times)
    if abs(_scale(bias) - expected) / _scale(node.output) > LARGEST_BIAS_ERROR:
        raise node.refusal(
            f"has a bias, tensor {bias.name}, whose scale is not that of its state times that of "
            "its weights",
            "{kernel} adds the bias to their products as it is",
            _QUANTISE,
        )
    for tensor in (features, times, state):
        if _zero_point(tensor):
            raise node.refusal(
                f"has a zero point other than 0 in tensor {tensor.name}",
                "{kernel} takes it for 0",
                _QUANTISE,
            )
    into_state = single(single(_scale(source) * _scale(features)) / _scale(state))
    for total in _sums_of_weights(features, 0):
        _require_rescaling(node, total * _farthest(source), into_state, state)
    filters, memory = times.shape
    weights = _integers(times, "h") if times.is_constant else [32768] * times.elements
    products = [
        32768 * sum(abs(each) for each in weights[at : at + memory])
        for at in range(0, filters * memory, memory)
    ]
    into_result = single(single(_scale(state) * _scale(times)) / _scale(node.output))
    rank = node.option("rank")
    for unit, value in enumerate(_bias(node, 3, bias.elements)):
        total = sum(products[unit * rank : (unit + 1) * rank])
        _require_rescaling(node, total + abs(value), into_result, node.output)


CHECKS: Mapping[str, Callable[[Node], None]] = {
    "ADD": _sum_of_two,
    "AVERAGE_POOL_2D": _average,
    "CONCATENATION": _concatenation,
    "CONV_2D": _accumulator(0),
    "DEPTHWISE_CONV_2D": _accumulator(3),
    "EQUAL": _comparison,
    "FULLY_CONNECTED": _accumulator(0),
    "GREATER": _comparison,
    "GREATER_EQUAL": _comparison,
    "L2_NORMALIZATION": _l2_normalisation,
    "LESS": _comparison,
    "LESS_EQUAL": _comparison,
    "LOGISTIC": _sigmoid,
    "MUL": _product_of_two,
    "NOT_EQUAL": _comparison,
    "PRELU": _prelu,
    "QUANTIZE": _quantise,
    "SOFTMAX": _softmax,
    "SUB": _sum_of_two,
    "SVDF": _svdf,
    "TANH": _sigmoid,
}
"""By the operator's name; called where input or output is quantised."""
