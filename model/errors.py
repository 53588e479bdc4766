"""The error that a step of this package hands to whoever runs it, and how it is handed over."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

UNSUPPORTED_MODEL_EXIT_CODE = 27
"""Exit code of a step that refuses a model; the orchestration maps it to its own error."""


class UnsupportedModelError(Exception):
    """The model cannot be computed by the pinned TensorFlow Lite Micro tree.

    Args:
        what: what is wrong, one sentence that names the tensor or operator.
        why: why that is not possible; empty when ``what`` already says it.
        next_step: the cure.
    """

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        super().__init__(what)

    def as_json(self) -> str:
        """Return the message as one line of JSON."""
        return json.dumps(
            {
                "error": "unsupported-model",
                "what": self.what,
                "why": self.why,
                "next": self.next_step,
            }
        )


def exit_code_of(work: Callable[[], None]) -> int:
    """Run ``work``; print a refused model as one line of JSON on stderr.

    Returns:
        0, or ``UNSUPPORTED_MODEL_EXIT_CODE`` when the model was refused.
    """
    try:
        work()
    except UnsupportedModelError as error:
        print(error.as_json(), file=sys.stderr)
        return UNSUPPORTED_MODEL_EXIT_CODE
    return 0
