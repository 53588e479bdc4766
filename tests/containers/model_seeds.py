"""Runs in the train image: ``python model_seeds.py OUT`` writes ``seeds.tar``: small models.

Those are what the fuzz run changes. The converter writes each as it writes users' models.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(2)

Function = Callable[[Any], Any]
Shape = tuple[int, ...]
GENERATOR = np.random.default_rng(2)


def constant(*shape: int) -> Any:
    return tf.constant(GENERATOR.uniform(-1, 1, shape).astype(np.float32))


def convert(function: Function, shape: Shape, *, int8: bool) -> bytes:
    def samples() -> Iterator[list[Any]]:
        for _ in range(20):
            yield [GENERATOR.uniform(-2, 2, shape).astype(np.float32)]

    module = tf.Module()
    module.f = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)])
    made = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.f.get_concrete_function()], module
    )
    return quantised(made, samples) if int8 else bytes(made.convert())


def quantised(made: Any, samples: Callable[[], Iterator[list[Any]]]) -> bytes:
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = samples
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    made._experimental_disable_per_channel_quantization_for_dense_layers = True
    return bytes(made.convert())


def network(shape: Shape, *parts: Any) -> Callable[[bool], bytes]:
    source = keras.Input(batch_shape=(1, *shape), name="x")
    value = source
    for part in parts:
        value = part(value)
    model = keras.Model(source, value)

    def samples() -> Iterator[list[Any]]:
        for _ in range(20):
            yield [GENERATOR.uniform(-2, 2, (1, *shape)).astype(np.float32)]

    def make(int8: bool) -> bytes:
        made = tf.lite.TFLiteConverter.from_keras_model(model)
        return quantised(made, samples) if int8 else bytes(made.convert())

    return make


def function(shape: Shape, body: Function) -> Callable[[bool], bytes]:
    return lambda int8: convert(body, shape, int8=int8)


BIAS: dict[str, Any] = {"bias_initializer": "random_normal"}


def pieces(x: Any) -> Any:
    left, right = tf.split(x, 2, axis=-1)
    rows = tf.unstack(tf.concat([left, right, left], axis=1), axis=0)
    return tf.stack([rows[0], rows[1]], axis=1)


def slices(x: Any) -> Any:
    return tf.strided_slice(x, [0, 3, 0], [2, 0, 4], [1, -1, 2], begin_mask=1, shrink_axis_mask=0)


def comparisons(x: Any) -> Any:
    weights = constant(4)
    less = tf.logical_and(tf.less(x, weights), tf.greater_equal(x, 0.0))
    more = tf.logical_or(tf.greater(x, weights), tf.less_equal(x, -0.5))
    return tf.logical_or(
        tf.logical_not(tf.logical_or(less, more)),
        tf.logical_and(tf.equal(x, 0.0), tf.not_equal(x, weights)),
    )


def functions_of_one(x: Any) -> Any:
    x = tf.sqrt(tf.abs(tf.sin(x)) + 1.0) * tf.cos(x)
    x = tf.math.rsqrt(tf.square(x) + 1.0) + tf.math.log(tf.abs(x) + 1.0)
    return tf.floor(x * 3.0) + tf.math.ceil(x) - tf.round(-x * 5.0)


SEEDS: dict[str, tuple[Callable[[bool], bytes], str]] = {
    "dense": (network((8,), layers.Dense(4, "relu", **BIAS), layers.Dense(3, **BIAS)), "both"),
    "convolution": (
        network(
            (6, 6, 2),
            layers.Conv2D(3, 3, strides=2, padding="same", activation="relu", **BIAS),
            layers.Conv2D(2, 2, dilation_rate=2, **BIAS),
        ),
        "both",
    ),
    "depthwise": (
        network(
            (5, 6, 2),
            layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6", **BIAS),
            layers.Conv2D(2, 1, activation="relu6", **BIAS),
        ),
        "both",
    ),
    "pooling": (
        network((6, 6, 2), layers.AveragePooling2D(2, 1, "same"), layers.MaxPooling2D(3, 2)),
        "both",
    ),
    "classifier": (
        network(
            (4, 4, 1),
            layers.Conv2D(2, 3, **BIAS),
            layers.Flatten(),
            layers.Dense(5, **BIAS),
            layers.Softmax(),
        ),
        "both",
    ),
    "sigmoids": (
        network(
            (6,),
            layers.Dense(4, "tanh", **BIAS),
            layers.Dense(4, "sigmoid", **BIAS),
            layers.Dense(2, **BIAS),
        ),
        "both",
    ),
    "arithmetic": (
        function((1, 2, 3), lambda x: (x * constant(3) + constant(2, 1)) - constant(1, 2, 3) * x),
        "both",
    ),
    "extremes": (
        function((2, 3), lambda x: tf.minimum(tf.maximum(x, constant(3)), constant(2, 3))),
        "float",
    ),
    "padding": (
        function((1, 2, 2, 1), lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]])),
        "both",
    ),
    "limits": (
        function((2, 3), lambda x: tf.nn.relu(tf.nn.relu6(x) - tf.reshape(x, [2, 3]))),
        "float",
    ),
    "padding_with": (
        function((2, 3), lambda x: tf.pad(x, [[1, 0], [2, 1]], constant_values=0.5)),
        "float",
    ),
    "mean": (
        function((1, 4, 4, 2), lambda x: tf.reduce_mean(x, [1, 2], keepdims=True)),
        "float",
    ),
    "mean_flat": (function((1, 4, 4, 2), lambda x: tf.reduce_mean(x, [1, 2])), "float"),
    "resizing": (
        function((1, 2, 3, 2), lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (4, 6))),
        "both",
    ),
    "upsampling": (
        function((1, 2, 3, 2), lambda x: tf.image.resize(x, (4, 9), "nearest")),
        "both",
    ),
    "pieces": (function((2, 2, 4), pieces), "both"),
    "slices": (function((3, 4, 5), slices), "both"),
    "largest": (function((2, 5), lambda x: tf.argmax(x, 1, output_type=tf.int32)), "float"),
    "smallest": (function((2, 5), lambda x: tf.argmin(x, 0, output_type=tf.int32)), "float"),
    "comparisons": (function((2, 4), comparisons), "float"),
    "functions": (function((2, 3), functions_of_one), "float"),
    "normalisation": (function((2, 4), lambda x: tf.math.l2_normalize(x, 1)), "both"),
    "prelu": (
        network((2, 2, 3), layers.PReLU(alpha_initializer="random_normal", shared_axes=[1, 2])),
        "both",
    ),
    "shapes": (
        function((2, 6), lambda x: tf.nn.relu6(tf.reshape(x, [3, 4]) * 2.0)),
        "both",
    ),
}


def main(out: Path) -> None:
    kinds = {"both": ("float", "int8"), "float": ("float",)}
    with tarfile.open(out / "seeds.tar", "w") as archive:
        for name, (make, made) in SEEDS.items():
            for kind in kinds[made]:
                data = make(kind == "int8")
                entry = tarfile.TarInfo(f"{name}_{kind}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
