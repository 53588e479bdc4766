"""The notebook's two forms, and the steps that make one from the other and run it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from toolchain.actions import Step
from toolchain.layout import Layout

NAME = "create_sine_model"
FOLDER = PurePosixPath("notebooks")
SOURCE = FOLDER / f"{NAME}.py"
"""The form that people edit: Python, with a comment before each cell."""
NOTEBOOK = FOLDER / f"{NAME}.ipynb"
"""The form that Jupyter and Colab open; made from the source."""

EXECUTED = PurePosixPath("executed.ipynb")

_PYTHON = "/opt/notebook/bin/python"
_JUPYTEXT = "/opt/notebook/bin/jupytext"
_PAIR = FOLDER / "pair.py"
_EXECUTION_SECONDS = 1800


def pair_step(layout: Layout, image: str) -> Step:
    """Return the step that makes the notebook from its source."""
    return Step(
        name=f"pair {NAME}",
        image=image,
        arguments=(_PYTHON, "-B", str(_PAIR), str(SOURCE), f"/out/{NOTEBOOK.name}"),
        inputs={path: layout.project / path for path in (_PAIR, SOURCE)},
        outputs=(PurePosixPath(NOTEBOOK.name),),
    )


def execution_step(layout: Layout, image: str, epochs: tuple[int, int] | None = None) -> Step:
    """Return the step that runs the notebook from start to end.

    Args:
        layout: the checkout.
        image: content name of the notebook image.
        epochs: of the two trainings; None for the notebook's own.
    """
    shortened = (
        {} if epochs is None else {f"SINE_EPOCHS_{i}": str(n) for i, n in enumerate(epochs, 1)}
    )
    files = {NOTEBOOK, PurePosixPath("pins.toml"), *_model_files(layout)}
    return Step(
        name=f"run {NAME}",
        image=image,
        arguments=(
            *(_JUPYTEXT, "--quiet", "--execute", "--run-path", "/out", "--to", "ipynb"),
            *("--output", f"/out/{EXECUTED}", str(NOTEBOOK)),
        ),
        inputs={path: layout.project / path for path in files},
        outputs=(
            EXECUTED,
            *(
                PurePosixPath("sine", name)
                for name in ("sine_float.tflite", "sine_int8.tflite", "sine_int8/model_data.cc")
            ),
        ),
        environment={"PYTHONPATH": "/project", "PYTHONDONTWRITEBYTECODE": "1", **shortened},
        timeout_seconds=_EXECUTION_SECONDS,
    )


def _model_files(layout: Layout) -> list[PurePosixPath]:
    found = sorted((layout.project / "model").glob("*.py"))
    return [PurePosixPath(Path(path).relative_to(layout.project).as_posix()) for path in found]
