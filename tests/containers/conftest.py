"""Fixtures of several container tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunInImage, RunSteps
from tests.containers.model_bench import ModelBench
from toolchain.layout import Layout
from toolchain.pipeline import Pipeline


@pytest.fixture
def copied_checkout(layout: Layout, tmp_path: Path) -> Layout:
    """Return a copy of the tracked files with a cache of its own."""
    project = tmp_path / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=layout.project,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (layout.project / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(layout.project / name, project / name)
    (tmp_path / "cache").mkdir()
    return Layout(project, tmp_path / "cache")


@pytest.fixture
def bench(
    pipeline: Pipeline, run_steps: RunSteps, run_in_image: RunInImage, train_image: str
) -> ModelBench:
    assert pipeline.train_image == train_image
    return ModelBench(pipeline, run_steps, run_in_image)
