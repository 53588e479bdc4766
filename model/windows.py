"""Checks the operators that move a window over height and width: convolutions and pooling."""

from __future__ import annotations

from dataclasses import dataclass

from model.node import LARGEST_INT32, Node
from model.options import SAME, VALID

_LARGEST_PADDING = (1 << 15) - 1
"""Of ``PaddingValues`` in ``types.h``, which are 16 bits wide."""


@dataclass(frozen=True)
class _Window:
    """A window along one dimension, in elements."""

    image: int
    size: int
    stride: int
    dilation: int


def require_convolution(node: Node) -> None:
    """Check CONV_2D.

    Raises:
        UnsupportedModelError: its shapes do not fit each other, or its options the kernel.
    """
    source, weights = node.inputs[:2]
    for tensor in (source, weights, node.output):
        node.require_rank(tensor, 4, 4)
    channels, height, width, depth = weights.shape
    node.require(
        depth == source.shape[3],
        f"convolves tensor {source.name} {source.described} with tensor {weights.name} "
        f"{weights.described}",
    )
    node.require_bias(channels)
    node.require_shape(node.output, _result(node, height, width, channels))


def require_depthwise_convolution(node: Node) -> None:
    """Check DEPTHWISE_CONV_2D.

    Raises:
        UnsupportedModelError: its shapes do not fit each other, or its options the kernel.
    """
    source, weights = node.inputs[:2]
    for tensor in (source, weights, node.output):
        node.require_rank(tensor, 4, 4)
    one, height, width, channels = weights.shape
    multiplier = node.option("depth_multiplier")
    node.require(
        one == 1 and channels == source.shape[3] * multiplier,
        f"convolves tensor {source.name} {source.described} with tensor {weights.name} "
        f"{weights.described}, {multiplier} times each channel",
    )
    node.require_bias(channels)
    node.require_shape(node.output, _result(node, height, width, channels))


def require_pooling(node: Node) -> None:
    """Check AVERAGE_POOL_2D and MAX_POOL_2D.

    Raises:
        UnsupportedModelError: its shapes do not fit each other, or its options the kernel.
    """
    (source,) = node.inputs
    node.require_rank(source, 4, 4)
    height, width = node.option("filter_height"), node.option("filter_width")
    node.require_shape(node.output, _result(node, height, width, source.shape[3]))


def _result(node: Node, height: int, width: int, channels: int) -> tuple[int, ...]:
    """Return the shape that the kernel's padding is made for."""
    batch, rows, columns, _ = node.inputs[0].shape
    return (
        batch,
        _steps(node, _window(node, rows, height, "h")),
        _steps(node, _window(node, columns, width, "w")),
        channels,
    )


def _window(node: Node, image: int, size: int, direction: str) -> _Window:
    dilation = f"dilation_{direction}_factor"
    return _Window(
        image,
        size,
        node.option(f"stride_{direction}"),
        node.option(dilation) if dilation in node.options else 1,
    )


def _steps(node: Node, window: _Window) -> int:
    """Return what ``ComputeOutSize`` of ``lite/kernels/padding.h`` does."""
    node.require(
        min(window.size, window.stride, window.dilation) >= 1,
        f"has a window of {window.size}, with stride {window.stride} and dilation "
        f"{window.dilation}, into tensor {node.output.name}",
    )
    padding = node.option("padding")
    node.require(
        padding in {SAME, VALID}, f"has the padding {padding}, into tensor {node.output.name}"
    )
    reach = (window.size - 1) * window.dilation + 1
    if padding == SAME:
        count = -(-window.image // window.stride)
    else:
        count = max(0, (window.image + window.stride - reach) // window.stride)
    added = max(0, (count - 1) * window.stride + reach - window.image) // 2
    if added > _LARGEST_PADDING or window.image + window.stride + reach > LARGEST_INT32:
        raise node.refusal(
            f"has a window of {window.size}, with stride {window.stride} and dilation "
            f"{window.dilation}, into tensor {node.output.name}",
            f"{{kernel}} pads with {_LARGEST_PADDING} at most, and counts with 32 bits",
            "make the window smaller",
        )
    return count
