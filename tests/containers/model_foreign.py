"""Runs in the train image: ``python model_foreign.py OUT`` writes models of other makers.

None of them is made by ``model.convert``: they are what users bring.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(1)


def network(shape: tuple[int, ...], *parts: Any, batch: int | None = 1) -> Any:
    source = keras.Input(batch_shape=(batch, *shape), name="x")
    value = source
    for part in parts:
        value = part(value)
    return keras.Model(source, value)


def converter(model: Any) -> Any:
    return tf.lite.TFLiteConverter.from_keras_model(model)


def int8(model: Any, *, per_channel_dense: bool = False) -> Any:
    def samples() -> Iterator[list[Any]]:
        generator = np.random.default_rng(1)
        for _ in range(100):
            value = generator.uniform(0, 2 * np.pi, (1, *model.input_shape[1:]))
            yield [value.astype(np.float32)]

    made = converter(model)
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = samples
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    made._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel_dense
    return made


def dense(units: int, activation: str | None = None) -> Any:
    # The converter drops a bias of zeros, with which a layer begins.
    return layers.Dense(units, activation, bias_initializer="random_normal")


def per_channel() -> Any:
    return int8(network((1,), dense(16, "relu"), dense(1)), per_channel_dense=True)


def hybrid() -> Any:
    # Weights of fewer than 1,024 elements are left in float.
    made = converter(network((1,), dense(64), dense(64), dense(1)))
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    return made


def open_batch() -> Any:
    return converter(network((1, 1), layers.Flatten(), dense(16), dense(1), batch=None))


def lstm() -> Any:
    return converter(network((4, 1), layers.LSTM(3), dense(1)))


def elu() -> Any:
    return converter(network((1,), dense(4, "elu"), dense(1)))


def without_bias() -> Any:
    return int8(network((1,), layers.Dense(4, use_bias=False), dense(1)))


def image() -> Any:
    convolution = layers.Conv2D(4, 3, activation="relu", bias_initializer="random_normal")
    return int8(
        network((8, 8, 1), convolution, layers.AveragePooling2D(6), layers.Flatten(), dense(1))
    )


def convolutions() -> Any:
    """One number to one number, through most of what the kernels have."""
    bias = {"bias_initializer": "random_normal"}
    return int8(
        network(
            (1,),
            dense(36, "relu"),
            layers.Reshape((3, 3, 4)),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6", **bias),
            layers.Conv2D(8, 2, activation="relu", **bias),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            dense(4, "tanh"),
            dense(4, "sigmoid"),
            dense(1),
        )
    )


def residual() -> Any:
    source = keras.Input(batch_shape=(1, 1), name="x")
    wide = dense(48, "relu")(source)
    value = dense(48)(dense(60, "relu")(wide))
    both = layers.Concatenate()([layers.Add()([wide, value]), value])
    return converter(keras.Model(source, dense(1)(both)))


MAKERS: list[Callable[[], Any]] = [
    *(per_channel, hybrid, open_batch, lstm, elu, without_bias, image, convolutions, residual)
]


def main(out: Path) -> None:
    for make in MAKERS:
        (out / f"{make.__name__}.tflite").write_bytes(make().convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
