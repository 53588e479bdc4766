"""A firmware that was built, and the files beside it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.firmware.size import SizeReport
from toolchain.models import BuildType, Model

ARENA_SCHEMA = "tinyml-toolchain/arena/1"

SIZE = PurePosixPath("size.json")
ARENA = PurePosixPath("arena.json")
SIMULATION_REPORT = PurePosixPath("simulation.json")
SIMULATION_PICTURE = PurePosixPath("simulation.png")
DISPLAY_PICTURE = PurePosixPath("display.png")
VERIFY_REPORT = PurePosixPath("verify.json")
REPORTS = (SIMULATION_REPORT, SIMULATION_PICTURE, DISPLAY_PICTURE, VERIFY_REPORT)
"""What other commands write beside a firmware; gone as soon as the firmware is another one."""


@dataclass(frozen=True)
class Artifact:
    """A file made for the user."""

    path: Path
    digest: Digest


@dataclass(frozen=True)
class Arena:
    """The tensor arena of a given model on a board; all sizes in bytes.

    Attributes:
        size_bytes: that the firmware has.
        smallest_bytes: smallest with which it starts; 16 less were tried and fail.
        used_bytes: that the interpreter keeps once it has started; more is needed on the way.
        tried: sizes that were tried in the simulator.
    """

    size_bytes: int
    smallest_bytes: int
    used_bytes: int
    tried: tuple[int, ...]

    @property
    def margin_bytes(self) -> int:
        """What the firmware has more than it needs."""
        return self.size_bytes - self.smallest_bytes

    def as_json(self) -> bytes:
        """Return what ``arena.json`` holds."""
        document = {
            "schema": ARENA_SCHEMA,
            **dataclasses.asdict(self),
            "margin_bytes": self.margin_bytes,
        }
        return (json.dumps(document, indent=2) + "\n").encode()


@dataclass(frozen=True)
class BuiltFirmware:
    """A firmware that was built and checked.

    Attributes:
        folder: ``build/<target>/<model>``.
        artifacts: the files to flash or to look at, without the workspace.
        image: the flashable file.
        elf: the linked file, for names and lines.
        arena: of a given model.
        multiply_accumulates: products that an inference of a given model adds up; else 0.
        cases: inputs that a given model's firmware holds; else 0.
    """

    board: Board
    model: Model
    build_type: BuildType
    folder: Path
    artifacts: tuple[Artifact, ...]
    image: Path
    elf: Path
    size: SizeReport
    arena: Arena | None = None
    multiply_accumulates: int = 0
    cases: int = 0

    def as_json(self) -> dict[str, object]:
        """Return what ``./invoke build --json`` tells of it."""
        return {
            "target": self.board.name,
            "model": self.model.name,
            "build_type": self.build_type,
            "artifacts": [
                {"path": str(artifact.path), **dataclasses.asdict(artifact.digest)}
                for artifact in self.artifacts
            ],
            "size": dataclasses.asdict(self.size),
            "arena": dataclasses.asdict(self.arena) if self.arena else None,
        }
