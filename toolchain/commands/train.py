"""Trains and converts the sine networks, and tells how the model came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import StepResult
from toolchain.building.publishing import publish_model
from toolchain.files import write_atomically
from toolchain.machine import MACHINE_RECORD, machine_text, remember_machines
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.pipeline.story import small_training_name
from toolchain.session import Session

FAMILY = "sine"
REPORT = PurePosixPath("report.html")

LARGEST_SEED = (1 << 32) - 1
"""What NumPy's generator takes."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network's figures after its last epoch.

    Attributes:
        epochs: passes over the training data.
        loss: mean squared error on the training data; ``val_`` on the validation data, ``test_``
            on the test data.
        mae: mean absolute error, likewise.
    """

    name: str
    epochs: int
    loss: float
    mae: float
    val_loss: float
    val_mae: float
    test_loss: float
    test_mae: float


@dataclass(frozen=True)
class Trained:
    """What a training left.

    Attributes:
        folder: ``build/model/<family>``.
        report: the page that tells it.
        networks: the one that is too small, then the one that firmware is made of.
        sizes: bytes of each ``.tflite`` file by name.
    """

    folder: Path
    report: Path
    networks: tuple[TrainedNetwork, ...]
    sizes: Mapping[str, int]


def train(session: Session) -> Trained:
    """Bring ``build/model/sine`` up to date: networks, conversions, plots and report.

    Raises:
        ToolchainError: a step failed.
    """
    model = next(model for model in MODELS.values() if model.family == FAMILY)
    steps = session.pipeline.story(FAMILY, pinned_sources(session.pins))
    results = session.runner.run(steps)
    remember_machines(session.layout, results)
    files = publish_model(session, model, results)
    folder = session.layout.build / "model" / FAMILY
    _write_machine(folder / MACHINE_RECORD, machine_text(session.layout, results).encode())
    return Trained(
        folder=folder,
        report=folder / REPORT,
        networks=(
            _network(session, "model_1", results[small_training_name(FAMILY)]),
            _network(session, "model_2", results[f"train {FAMILY}"]),
        ),
        sizes={
            path.name: digest.size_bytes
            for path, digest in sorted(files.items())
            if path.suffix == ".tflite"
        },
    )


def pinned_sources(pins: Pins) -> dict[str, str]:
    """Return what the report says of the pinned sources that are no Python packages."""
    tflm = pins.tflm
    return {
        f"TensorFlow Lite Micro ({tflm.crate} {tflm.version})": f"TensorFlow commit {tflm.commit}",
        "images": f"Debian {pins.debian.suite}",
    }


def _write_machine(path: Path, record: bytes) -> None:
    if not path.is_file() or path.read_bytes() != record:
        write_atomically(path, record)


def _network(session: Session, name: str, result: StepResult) -> TrainedNetwork:
    history = json.loads(session.runner.store.get(result.outputs[PurePosixPath("history.json")]))
    return TrainedNetwork(
        name=name,
        epochs=history["epochs"],
        loss=history["loss"][-1],
        mae=history["mae"][-1],
        val_loss=history["val_loss"][-1],
        val_mae=history["val_mae"][-1],
        test_loss=history["test_loss"],
        test_mae=history["test_mae"],
    )
