"""Where steps run, as the user chose it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from toolchain.errors import UsageError
from toolchain.remote.settings import RemoteChoice, chosen_remote
from toolchain.renode import SIMULATORS

EngineName: TypeAlias = Literal["auto", "docker", "host"]
ENGINES: tuple[EngineName, ...] = ("auto", "docker", "host")


@dataclass(frozen=True)
class EngineChoice:
    """Where steps run.

    Attributes:
        name: ``auto`` is Docker, or the host where Docker cannot be had and the host's tools are
            the pinned ones.
        allow_unpinned: with ``host`` only: whether its tools may be others than the pinned ones.
        remote: services of others that are asked first, or run the steps instead.
    """

    name: EngineName = "auto"
    allow_unpinned: bool = False
    remote: RemoteChoice = field(default_factory=RemoteChoice)


def chosen_engine(
    name: str, *, allow_unpinned: bool = False, remote: RemoteChoice | None = None
) -> EngineChoice:
    """Return the choice that the options mean; without ``remote``, what the environment says.

    Raises:
        UsageError: there is no such engine, it cannot use other tools than the pinned ones, or a
            setting for remote services cannot be used.
    """
    remote = chosen_remote() if remote is None else remote
    for engine in ENGINES:
        if engine == name:
            break
    else:
        raise UsageError(
            f"there is no engine '{name}'",
            why="it is a simulator, of simulate and verify only" if name in SIMULATORS else "",
            next_step=f"choose one of: {', '.join(ENGINES)}",
        )
    if allow_unpinned and engine != "host":
        raise UsageError(
            "--allow-unpinned is for --engine host",
            why="Docker's images have the pinned tools only",
            next_step="add --engine host, or leave it out",
        )
    if remote.executor is not None and engine == "host":
        raise UsageError(
            f"--engine {engine} runs steps here, and --remote-executor elsewhere",
            next_step="leave one of them out; --remote-cache goes with any engine",
        )
    return EngineChoice(engine, allow_unpinned, remote)
