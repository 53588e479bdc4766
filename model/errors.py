"""The errors that a step of this package hands to whoever runs it, and how they are handed over."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import ClassVar


class RefusedError(Exception):
    """What the user gave cannot be used; the orchestration maps each kind to an error of its own.

    Args:
        what: what is wrong, one sentence that names the tensor, operator or file.
        why: why that is not possible; empty when ``what`` already says it.
        next_step: the cure.

    Attributes:
        kind: name of the kind for the orchestration.
        exit_code: of a step that ends with it.
    """

    kind: ClassVar[str]
    exit_code: ClassVar[int]

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        super().__init__(what)

    def as_json(self) -> str:
        """Return the message as one line of JSON."""
        return json.dumps(
            {"error": self.kind, "what": self.what, "why": self.why, "next": self.next_step}
        )


class UnsupportedModelError(RefusedError):
    """The model cannot be computed by the pinned TensorFlow Lite Micro tree."""

    kind = "unsupported-model"
    exit_code = 27


class UnusableDataError(RefusedError):
    """Inputs or a representative data set do not fit the model."""

    kind = "unusable-data"
    exit_code = 35


def exit_code_of(work: Callable[[], None]) -> int:
    """Run ``work``; print what was refused as one line of JSON on stderr.

    Returns:
        0, or the exit code of the error.
    """
    try:
        work()
    except RefusedError as error:
        print(error.as_json(), file=sys.stderr)
        return error.exit_code
    return 0
