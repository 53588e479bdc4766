"""Runs what the workflows in ``.github`` run, on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("schemas", "--check"),
    ("pins",),
    ("test",),
    ("package",),
    ("verify-release", "dist"),
    ("reproduce", "dist"),
)
"""The steps of every workflow, in order; a test compares the workflows with them."""


def run_ci(project: Path, announce: Callable[[str], None]) -> int:
    """Run every command until one fails; return its exit code, or 0.

    Args:
        project: the checkout.
        announce: told each command before it runs.
    """
    environment = {**os.environ, REQUIRE_DOCKER_VARIABLE: "1"}
    for arguments in COMMANDS:
        announce(f"./invoke {' '.join(arguments)}")
        done = subprocess.run(
            [str(project / "invoke"), *arguments], cwd=project, env=environment, check=False
        )
        if done.returncode:
            return done.returncode
    return 0
