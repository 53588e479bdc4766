"""Where the files of a model stand for the user."""

from __future__ import annotations

from pathlib import PurePosixPath

from toolchain.models import MODELS, Model
from toolchain.pipeline.model_steps import MODEL_SOURCES
from toolchain.pipeline.story import PLOTS, SMALL_NETWORK, small_training_name


def published_path(model: Model, step: str, path: PurePosixPath) -> PurePosixPath | None:
    """Return where a step's output stands under ``build/model/<family>``; None for nowhere."""
    family = model.family
    verb, _, subject = step.partition(" ")
    if model.given is not None:
        kept = subject == model.name and verb in {"convert", "embed", "cases", "reference"}
        return path if kept and path.name != "cases.bin" else None
    if step == small_training_name(family):
        return SMALL_NETWORK / path
    if step == f"plot {family}":
        return "plots" / path
    if subject == family and verb in {"train", "convert", "dynamic", "compare", "report"}:
        return path
    if verb in {"embed", "reference"} and subject in MODELS and MODELS[subject].family == family:
        return subject / path
    return None


def story_files(family: str) -> frozenset[PurePosixPath]:
    """Return what ``story`` puts under ``build/model/<family>`` beside a build's own files.

    Written out because every build asks for it, and making the steps takes longer.
    """
    names = {
        *(f"{family}_dynamic.tflite", "comparison.json", "report.html"),
        *(f"{SMALL_NETWORK}/{name}" for name in (f"{SMALL_NETWORK}.keras", "history.json")),
        *(f"plots/{name}.png" for name in PLOTS),
        *(
            f"{model.name}/{name}"
            for model in MODELS.values()
            if model.family == family
            for name in (*MODEL_SOURCES, "model.json", "reference.json")
        ),
    }
    return frozenset(map(PurePosixPath, names))
