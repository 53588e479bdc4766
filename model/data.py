"""The noisy sine samples that the networks learn from."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.files import unzip, write_file, zip_bytes

Column = npt.NDArray[np.float32]
"""One value a row, shape ``(n,)``, single precision."""

SAMPLES = 1000
NOISE = 0.1
TRAIN_SHARE = 0.6
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class SineData:
    """The samples in three parts.

    Attributes:
        x_train: inputs in radians, 0 to 2 pi; likewise ``x_validation`` and ``x_test``.
        y_train: sin x with noise; likewise ``y_validation`` and ``y_test``.
    """

    x_train: Column
    y_train: Column
    x_validation: Column
    y_validation: Column
    x_test: Column
    y_test: Column


def make_sine_data(seed: int, *, samples: int = SAMPLES, noise: float = NOISE) -> SineData:
    """Draw samples uniformly from one period, shuffled, and split them 60/20/20.

    Args:
        seed: of the generator (PCG64); the same seed gives the same bytes.
        samples: how many in all.
        noise: standard deviation of the Gaussian noise added to sin x.
    """
    generator = np.random.default_rng(seed)
    x = generator.uniform(0.0, 2.0 * math.pi, samples)
    generator.shuffle(x)
    y = np.sin(x) + noise * generator.standard_normal(samples)
    train = round(samples * TRAIN_SHARE)
    test = train + round(samples * VALIDATION_SHARE)
    xs = np.split(x.astype(np.float32), [train, test])
    ys = np.split(y.astype(np.float32), [train, test])
    return SineData(xs[0], ys[0], xs[1], ys[1], xs[2], ys[2])


def save_data(data: SineData, path: Path) -> None:
    """Write an ``.npz`` file that ``numpy.load`` reads, with the same bytes for the same data."""
    members = {}
    for field in fields(data):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, getattr(data, field.name), version=(1, 0))
        members[f"{field.name}.npy"] = stream.getvalue()
    write_file(path, zip_bytes(members))


def load_data(path: Path) -> SineData:
    """Read what ``save_data`` wrote.

    Raises:
        KeyError: a part is missing.
    """
    members = unzip(path.read_bytes())
    columns = {
        field.name: np.load(io.BytesIO(members[f"{field.name}.npy"]), allow_pickle=False)
        for field in fields(SineData)
    }
    return SineData(**columns)
