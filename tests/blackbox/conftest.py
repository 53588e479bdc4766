"""A fresh checkout with an empty step cache, driven only by its command."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolchain.layout import CACHE_VARIABLE, Layout


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's tracked files.

    Attributes:
        folder: has a space in its name, as folders of people have.
        cache: empty at first; the engine, and so its images, is shared.
    """

    folder: Path
    cache: Path

    def environment(self, **extra: str) -> dict[str, str]:
        return os.environ | {CACHE_VARIABLE: str(self.cache)} | extra

    def invoke(
        self, *arguments: str, cwd: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "invoke"), *arguments],
            cwd=cwd or self.folder,
            env=self.environment(**extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def copy_to(self, folder: Path) -> Checkout:
        """Return a second checkout that shares cache and Python environment with this one."""
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns(".venv", "build"), symlinks=True
        )
        (folder / ".venv").symlink_to(self.folder / ".venv")
        return Checkout(folder, self.cache)


@pytest.fixture(scope="session")
def checkout(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=layout.project, capture_output=True, check=True
    ).stdout
    place = tmp_path_factory.mktemp("blackbox")
    folder = place / "fresh clone"
    for name in tracked.decode().split("\0"):
        source = layout.project / name
        if name and source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return Checkout(folder, place / "cache")
