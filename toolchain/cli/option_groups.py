"""Options that several tasks have: each is declared here once, with its default, help and meaning.

A task that takes a group as a parameter has the options that the group's fields name, in its place:
``flattened`` makes of such a function one that Invoke can read.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolchain.cli.option_values import whole_number
from toolchain.model_choice import chosen_model
from toolchain.models import DEFAULT_BUILD_TYPE, DEFAULT_MODEL, LARGEST_ARENA, SMALLEST_ARENA

if TYPE_CHECKING:
    from toolchain.models import BuildType, Model
    from toolchain.remote.settings import RemoteChoice
    from toolchain.session import EngineChoice

_HELP = "help"


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={_HELP: text})


@dataclass(frozen=True)
class ModelOptions:
    """Which model."""

    model: str = _option(
        DEFAULT_MODEL, "sine_int8, sine_float, or the path of your own .tflite or .keras file"
    )
    representative: str = _option(
        "", ".npy of inputs from which a .keras file is quantised to int8"
    )
    inputs: str = _option("", ".npy of inputs to verify your own model on; drawn when not given")

    def chosen(self) -> Model:
        """Return the model.

        Raises:
            UsageError: there is none, or an option does not apply to it.
        """
        return chosen_model(self.model, self.representative, self.inputs)


@dataclass(frozen=True)
class BuildOptions(ModelOptions):
    """Which model, built how."""

    build_type: str = _option(DEFAULT_BUILD_TYPE, "release, release_with_logs, default or debug")

    def kind(self) -> BuildType:
        """Return the build type.

        Raises:
            UsageError: there is none of that name.
        """
        from toolchain.models import find_build_type

        return find_build_type(self.build_type)


@dataclass(frozen=True)
class FirmwareOptions(BuildOptions):
    """Which firmware of a board."""

    arena: str = _option(
        "", "bytes of your own model's tensor arena; the smallest that works when not given"
    )

    def arena_bytes(self) -> int | None:
        """Return the arena's size in bytes; None for the smallest that works.

        Raises:
            UsageError: it is no number, too small for any model, or too large for any board.
        """
        if not self.arena:
            return None
        return whole_number("--arena", self.arena, at_least=SMALLEST_ARENA, at_most=LARGEST_ARENA)


@dataclass(frozen=True)
class RemoteOptions:
    """Which remote services."""

    remote_cache: str = _option(
        "",
        "grpc[s]://HOST:PORT[/INSTANCE] to ask for results; or TOOLCHAIN_REMOTE_CACHE",
    )
    remote_executor: str = _option(
        "", "grpc[s]://HOST:PORT[/INSTANCE] that runs the steps; or TOOLCHAIN_REMOTE_EXECUTOR"
    )
    remote_token_file: str = _option(
        "", "file with the token for both; or TOOLCHAIN_REMOTE_TOKEN_FILE"
    )
    remote_ca_file: str = _option(
        "", "certificates to trust for both, in PEM; or TOOLCHAIN_REMOTE_CA_FILE"
    )

    def remote(self) -> RemoteChoice:
        """Return the services.

        Raises:
            UsageError: an address or a file cannot be used.
        """
        from toolchain.remote.settings import chosen_remote

        return chosen_remote(
            self.remote_cache, self.remote_executor, self.remote_token_file, self.remote_ca_file
        )


LONG_ONLY = frozenset(option.name for option in dataclasses.fields(RemoteOptions))
"""Options without a letter of their own: they come last, so that no other one loses its letter."""


@dataclass(frozen=True)
class PlaceOptions(RemoteOptions):
    """Where steps run."""

    engine: str = _option(
        "auto",
        "docker, host (this machine's own tools, not isolated), or auto: Docker if it can be had",
    )
    allow_unpinned: bool = _option(
        False, "with --engine host: take a compiler that is not the pinned one"
    )

    def chosen(self) -> EngineChoice:
        """Return the place.

        Raises:
            UsageError: the options do not go together.
        """
        from toolchain.session import chosen_engine

        return chosen_engine(self.engine, allow_unpinned=self.allow_unpinned, remote=self.remote())


@dataclass(frozen=True)
class ReleaseOptions(RemoteOptions):
    """Where the steps of a release run."""

    engine: str = _option("docker", "docker; a release is made in nothing else")

    def chosen(self) -> EngineChoice:
        """Return the place.

        Raises:
            UsageError: a release is not made there.
        """
        from toolchain.commands.package import release_engine

        return release_engine(self.engine, self.remote())


@dataclass(frozen=True)
class ResultOptions:
    """How the result is told."""

    json: bool = _option(False, "print the result as JSON")
    quiet: bool = _option(False, "print the result only")

    @property
    def silent(self) -> bool:
        """Whether only warnings are told beside the result."""
        return self.json or self.quiet


MODEL = ModelOptions()
BUILD = BuildOptions()
FIRMWARE = FirmwareOptions()
ANY_FIRMWARE = FirmwareOptions(model="")
"""Firmwares of every model of the project, where none is named."""

PLACE = PlaceOptions()
RELEASE = ReleaseOptions()
RESULT = ResultOptions()

TARGET_HELP = "board, or 'all' for every one (./invoke targets lists them)"
SIMULATOR_HELP = "unicorn, this project's own, or renode, where that can be had"


def flattened(function: Callable[..., None]) -> tuple[Callable[..., None], Mapping[str, str]]:
    """Return a function with single options in the place of groups, and the help of these.

    Args:
        function: its parameters that are annotated with a group have one as their default.
    """
    parameters: list[inspect.Parameter] = []
    last: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    texts: dict[str, str] = {}
    annotations = typing.get_type_hints(function)
    for parameter in inspect.signature(function).parameters.values():
        kind = annotations.get(parameter.name)
        if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
            parameters.append(parameter)
            continue
        groups[parameter.name] = kind
        for option in dataclasses.fields(kind):
            default = getattr(parameter.default, option.name)
            options = last if option.name in LONG_ONLY else parameters
            options.append(parameter.replace(name=option.name, default=default))
            texts[option.name.replace("_", "-")] = option.metadata[_HELP]

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> None:
        for name, kind in groups.items():
            names = [option.name for option in dataclasses.fields(kind)]
            options[name] = kind(**{each: options.pop(each) for each in names})
        function(*arguments, **options)

    # Options of groups may come before parameters without a default: all are given by name.
    call.__signature__ = inspect.Signature([*parameters, *last])  # type: ignore[attr-defined]
    return call, texts
