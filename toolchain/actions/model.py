"""What a build step is, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from toolchain.digest import Digest

PROJECT_FOLDER = PurePosixPath("/project")
OUTPUT_FOLDER = PurePosixPath("/out")

# 2 January 1980, 00:00 UTC: the first whole day that every archive format can hold.
SOURCE_DATE_EPOCH = 315_619_200

FIXED_ENVIRONMENT: Mapping[str, str] = {
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own tmpfs
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH),
    "TZ": "UTC",
}


class StepGraphError(ValueError):
    """The steps given do not form a graph: a mistake of the caller, not of the user."""


@dataclass(frozen=True)
class OutputOf:
    """An input that is another step's output.

    Attributes:
        step: name of that step.
        path: the output's path relative to its ``/out``.
    """

    step: str
    path: PurePosixPath


Input: TypeAlias = Path | bytes | OutputOf


@dataclass(frozen=True)
class Step:
    """One command that runs in a sandbox and depends on nothing but what stands here.

    Attributes:
        name: unique in a graph.
        image: content name of the image, such as ``tinyml-toolchain/cross:<digest>``.
        arguments: the command line; the first one is the program.
        inputs: content of ``/project`` by relative path; a ``Path`` is a regular file of the host.
        outputs: files relative to ``/out`` that must exist afterwards.
        environment: added to ``FIXED_ENVIRONMENT``, over which it wins.
        working_directory: absolute folder inside the container.
        timeout_seconds: wall-clock limit, at least 1.
        memory_bytes: limit of memory, ``/tmp`` included; there is no swap. Not part of the key.
        pids: limit of processes and threads. Not part of the key.
    """

    name: str
    image: str
    arguments: tuple[str, ...]
    inputs: Mapping[PurePosixPath, Input]
    outputs: tuple[PurePosixPath, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = str(PROJECT_FOLDER)
    timeout_seconds: int = 600
    memory_bytes: int = 4 << 30
    pids: int = 256

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            StepGraphError: no name, command or output, a limit that is not positive, or a working
                directory that is not absolute.
        """
        if not self.name or not self.arguments or not self.outputs:
            raise StepGraphError(f"step '{self.name}' lacks a name, a command or outputs")
        if min(self.timeout_seconds, self.memory_bytes, self.pids) < 1:
            raise StepGraphError(f"step '{self.name}' has a limit below 1")
        folder = PurePosixPath(self.working_directory)
        if not folder.is_absolute() or ".." in folder.parts:
            raise StepGraphError(
                f"step '{self.name}': working directory '{folder}' is not absolute or has '..'"
            )

    @property
    def full_environment(self) -> dict[str, str]:
        """Every variable the command sees, beside those that the image itself sets."""
        return {**FIXED_ENVIRONMENT, **self.environment}


@dataclass(frozen=True)
class Maker:
    """What ran a step; kept with its result.

    Attributes:
        engine: ``docker`` or ``host``.
        isolated: whether the step could reach its inputs and its image only.
        pinned: whether its tools were the pinned ones.
        server: address of the remote service that the result came from; empty when it ran here.
        worker: name of the remote worker that ran it, as that service tells; may be empty.
    """

    engine: str
    isolated: bool
    pinned: bool
    server: str = ""
    worker: str = ""


IN_DOCKER = Maker("docker", isolated=True, pinned=True)


@dataclass(frozen=True)
class StepResult:
    """What a step came to.

    Attributes:
        name: the step's.
        action: digest of the encoded action: the key in the action cache.
        outputs: content by path relative to ``/out``; every blob is in the store.
        cached: whether it was known, here or to the remote cache, so that nothing was run.
    """

    name: str
    action: Digest
    outputs: Mapping[PurePosixPath, Digest]
    cached: bool


@dataclass(frozen=True)
class RunRecord:
    """How a step of a run went.

    Attributes:
        seconds: wall-clock time of the run; of the run that filled the cache when ``cached``.
        reasons: what differs from the last run of a step of this name, for people to read.
        made_by: what ran it; what filled the cache when ``cached``.
    """

    name: str
    action: Digest
    image: str
    cached: bool
    seconds: float
    reasons: tuple[str, ...]
    made_by: Maker = IN_DOCKER


@dataclass(frozen=True)
class PlannedStep:
    """What a run would do with a step.

    Attributes:
        will_run: ``True`` or ``False``; ``None`` when that is known only after another step ran.
        action: the key, where all inputs are known.
        reasons: why it would run, or what has to run first, for people to read.
        last_seconds: how long it took the last time, where that is known.
    """

    name: str
    image: str
    will_run: bool | None
    action: Digest | None
    reasons: tuple[str, ...]
    last_seconds: float | None
