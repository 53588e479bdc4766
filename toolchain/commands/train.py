"""Trains and converts the sine networks, and tells how the model came about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import StepResult
from toolchain.building.publishing import publish_model
from toolchain.building.step_output import step_document, unreadable
from toolchain.files import write_atomically
from toolchain.machine import MACHINE_RECORD, machine_text, remember_machines
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.pipeline.story import small_training_name
from toolchain.session import Session

FAMILY = "sine"
REPORT = PurePosixPath("report.html")
_HISTORY = PurePosixPath("history.json")

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
    history = step_document(session.runner.store, result, _HISTORY)

    def figure(field: str) -> float:
        value = history.get(field)
        if isinstance(value, list) and not field.startswith("test_"):
            value = value[-1] if value else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise unreadable(result, _HISTORY, f"its {field} is {value!r} in the end")
        return value

    return TrainedNetwork(
        name=name,
        epochs=int(figure("epochs")),
        loss=figure("loss"),
        mae=figure("mae"),
        val_loss=figure("val_loss"),
        val_mae=figure("val_mae"),
        test_loss=figure("test_loss"),
        test_mae=figure("test_mae"),
    )
