"""Runs in the train image: ``python model_networks.py OUT`` writes ``.keras`` files of users."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers

keras.utils.set_random_seed(3)


def two_inputs() -> keras.Model:
    """An image and two numbers in, classes and one number out."""
    image = keras.Input((12, 12, 1), name="image")
    numbers = keras.Input((2,), name="numbers")
    seen = layers.Conv2D(4, 3, activation="relu", bias_initializer="random_normal")(image)
    seen = layers.MaxPooling2D(2)(seen)
    seen = layers.Flatten()(seen)
    known = layers.Dense(6, "relu", bias_initializer="random_normal")(numbers)
    both = layers.Concatenate()([seen, known])
    classes = layers.Dense(3, "softmax", bias_initializer="random_normal", name="classes")(both)
    amount = layers.Dense(1, bias_initializer="random_normal", name="amount")(both)
    return keras.Model([image, numbers], [classes, amount])


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, "relu", bias_initializer="random_normal"),
            layers.Dense(2, bias_initializer="random_normal"),
        ]
    )


def with_lambda() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(1)])


def any_size() -> keras.Model:
    return keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3)])


def without_kernel() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(4, "elu"), layers.Dense(1)])


if __name__ == "__main__":
    for make in (two_inputs, sequential, with_lambda, any_size, without_kernel):
        make().save(Path(sys.argv[1]) / f"{make.__name__}.keras")
