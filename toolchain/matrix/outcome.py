"""What came of each firmware of a matrix, kept so that an interrupted run is taken up again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.files import write_atomically

SCHEMA = "tinyml-toolchain/matrix-row/1"


@dataclass(frozen=True)
class Outcome:
    """What came of one firmware.

    Attributes:
        verified: whether it computes what its model computes; False when something failed before.
        error: class of what went wrong; empty when nothing did.
        exit_code: of that error; 0 for none.
        message: of that error, its first line.
        flash_bytes: that the image takes.
        ram_bytes: that the firmware takes, without the stack.
        arena_bytes: of the tensor arena of a given model; 0 otherwise.
        instructions: of an inference, the median; of a model of the project an inference's share
            of the whole test.
        image_sha256: of the flashable file.
        seconds: that this took, without what was prepared for all.
        taken_over: whether it stood in the folder from an earlier run.
    """

    model: str
    target: str
    build_type: str
    verified: bool
    error: str = ""
    exit_code: int = 0
    message: str = ""
    flash_bytes: int = 0
    ram_bytes: int = 0
    arena_bytes: int = 0
    instructions: int = 0
    image_sha256: str = ""
    seconds: float = 0.0
    taken_over: bool = False


def outcome_path(folder: Path, key: Sequence[str]) -> Path:
    """Return where the outcome of a firmware is kept."""
    return folder / f"{'.'.join(key)}.json"


def read_outcome(path: Path, inputs: str) -> Outcome | None:
    """Return an outcome that was kept, unless it is of other inputs, or none.

    Args:
        path: of its file.
        inputs: sha256 over everything that decides about it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA or document["inputs"] != inputs:
            return None
        return Outcome(**{**document["outcome"], "taken_over": True})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_outcome(path: Path, inputs: str, outcome: Outcome) -> None:
    """Keep an outcome.

    Raises:
        DiskFullError: there is no room.
        OSError: it cannot be written.
    """
    document = {"schema": SCHEMA, "inputs": inputs, "outcome": dataclasses.asdict(outcome)}
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())


@dataclass(frozen=True)
class MatrixReport:
    """A matrix that was worked through.

    Attributes:
        rows: in the order of the matrix.
        seconds: that it took.
        executed: steps that were run, here or at a remote executor.
        cached: steps that were known.
        places: how many steps each worker ran; the empty name is this machine.
    """

    name: str
    rows: tuple[Outcome, ...]
    seconds: float
    executed: int
    cached: int
    places: Mapping[str, int]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Rows that are not verified."""
        return tuple(row for row in self.rows if not row.verified)
