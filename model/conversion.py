"""Turns a trained Keras network into ``.tflite`` files that the pinned tree computes rightly."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import UnsupportedModelError
from model.graph import read_graph

Values = npt.NDArray[np.float32]


def load_network(path: Path) -> Any:
    """Load a ``.keras`` file without its optimizer.

    Code inside the file (a Lambda layer) is not run.

    Raises:
        UnsupportedModelError: it is no such file, or needs code that it does not hold.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged archive trips Keras anywhere
        raise UnsupportedModelError(
            f"{path.name} cannot be loaded as a Keras model",
            why=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            next_step="write it with model.save('name.keras') and Keras 3, with Keras' own layers "
            "only",
        ) from error


def convert_float(network: Any) -> bytes:
    """Return the network as a float32 ``.tflite`` of batch size 1."""
    return _converted(_converter(network))


def convert_dynamic_range(network: Any) -> bytes:
    """Return the network with large weights in int8 and everything else in float32.

    The converter leaves a weight of fewer than 1,024 elements as it is, so that a small network
    stays a float one. A larger one becomes hybrid, which the pinned tree has no kernels for.
    """
    import tensorflow as tf

    converter = _converter(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _converted(converter)


def convert_int8(network: Any, representative: Sequence[Values]) -> bytes:
    """Return the network quantised to int8 throughout, input and output included.

    Dense weights get one scale a tensor: the pinned FULLY_CONNECTED kernel reads one only.

    Args:
        network: a Keras model.
        representative: for each input, values of shape ``(n, *shape of the input)``, from which the
            ranges of all tensors are taken.
    """
    import tensorflow as tf

    order = _input_order(network)

    def samples() -> Iterator[list[Values]]:
        for values in zip(*representative, strict=True):
            yield [values[number][np.newaxis] for number in order]

    converter = _converter(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return _converted(converter)


def _converter(network: Any) -> Any:
    """Return a converter of the network at batch size 1.

    An open batch size would bring SHAPE and STRIDED_SLICE along; the first has no kernel.
    """
    import keras
    import tensorflow as tf

    inputs = [
        keras.Input(batch_shape=(1, *each.shape[1:]), dtype=each.dtype, name=name)
        for each, name in zip(network.inputs, _input_names(network), strict=True)
    ]
    try:
        fixed = keras.models.clone_model(
            network, input_tensors=inputs[0] if len(inputs) == 1 else inputs
        )
        fixed.set_weights(network.get_weights())
    except (ValueError, NotImplementedError) as error:
        raise UnsupportedModelError(
            "the network cannot be given a fixed batch size",
            why=(str(error).strip() or type(error).__name__).splitlines()[0],
            next_step="build it with keras.Sequential or keras.Model(inputs, outputs)",
        ) from error
    return tf.lite.TFLiteConverter.from_keras_model(fixed)


def _input_order(network: Any) -> tuple[int, ...]:
    """Return the numbers of the network's inputs in the order that the converter gives them."""
    names = _input_names(network)
    if len(names) == 1:
        return (0,)
    graph = read_graph(convert_float(network))
    found = [re.search(r"x(\d+)(?::\d+)?$", graph.tensors[index].name) for index in graph.inputs]
    order = tuple(int(match[1]) for match in found if match)
    if sorted(order) != list(range(len(names))):
        raise UnsupportedModelError(
            "the converter gives the network's inputs other names",
            why=", ".join(graph.tensors[index].name for index in graph.inputs),
            next_step="convert the network yourself and give the .tflite file",
        )
    return order


def _input_names(network: Any) -> tuple[str, ...]:
    count = len(network.inputs)
    return ("x",) if count == 1 else tuple(f"x{number}" for number in range(count))


def _converted(converter: Any) -> bytes:
    with _quiet_output():
        return bytes(converter.convert())


@contextmanager
def _quiet_output() -> Iterator[None]:
    """Keep the converter's progress chatter, written below Python too, off the terminal."""
    kept = [os.dup(1), os.dup(2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        yield
    finally:
        for number, saved in enumerate(kept, start=1):
            os.dup2(saved, number)
            os.close(saved)
        os.close(nothing)
