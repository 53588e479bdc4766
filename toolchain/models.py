"""Models and build types: what can be built, by the names that users give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from toolchain.errors import UsageError

BuildType: TypeAlias = Literal["release", "release_with_logs", "default", "debug"]
BUILD_TYPES: tuple[BuildType, ...] = ("release", "release_with_logs", "default", "debug")

Application: TypeAlias = Literal["hello_world", "hello_world_test", "model_runner"]

Arenas: TypeAlias = Mapping[tuple[str, str], int]
"""Sizes of tensor arenas in bytes, by the names of board and model."""

SMALLEST_ARENA, LARGEST_ARENA = 16, 1 << 30
"""What a tensor arena may have, in bytes; no board has as much as the latter."""

DEFAULT_MODEL = "sine_int8"
DEFAULT_BUILD_TYPE: BuildType = "release"


@dataclass(frozen=True)
class GivenModel:
    """Files of a user's own model.

    Attributes:
        file: the ``.tflite`` or ``.keras`` file.
        representative: ``.npy`` or ``.npz`` from which a ``.keras`` file is quantised; None leaves
            it in float32.
        inputs: ``.npy`` or ``.npz`` with the inputs to verify on; None to draw them.
    """

    file: Path
    representative: Path | None = None
    inputs: Path | None = None

    @property
    def is_network(self) -> bool:
        """Whether it has to be converted first."""
        return self.file.suffix == ".keras"


@dataclass(frozen=True)
class Model:
    """A model that can be put into a firmware.

    Attributes:
        name: folder and make variable, such as ``sine_int8``.
        family: the network that it was converted from, such as ``sine``; of a given model its name.
        application: the program that runs it.
        given: the user's files; None for a model of the project.
    """

    name: str
    family: str
    application: Application = "hello_world"
    given: GivenModel | None = None

    @property
    def test_application(self) -> Application:
        """The program whose outputs are compared with the reference."""
        return "hello_world_test" if self.application == "hello_world" else self.application


MODELS: Mapping[str, Model] = {
    model.name: model for model in (Model("sine_int8", "sine"), Model("sine_float", "sine"))
}


def find_model(name: str) -> Model:
    """Return the model called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in MODELS:
        raise UsageError(
            f"there is no model '{name}'", next_step=f"choose one of: {', '.join(MODELS)}"
        )
    return MODELS[name]


def find_build_type(name: str) -> BuildType:
    """Return the build type called ``name``.

    Raises:
        UsageError: there is none.
    """
    for build_type in BUILD_TYPES:
        if build_type == name:
            return build_type
    raise UsageError(
        f"there is no build type '{name}'", next_step=f"choose one of: {', '.join(BUILD_TYPES)}"
    )
