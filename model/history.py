"""The record of a training: ``history.json``, with the figures of every epoch."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from model.files import json_text
from model.training import EpochFigures

HISTORY_SCHEMA = "tinyml-toolchain/history/1"

_FIGURES = tuple(field.name for field in fields(EpochFigures))


@dataclass(frozen=True)
class TrainingRecord:
    """How a network was trained, and how well it did.

    Attributes:
        name: of the network.
        seed: of samples, first weights and order of samples.
        batch_size: samples an update.
        hidden_layers: how many, of 16 units each.
        test_loss: mean squared error on the test part after the last epoch.
        test_mae: mean absolute error there.
        epochs: figures of every epoch, at least one.
    """

    name: str
    seed: int
    batch_size: int
    hidden_layers: int
    test_loss: float
    test_mae: float
    epochs: tuple[EpochFigures, ...]

    @property
    def last(self) -> EpochFigures:
        """Figures of the last epoch."""
        return self.epochs[-1]

    def column(self, name: str) -> tuple[float, ...]:
        """Return one figure of every epoch, by its name in ``EpochFigures``."""
        return tuple(float(getattr(epoch, name)) for epoch in self.epochs)


def history_text(record: TrainingRecord) -> str:
    """Return ``history.json``."""
    return json_text(
        {
            "schema": HISTORY_SCHEMA,
            "name": record.name,
            "seed": record.seed,
            "epochs": len(record.epochs),
            "batch_size": record.batch_size,
            "hidden_layers": record.hidden_layers,
            "test_loss": record.test_loss,
            "test_mae": record.test_mae,
            **{name: list(record.column(name)) for name in _FIGURES},
        }
    )


def read_history(text: str) -> TrainingRecord:
    """Read what ``history_text`` wrote.

    Raises:
        ValueError: it is no such file, or its columns are not ``epochs`` long.
    """
    found: dict[str, Any] = json.loads(text)
    if found.get("schema") != HISTORY_SCHEMA:
        raise ValueError(f"not a {HISTORY_SCHEMA} file: {found.get('schema')}")
    columns = [found[name] for name in _FIGURES]
    if {len(column) for column in columns} != {found["epochs"]}:
        raise ValueError(f"the figures are not those of {found['epochs']} epochs")
    return TrainingRecord(
        name=found["name"],
        seed=found["seed"],
        batch_size=found["batch_size"],
        hidden_layers=found["hidden_layers"],
        test_loss=found["test_loss"],
        test_mae=found["test_mae"],
        epochs=tuple(EpochFigures(*figures) for figures in zip(*columns, strict=True)),
    )
