"""The host engine, where it belongs: inside a container that has the pinned tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from tests.conftest import RunSteps
from tests.containers.dev_container import Ended, hand_over, run_inside
from toolchain.actions import Maker, StepResult
from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.engine import Engine
from toolchain.errors import UnpinnedToolError
from toolchain.host_tools.pinned_tree import pinned_tree, tree_sha256
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.pipeline import Pipeline, firmware_name

INT8 = MODELS["sine_int8"]
_CONTENT = """
import json, os
from toolchain.host_tools.compiler_content import CROSS, NATIVE, compiler_content
from toolchain.host_tools.pinned_tree import IMAGE_LICENCE, IMAGE_TREE, tree_sha256
path = os.environ["PATH"]
print(json.dumps({"cross": compiler_content(CROSS, path).sha256,
                  "native": compiler_content(NATIVE, path).sha256,
                  "tree": tree_sha256(IMAGE_TREE, IMAGE_LICENCE)}))
"""


@pytest.fixture
def checkout(copied_checkout: Layout) -> Layout:
    return copied_checkout


def invoke(engine: Engine, image: str, layout: Layout, *arguments: str) -> Ended:
    return run_inside(engine, image, layout, ["-m", "invoke", *arguments])


def test_the_pins_name_the_content_of_the_images(
    engine: Engine, host_image: str, checkout: Layout, pins: Pins
) -> None:
    ended = run_inside(engine, host_image, checkout, ["-c", _CONTENT])
    assert ended.code == 0, ended.errors
    found = json.loads(ended.output)
    assert found == pins.content.model_dump(), "put this into [content] of pins.toml"


def test_the_tree_that_is_made_of_the_crate_is_the_images(
    layout: Layout, pins: Pins, tflm_crate: Path, tmp_path: Path
) -> None:
    elsewhere = Layout(layout.project, tmp_path)
    elsewhere.downloads.mkdir()
    shutil.copy(tflm_crate, elsewhere.downloads)
    tree = pinned_tree(elsewhere, pins, {})
    assert tree.folder.is_relative_to(tmp_path)
    # What [content] of pins.toml names is the image's, which the test above looks at.
    assert tree_sha256(tree.folder, tree.licence) == pins.content.tree
    source = tree.folder / "tensorflow/lite/micro/micro_interpreter.cc"
    source.chmod(0o644)
    source.write_bytes(source.read_bytes() + b"// changed")
    again = pinned_tree(elsewhere, pins, {})
    assert tree_sha256(again.folder, again.licence) == pins.content.tree


def compare_entries(checkout: Layout, results: Mapping[str, StepResult], names: set[str]) -> int:
    """Compare what a command inside made with ``results``; return the number of files."""
    compared = 0
    for name in names:
        action = results[name].action.sha256
        document = json.loads((checkout.actions / action[:2] / f"{action}.json").read_text())
        assert Maker(**document["made_by"]) == Maker("host", isolated=False, pinned=True)
        made = {item["path"]: item["sha256"] for item in document["outputs"]}
        assert made == {str(path): each.sha256 for path, each in results[name].outputs.items()}
        compared += len(made)
    return compared


def test_without_docker_the_cross_image_makes_the_bytes_that_docker_makes(
    engine: Engine,
    cross_image: str,
    checkout: Layout,
    board: Board,
    pipeline: Pipeline,
    run_steps: RunSteps,
) -> None:
    steps = pipeline.firmware_steps([board], [INT8], "release")
    runner, results = run_steps(steps)
    # The library takes long, and is compiled by the same rules as the interpreter.
    names = {each for each in results if each.split()[0] in {"interpreter", "firmware", "sources"}}
    given = {name: result for name, result in results.items() if name not in names}
    hand_over(given, runner.store, checkout)
    ended = invoke(engine, cross_image, checkout, "build", "--target", board.name)
    assert ended.code == 0, ended.errors
    assert "Docker cannot be used" in ended.errors
    assert "isolation is off" in ended.errors
    assert compare_entries(checkout, results, names) >= 7
    elf = checkout.build / board.name / INT8.name / "hello_world.elf"
    made = results[firmware_name("hello_world", board, INT8, "release")].outputs
    assert Digest.of_file(elf) == made[PurePosixPath("bin/hello_world")]


_RUN_MODEL_STEPS = """
from toolchain.session import EngineChoice, open_session
from toolchain.console import PlainReporter
from toolchain.models import MODELS
with open_session(PlainReporter(), engine=EngineChoice("host")) as session:
    session.runner.run(session.pipeline.models.steps(MODELS["sine_int8"]))
"""


def test_in_the_train_image_the_host_engine_makes_the_bytes_that_docker_makes(
    engine: Engine, train_image: str, checkout: Layout, pipeline: Pipeline, run_steps: RunSteps
) -> None:
    runner, results = run_steps(pipeline.models.steps(INT8))
    names = {each for each in results if each.split()[0] in {"embed", "reference"}}
    given = {name: result for name, result in results.items() if name not in names}
    hand_over(given, runner.store, checkout)
    ended = run_inside(engine, train_image, checkout, ["-c", _RUN_MODEL_STEPS])
    assert ended.code == 0, ended.errors
    assert compare_entries(checkout, results, names) >= 8


def test_a_compiler_that_was_tampered_with_is_refused(
    engine: Engine, cross_image: str, checkout: Layout, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "arm-none-eabi-objcopy").write_text('#!/bin/sh\nexec /usr/bin/$(basename $0) "$@"\n')
    (folder / "arm-none-eabi-objcopy").chmod(0o755)
    ended = run_inside(
        engine,
        cross_image,
        checkout,
        ["-m", "invoke", "build", "--engine", "host", "--target", "sparkfun_edge"],
        environment={"PATH": f"{folder}:/usr/bin:/bin"},
        readable=[folder],
    )
    assert ended.code == UnpinnedToolError.exit_code, ended.errors
    assert not (checkout.build / "sparkfun_edge").exists()
