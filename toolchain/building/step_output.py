"""Reads the JSON files that steps leave."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from toolchain.actions import StepResult, Store
from toolchain.errors import StepFailedError


def unreadable(result: StepResult, file: PurePosixPath, why: str) -> StepFailedError:
    """Return the error for a file that is not what its step leaves."""
    return StepFailedError(
        f"step '{result.name}' left a {file} that cannot be used",
        why=why,
        next_step="run ./invoke clean --cache, which makes everything anew; if it stays, report it",
    )


def step_document(store: Store, result: StepResult, file: PurePosixPath) -> dict[str, object]:
    """Return the JSON object that a step left.

    Raises:
        StepFailedError: it is none.
    """
    try:
        document = json.loads(store.get(result.outputs[file]))
    except (ValueError, RecursionError) as error:
        raise unreadable(result, file, str(error)) from error
    if not isinstance(document, dict):
        raise unreadable(result, file, "it holds no JSON object")
    return document


def step_number(store: Store, result: StepResult, file: PurePosixPath, field: str) -> int:
    """Return a whole number, 0 or more, of the JSON object that a step left.

    Raises:
        StepFailedError: it is not there.
    """
    number = step_document(store, result, file).get(field)
    if type(number) is not int or number < 0:
        raise unreadable(result, file, f"its {field} is {number!r}")
    return number
