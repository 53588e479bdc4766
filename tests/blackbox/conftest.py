"""A fresh checkout with an empty step cache, driven only by its command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, Containers, copy_tracked, succeeds
from toolchain.engine import Engine
from toolchain.layout import Layout


@pytest.fixture(scope="session")
def checkout(layout: Layout, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the tracked files in a folder with a space, as folders of people have."""
    place = tmp_path_factory.mktemp("blackbox")
    copy_tracked(layout.project, place / "fresh clone")
    return Checkout(place / "fresh clone", place / "cache", engine.address.url)


@pytest.fixture(scope="session")
def environment(checkout: Checkout) -> Path:
    """The checkout's Python environment, for clones whose own would be the same."""
    done = checkout.invoke("--version")
    assert done.returncode == 0, done.stderr
    return checkout.folder / ".venv"


@pytest.fixture(scope="session")
def first_build(checkout: Checkout) -> subprocess.CompletedProcess[str]:
    """What the first build in the fresh checkout came to; everything is made by it."""
    done = checkout.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def built(checkout: Checkout, first_build: subprocess.CompletedProcess[str]) -> Checkout:
    """The checkout after its first build."""
    assert first_build.returncode == 0
    return checkout


@pytest.fixture
def copy(built: Checkout, tmp_path: Path) -> Checkout:
    """Another checkout of the same sources, to be changed; it shares the cache."""
    return built.copy_to(tmp_path / "another clone")


@pytest.fixture
def lone_copy(built: Checkout, tmp_path: Path) -> Checkout:
    """Another checkout with a cache of its own, which knows what the shared one does."""
    cache = tmp_path / "lone cache"
    shutil.copytree(built.cache, cache)
    return built.copy_to(tmp_path / "another clone", cache=cache)


@pytest.fixture
def containers(engine: Engine) -> Containers:
    return Containers(engine)


@pytest.fixture
def may_mount() -> None:
    """Skip where file systems cannot be mounted: without root, or in a container without power."""
    if not succeeds("unshare", "--mount", "true"):
        pytest.skip("not run: file systems cannot be mounted here")
