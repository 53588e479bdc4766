"""Trains and converts the sine model."""

from __future__ import annotations

from pathlib import Path

from toolchain.commands.build import publish_model
from toolchain.commands.session import Session
from toolchain.pipeline import MODELS

FAMILY = "sine"

LARGEST_SEED = (1 << 32) - 1
"""What NumPy's generator takes."""


def train(session: Session) -> Path:
    """Bring ``build/model/sine`` up to date and return it.

    Raises:
        ToolchainError: a step failed.
    """
    pipeline = session.pipeline
    models = [model for model in MODELS.values() if model.family == FAMILY]
    steps = [pipeline.train(FAMILY), pipeline.convert(FAMILY)]
    for model in models:
        steps += [pipeline.embed(model), pipeline.reference(model)]
    publish_model(session, models[0], session.runner.run(steps))
    return session.layout.build / "model" / FAMILY
