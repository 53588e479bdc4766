"""The model that a user means: one of the project by its name, or files of the user's own."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain.errors import UsageError
from toolchain.models import MODELS, GivenModel, Model
from toolchain.paths import user_path

MODEL_SUFFIXES = (".tflite", ".keras")
DATA_SUFFIXES = (".npy", ".npz")


def chosen_model(model: str, representative: str = "", inputs: str = "") -> Model:
    """Return the model that the options mean.

    Args:
        model: a model of the project, or the path of a ``.tflite`` or ``.keras`` file.
        representative: path of inputs from which a ``.keras`` file is quantised; may be empty.
        inputs: path of inputs to verify a given model on; may be empty.

    Raises:
        UsageError: there is no such model or file, or an option does not apply to it.
    """
    if model in MODELS or not (Path(model).suffix in MODEL_SUFFIXES or Path(model).name != model):
        for option, value in (("--representative", representative), ("--inputs", inputs)):
            if value:
                raise UsageError(
                    f"{option} is for a model of your own",
                    next_step="name its file with --model path/to/model.tflite",
                )
        if model not in MODELS:
            raise UsageError(
                f"there is no model '{model}'",
                next_step=f"choose one of: {', '.join(MODELS)}; or name a file of yours, "
                f"{' or '.join(MODEL_SUFFIXES)}",
            )
        return MODELS[model]
    file = _file("--model", model, MODEL_SUFFIXES)
    if representative and file.suffix != ".keras":
        raise UsageError(
            "--representative is for a .keras file",
            why="a .tflite file is quantised already, or not at all",
            next_step="leave it out",
        )
    given = GivenModel(
        file,
        _file("--representative", representative, DATA_SUFFIXES) if representative else None,
        _file("--inputs", inputs, DATA_SUFFIXES) if inputs else None,
    )
    name = model_name(file)
    return Model(name, name, "model_runner", given)


def model_name(file: Path) -> str:
    """Return what a given model is called: its file's name as a C identifier.

    Raises:
        UsageError: nothing of the name can be used, or a model of the project is called so.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", file.stem).strip("_")
    if name[:1].isdigit():
        name = f"model_{name}"
    taken = {*MODELS, *(model.family for model in MODELS.values())}
    if not name or name in taken:
        raise UsageError(
            f"a model cannot be called as the file {file.name} is",
            why=f"a model of this project is called {name}"
            if name
            else "there is no letter from A to Z or digit in it",
            next_step="give the file another name",
        )
    return name


def _file(option: str, text: str, suffixes: tuple[str, ...]) -> Path:
    path = user_path(text)
    if path.suffix not in suffixes:
        raise UsageError(
            f"{option} cannot be '{text}'", next_step=f"give a {' or '.join(suffixes)} file"
        )
    try:
        there = path.is_file()
    except OSError:
        # A name that is too long, or a folder that is closed.
        there = False
    if not there:
        raise UsageError(
            f"{option}: there is no file {text}",
            next_step="look at the path; it is taken from the folder in which the command runs",
        )
    return path
