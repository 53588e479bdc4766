"""Small models for matrices, each with other weights and another size."""

from __future__ import annotations

import random
from pathlib import Path

from tests.unit import model_support as fb
from tests.unit.model_support import changed


def dense_model(path: Path, inputs: int, outputs: int, seed: int) -> Path:
    """Write a model of one dense int8 layer and return its path."""
    chosen = random.Random(seed)
    dense = fb.int8_dense()
    model = changed(dense, 0, shape=(1, inputs))
    model = changed(model, 1, shape=(outputs, inputs), data=chosen.randbytes(inputs * outputs))
    model = changed(model, 2, shape=(outputs,), data=bytes(4 * outputs))
    path.write_bytes(changed(model, 3, shape=(1, outputs)).tflite())
    return path


def dense_models(folder: Path, count: int) -> list[Path]:
    """Write ``count`` models of 4 to 64 inputs and 2 to 20 outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        dense_model(
            folder / f"dense_{number:02d}.tflite", 4 + 5 * (number % 13), 2 + number % 19, number
        )
        for number in range(count)
    ]
