"""Converts a user's network: ``python -m model.convert_network --keras F --name N --out FOLDER``.

Writes ``<name>.tflite``: int8 throughout with ``--representative``, else float32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from model.arrays import as_float32, read_arrays
from model.conversion import Values, convert_float, convert_int8, load_network
from model.errors import UnsupportedModelError, UnusableDataError, exit_code_of
from model.files import write_file
from model.graph import read_graph
from model.runtime import deterministic_tensorflow
from model.support import require_support

MOST_SAMPLES = 1000
"""Of a representative data set that are looked at; more take long and change ranges little."""


def read_representative(path: Path, network: Any) -> list[Values]:
    """Read the values of each input, shape ``(n, *shape of the input)``, of 1,000 samples at most.

    Args:
        path: see ``read_arrays``.
        network: a Keras model.

    Raises:
        UnusableDataError: an array does not fit its input, or has more samples than another.
        UnsupportedModelError: the network does not know its inputs.
    """
    inputs = getattr(network, "inputs", None)
    if not inputs:
        raise UnsupportedModelError(
            "the network does not know the shape of its inputs",
            why="it was saved before it was built, or is no model of layers",
            next_step="begin it with keras.Input(shape), train it, and save it again",
        )
    arrays = read_arrays(path, [each.name for each in inputs])
    counts = {len(array) for array in arrays if array.ndim}
    if len(counts) > 1:
        raise UnusableDataError(
            f"the arrays of {path.name} hold {', '.join(map(str, sorted(counts)))} samples",
            next_step="give the same number of samples for each input",
        )
    return [_fitted(array, each, path) for array, each in zip(arrays, inputs, strict=True)]


def _fitted(array: Any, source: Any, path: Path) -> Values:
    shape = tuple(source.shape[1:])
    if array.ndim == 1 and shape == (1,):
        array = array.reshape(-1, 1)
    fits = array.ndim == len(shape) + 1 and all(
        wanted in {None, size} for size, wanted in zip(array.shape[1:], shape, strict=True)
    )
    if not fits or not len(array):
        raise UnusableDataError(
            f"{path.name} has shape {array.shape} for the network's input {source.name}",
            why=f"it must be (samples, {', '.join(map(str, shape))})",
            next_step="give a hundred or more samples as the network sees them in use",
        )
    # What is beyond single precision is not finite in it.
    if array.dtype.kind not in "fiu" or not np.isfinite(values := as_float32(array)).all():
        raise UnusableDataError(
            f"{path.name} has values of type {array.dtype}, or such that are not finite in float32",
            next_step="give finite numbers",
        )
    step = -(-len(array) // MOST_SAMPLES)
    return values[::step]


def convert_network(keras: Path, representative: Path | None, name: str, out: Path) -> None:
    """Convert, check that the pinned tree can compute the result, write it and report.

    Args:
        keras: the network.
        representative: inputs from which it is quantised to int8; None leaves it in float32.
        name: of the ``.tflite`` file.
        out: folder that gets it.

    Raises:
        UnsupportedModelError: TensorFlow cannot convert it, or the pinned tree cannot compute it.
    """
    deterministic_tensorflow()
    network = load_network(keras)
    samples = read_representative(representative, network) if representative else None
    try:
        tflite = convert_float(network) if samples is None else convert_int8(network, samples)
    except UnsupportedModelError:
        raise
    except Exception as error:  # TensorFlow's converter raises what it likes
        raise UnsupportedModelError(
            f"TensorFlow cannot convert {keras.name}",
            why=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            next_step="use layers that TensorFlow Lite has operators for",
        ) from error
    require_support(read_graph(tflite))
    write_file(out / f"{name}.tflite", tflite)
    kind = "float32" if samples is None else f"int8, from {len(samples[0])} samples"
    print(f"{name}.tflite {len(tflite)} bytes, {kind}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="model.convert_network", description=convert_network.__doc__
    )
    parser.add_argument("--keras", type=Path, required=True)
    parser.add_argument("--representative", type=Path, help=".npy or .npz of inputs; else float32")
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(
        lambda: convert_network(given.keras, given.representative, given.name, given.out)
    )


if __name__ == "__main__":
    sys.exit(main())
