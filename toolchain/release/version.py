"""The version of a release: what the user says, or git's description of the checkout."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain import git
from toolchain.errors import UsageError
from toolchain.release.manifest import VERSION_PATTERN

UNKNOWN_VERSION = "0"
"""Version of a checkout that is none of git's."""

_COMMIT_DIGITS = 12


def chosen_version(project: Path, version: str) -> str:
    """Return the version of a release.

    Args:
        project: the checkout.
        version: what the user asked for; empty for git's description of the checkout: ``1.2`` of
            the tag ``v1.2``, ``1.2-3-g<commit>`` three commits later, ``0+g<commit>`` where there
            is no tag, each with ``-dirty`` where files were changed; ``0`` without git.

    Raises:
        UsageError: it, or git's description, has characters that have no place in a file's name.
    """
    chosen = version or _described(project)
    if not version and not re.fullmatch(VERSION_PATTERN, chosen):
        raise UsageError(
            f"git calls this checkout '{chosen}', which cannot be the version of a release",
            next_step="give one with --version",
        )
    if not re.fullmatch(VERSION_PATTERN, chosen):
        raise UsageError(
            f"--version cannot be '{chosen}'",
            next_step="use letters, digits and . + _ - only, at most 64, a letter or digit first",
        )
    return chosen


def _described(project: Path) -> str:
    top = git.ask(project, "rev-parse", "--show-toplevel")
    # A checkout without git may lie in a folder of somebody else's repository.
    if not top or Path(top).resolve() != project.resolve():
        return UNKNOWN_VERSION
    abbreviated = f"--abbrev={_COMMIT_DIGITS}"
    text = git.ask(project, "describe", "--tags", "--always", "--dirty", abbreviated) or ""
    if re.fullmatch(r"[0-9a-f]{12,40}(-dirty)?", text):
        return f"0+g{text}"
    return text.removeprefix("v") or UNKNOWN_VERSION
