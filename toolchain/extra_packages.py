"""Installs what only some commands need into ``.venv``, when one is first asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import nullcontext

from toolchain import environment
from toolchain.console import Reporter
from toolchain.errors import ToolchainError, UsageError
from toolchain.layout import project_layout
from toolchain.pins.locks import BUNDLED_LOCKS


def require_packages(lock: str, module: str, reporter: Reporter) -> None:
    """Install what ``lock`` lists into ``.venv`` unless it is there.

    Args:
        lock: a hash lock's path in the project.
        module: one that it brings, by which an environment that is not ours is judged.
        reporter: told what is installed.

    Raises:
        UsageError: it is missing in an environment that is not ours.
        ToolchainError: it cannot be installed.
    """
    path = project_layout().project / lock
    place = project_layout().project / ".venv"
    if sys.prefix != str(place):
        if importlib.util.find_spec(module) is None:
            raise UsageError(
                f"what {path.name} lists is not installed",
                next_step=f"pip install --require-hashes -r {path.name}, or use ./invoke",
            )
        return
    if environment.is_current(place, path):
        return
    try:
        bundled = environment.bundled_wheels() if lock in BUNDLED_LOCKS else nullcontext(None)
        with reporter.activity(f"installing {path.name}"), bundled as wheels:
            environment.install(place, path, wheels)
    except environment.EnvironmentSetupError as error:
        raise ToolchainError(str(error)) from error
    importlib.invalidate_caches()
