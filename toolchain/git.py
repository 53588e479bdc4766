"""Asks git about a checkout, where there is git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SECONDS = 60


def is_installed() -> bool:
    """Return whether there is a git to ask."""
    return shutil.which("git") is not None


def ask(folder: Path, *arguments: str) -> str | None:
    """Return what git says in a folder, without blanks around it.

    Returns:
        None: it is not installed, cannot be asked so, refuses, or does not end within a minute.
    """
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            capture_output=True,
            check=False,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
