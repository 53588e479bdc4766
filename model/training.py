"""Trains a network with the same result on every run, and saves it with the same bytes.

``fit`` spends nearly all its time between the steps of so small a network. Here one graph call
runs a whole epoch: the batches, gradients and updates are those of ``fit`` over the same order
of samples, and so are the resulting weights, bit for bit.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data import Column, SineData
from model.files import unzip, write_file, zip_bytes

BATCH_SIZE = 16


@dataclass(frozen=True)
class EpochFigures:
    """Mean squared and mean absolute errors of one epoch.

    ``loss`` and ``mae`` are means over the epoch's batches, each before its own update, as
    ``fit`` reports them; ``val_loss`` and ``val_mae`` are taken on the validation part afterwards.
    """

    loss: float
    mae: float
    val_loss: float
    val_mae: float


def sample_orders(seed: int, samples: int, epochs: int) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the order in which each epoch goes through the samples: one permutation an epoch.

    Args:
        seed: of the permutations, 0 or more.
        samples: how many there are.
        epochs: how many permutations to yield.
    """
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        yield generator.permutation(samples).astype(np.int32)


def train_network(
    network: Any,
    data: SineData,
    *,
    seed: int,
    epochs: int,
    batch_size: int = BATCH_SIZE,
    after_epoch: Callable[[int, EpochFigures], None] | None = None,
) -> tuple[EpochFigures, ...]:
    """Train in place.

    Args:
        network: a compiled Keras model with mean squared error as its loss.
        data: what to learn from; its test part is not touched.
        seed: of the order of samples.
        epochs: how often to go through the training part, at least 1.
        batch_size: samples an update; the last batch of an epoch may be smaller.
        after_epoch: called with the number of epochs done and the figures of the last one.

    Returns:
        The figures of every epoch.

    Raises:
        ValueError: a figure is not finite, so the training has diverged.
    """
    run_epoch = _epoch_graph(network, data, batch_size)
    history: list[EpochFigures] = []
    for order in sample_orders(seed, len(data.x_train), epochs):
        figures = EpochFigures(*(float(figure) for figure in run_epoch(order)))
        if not all(map(math.isfinite, vars(figures).values())):
            raise ValueError(f"the training diverged in epoch {len(history) + 1}: {figures}")
        history.append(figures)
        if after_epoch is not None:
            after_epoch(len(history), figures)
    return tuple(history)


def _epoch_graph(network: Any, data: SineData, batch_size: int) -> Callable[..., Any]:
    import tensorflow as tf

    def column(values: Column) -> Any:
        return tf.constant(values.reshape(-1, 1))

    x_all, y_all = column(data.x_train), column(data.y_train)
    x_validation, y_validation = column(data.x_validation), column(data.y_validation)
    samples = len(data.x_train)
    weights = network.trainable_variables
    optimizer = network.optimizer
    optimizer.build(weights)

    def errors(predicted: Any, wanted: Any) -> tuple[Any, Any]:
        difference = predicted - wanted
        return tf.reduce_mean(tf.square(difference)), tf.reduce_mean(tf.abs(difference))

    @tf.function(input_signature=[tf.TensorSpec([samples], tf.int32)])  # type: ignore[untyped-decorator]
    def run_epoch(order: Any) -> Any:
        squared, absolute = tf.constant(0.0), tf.constant(0.0)
        for start in tf.range(0, samples, batch_size):
            chosen = order[start : start + batch_size]
            x, y = tf.gather(x_all, chosen), tf.gather(y_all, chosen)
            with tf.GradientTape() as tape:
                loss, mae = errors(network(x, training=True), y)
            optimizer.apply(tape.gradient(loss, weights), weights)
            size = tf.cast(tf.shape(chosen)[0], tf.float32)
            squared += loss * size
            absolute += mae * size
        val_loss, val_mae = errors(network(x_validation, training=False), y_validation)
        return squared / samples, absolute / samples, val_loss, val_mae

    return run_epoch  # type: ignore[no-any-return]


def save_network(network: Any, path: Path) -> None:
    """Write a ``.keras`` file whose bytes depend on the network alone.

    Keras puts the time of saving into its archive; here it is the start of 1980, zip's earliest.
    It names what layers share by its address in memory; here by its place in the configuration.
    """
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / path.name
        network.save(saved)
        members = unzip(saved.read_bytes())
    metadata = json.loads(members["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    members["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    config = number_shared_objects(json.loads(members["config.json"]))
    members["config.json"] = json.dumps(config, sort_keys=True).encode()
    write_file(path, zip_bytes(members))


def number_shared_objects(config: Any) -> Any:
    """Return a Keras configuration with its shared objects numbered from 1 as they appear."""
    numbers: dict[object, int] = {}

    def numbered(value: Any) -> Any:
        if isinstance(value, list):
            return [numbered(each) for each in value]
        if isinstance(value, dict):
            return {
                name: numbers.setdefault(each, len(numbers) + 1)
                if name == "shared_object_id"
                else numbered(each)
                for name, each in value.items()
            }
        return value

    return numbered(config)
