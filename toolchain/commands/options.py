"""What the commands' options share: defaults, numbers and models.

Invoke would convert numbers itself, but it meets a word that is none with a traceback.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.errors import UsageError

if TYPE_CHECKING:
    from toolchain.pipeline import Model

MODEL_SUFFIXES = (".tflite", ".keras")
DATA_SUFFIXES = (".npy", ".npz")

DEFAULT_MODEL = "sine_int8"
DEFAULT_BUILD_TYPE = "release"


def whole_number(option: str, text: str, *, at_least: int, at_most: int | None = None) -> int:
    """Return the number that ``text`` writes in decimal.

    Args:
        option: as the user writes it, such as ``--jobs``; for the message.
        text: what the user gave.
        at_least: the smallest number that can be used.
        at_most: the largest one; None where there is none.

    Raises:
        UsageError: it is no whole number, or outside these limits.
    """
    limits = f"{at_least} or more" if at_most is None else f"from {at_least} to {at_most}"
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < at_least or (at_most is not None and number > at_most):
        raise UsageError(
            f"{option} cannot be '{text}'", next_step=f"give it a whole number, {limits}"
        )
    return number


def chosen_model(model: str, representative: str = "", inputs: str = "") -> Model:
    """Return the model that the options mean.

    Args:
        model: a model of the project, or the path of a ``.tflite`` or ``.keras`` file.
        representative: path of inputs from which a ``.keras`` file is quantised; may be empty.
        inputs: path of inputs to verify a given model on; may be empty.

    Raises:
        UsageError: there is no such model or file, or an option does not apply to it.
    """
    from toolchain.pipeline import MODELS, GivenModel, Model, find_model

    if model in MODELS or not (Path(model).suffix in MODEL_SUFFIXES or Path(model).name != model):
        for option, value in (("--representative", representative), ("--inputs", inputs)):
            if value:
                raise UsageError(
                    f"{option} is for a model of your own",
                    next_step="name its file with --model path/to/model.tflite",
                )
        return find_model(model)
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
    from toolchain.pipeline import MODELS

    name = re.sub(r"[^A-Za-z0-9]+", "_", file.stem).strip("_")
    if name[:1].isdigit():
        name = f"model_{name}"
    taken = {*MODELS, *(model.family for model in MODELS.values())}
    if not name or name in taken:
        raise UsageError(
            f"a model cannot be called as the file {file.name} is",
            why=f"a model of this project is called {name}"
            if name
            else "there is no letter or digit in it",
            next_step="give the file another name",
        )
    return name


def write_page(path: Path, page: str) -> None:
    """Write a page that the user asked for, complete or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    from toolchain.actions.action_cache import write_atomically

    try:
        write_atomically(path, page.encode())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {os.strerror(error.errno or 0)}",
            next_step="name a file in a folder that is yours",
        ) from error


def use_bundle(bundle: str) -> None:
    """Let everything pinned be taken from a file that ``./invoke bundle`` made.

    Args:
        bundle: its path; nothing is changed when it is empty.

    Raises:
        UsageError: there is no such file.
    """
    if not bundle:
        return
    from toolchain.environment import BUNDLE_VARIABLE

    if not Path(bundle).expanduser().is_file():
        raise UsageError(
            f"--bundle: there is no file {bundle}",
            next_step="make it with ./invoke bundle, on a machine with network",
        )
    os.environ[BUNDLE_VARIABLE] = bundle


def _file(option: str, text: str, suffixes: tuple[str, ...]) -> Path:
    path = Path(text).expanduser().absolute()
    if path.suffix not in suffixes:
        raise UsageError(
            f"{option} cannot be '{text}'", next_step=f"give a {' or '.join(suffixes)} file"
        )
    if not path.is_file():
        raise UsageError(
            f"{option}: there is no file {text}",
            next_step="look at the path; it is taken from the folder in which the command runs",
        )
    return path
