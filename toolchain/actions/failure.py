"""What a step's command said when it failed, as an error for the user.

A command that ends with the exit code of an error in ``REFUSALS`` and whose last line of standard
error is

    {"error": "unsupported-model", "what": "...", "why": "...", "next": "..."}

says that what the user gave, and not the toolchain, is at fault; its three texts become the
error's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.errors import (
    StepFailedError,
    ToolchainError,
    UnsupportedModelError,
    UnusableDataError,
)

REFUSALS: Mapping[str, type[ToolchainError]] = {
    "unsupported-model": UnsupportedModelError,
    "unusable-data": UnusableDataError,
}
"""Errors of the user's files, by the name that a step gives them."""

LINES_SHOWN = 30
ERROR_LINES_SHOWN = 15
_LONGEST_LINE = 400
# Terminal control sequences, then whatever else is no text: a container must not move our cursor.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
_UNPRINTABLE = re.compile(
    r"[^\t\x20-\x7e\xa0-\U0010ffff]|[\u200b-\u200f\u202a-\u202e\u2066-\u2069]"
)


def readable_lines(output: bytes) -> list[str]:
    """Return the lines of ``output`` as harmless text, each of limited length.

    Of a line that was drawn over with carriage returns the last form is kept.
    """
    lines: list[str] = []
    for raw in output.decode(errors="replace").split("\n"):
        text = raw.rstrip("\r").rpartition("\r")[2]
        lines.append(_UNPRINTABLE.sub("", _CONTROL.sub("", text))[:_LONGEST_LINE])
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def step_failure(
    name: str, exit_code: int, *, output: bytes, error_output: bytes, log: Path, why: str = ""
) -> ToolchainError:
    """Return the error for a command that ended with ``exit_code``.

    Args:
        name: the step's name.
        exit_code: not 0.
        output: the end of what it wrote, both streams.
        error_output: the end of what it wrote to standard error.
        log: where all of it is kept.
        why: the cause, where something else than the exit code tells it.
    """
    refusal = _refusal(error_output)
    if refusal is not None and exit_code == refusal.exit_code:
        return refusal
    lines = _end(readable_lines(output), readable_lines(error_output))
    what = f"step '{name}' failed with exit code {exit_code}"
    if lines:
        what += "; the end of what it wrote:\n" + "\n".join(f"    {line}" for line in lines)
    return StepFailedError(what, why=why, next_step=f"read all that it wrote in {log}")


def _end(both: list[str], errors: list[str]) -> list[str]:
    # The two streams come through two pipes, so that an error may stand before much that was
    # written earlier: what would be cut of it goes to the end.
    shown = set(both[-LINES_SHOWN:])
    cut = [line for line in errors[-ERROR_LINES_SHOWN:] if line not in shown]
    return both[len(cut) - LINES_SHOWN :] + cut


def _refusal(error_output: bytes) -> ToolchainError | None:
    lines: Sequence[bytes] = error_output.rstrip().splitlines()
    try:
        document = json.loads(lines[-1])
        error = REFUSALS[document["error"]]
        texts = [document["what"], document["why"], document["next"]]
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(text, str) for text in texts):
        return None
    what, why, next_step = (
        "\n".join(readable_lines(text.encode(errors="replace"))) for text in texts
    )
    return error(what, why=why, next_step=next_step)
