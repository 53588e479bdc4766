"""The host engine, where it belongs: inside a container that has the pinned tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunSteps
from tests.containers.dev_container import Ended, hand_over, run_inside
from toolchain.boards import Board
from toolchain.engine import Engine
from toolchain.layout import Layout
from toolchain.pins import Pins
from toolchain.pipeline import MODELS, Pipeline

INT8 = MODELS["sine_int8"]
_CONTENT = """
import json, os
from toolchain.compiler_content import CROSS, NATIVE, compiler_content
from toolchain.pinned_tree import IMAGE_LICENCE, IMAGE_TREE, tree_sha256
path = os.environ["PATH"]
print(json.dumps({"cross": compiler_content(CROSS, path).sha256,
                  "native": compiler_content(NATIVE, path).sha256,
                  "tree": tree_sha256(IMAGE_TREE, IMAGE_LICENCE)}))
"""


@pytest.fixture
def checkout(layout: Layout, tmp_path: Path) -> Layout:
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


def invoke(engine: Engine, image: str, layout: Layout, *arguments: str) -> Ended:
    return run_inside(engine, image, layout, ["-m", "invoke", *arguments])


def test_the_pins_name_the_content_of_the_images(
    engine: Engine, host_image: str, checkout: Layout, pins: Pins
) -> None:
    ended = run_inside(engine, host_image, checkout, ["-c", _CONTENT])
    assert ended.code == 0, ended.errors
    found = json.loads(ended.output)
    assert found == pins.content.model_dump(), "put this into [content] of pins.toml"


def test_in_the_cross_image_the_host_engine_makes_the_bytes_that_docker_makes(
    engine: Engine,
    cross_image: str,
    checkout: Layout,
    board: Board,
    pipeline: Pipeline,
    run_steps: RunSteps,
) -> None:
    steps = pipeline.firmware_steps([board], [INT8], "release")
    runner, results = run_steps(steps)
    trained = {step.name for step in steps if step.image == pipeline.train_image}
    hand_over({name: results[name] for name in trained}, runner.store, checkout)
    ended = invoke(
        engine, cross_image, checkout, "build", "--target", board.name, "--engine", "host"
    )
    assert ended.code == 0, ended.errors
    assert "isolation is off" in ended.errors
    compared = 0
    for name in results.keys() - trained:
        entry = checkout.actions / results[name].action.sha256[:2]
        entry /= f"{results[name].action.sha256}.json"
        document = json.loads(entry.read_text())
        assert document["made_by"] == {"engine": "host", "isolated": False, "pinned": True}
        made = {item["path"]: item["sha256"] for item in document["outputs"]}
        assert made == {str(path): each.sha256 for path, each in results[name].outputs.items()}
        compared += len(made)
    assert compared >= 8
