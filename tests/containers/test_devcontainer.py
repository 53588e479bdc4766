"""The development container: its file names what is made, and everything can be built inside."""

from __future__ import annotations

import json
import os
from pathlib import PurePosixPath

import pytest

from tests.conftest import RunSteps
from tests.containers.dev_container import hand_over, run_inside
from toolchain.boards import Board
from toolchain.console import PlainReporter
from toolchain.digest import Digest
from toolchain.engine import Engine
from toolchain.images.devcontainer import DEVCONTAINER_IMAGE, ensure_devcontainer_image
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.pins import Pins
from toolchain.pipeline import Pipeline, firmware_name

INT8 = MODELS["sine_int8"]

COMMANDS = """
set -eu
id -un
git --version
arm-none-eabi-gcc --version | head -n 1
python3.13 -m venv /tmp/venv
/tmp/venv/bin/pip --version
touch ~/may-be-written
"""
"""What an editor and ``./invoke`` need inside."""


@pytest.fixture(scope="module")
def dev_image(engine: Engine, layout: Layout, pins: Pins, reporter: PlainReporter) -> str:
    return ensure_devcontainer_image(
        engine, layout=layout, pins=pins, reporter=reporter, environ=os.environ
    )


def test_the_editors_file_names_the_image_the_command_and_the_user(layout: Layout) -> None:
    text = (layout.project / ".devcontainer" / "devcontainer.json").read_text()
    settings = json.loads(text)
    assert settings["image"] == DEVCONTAINER_IMAGE
    assert settings["initializeCommand"] == ["./invoke", "images", "--devcontainer"]
    assert settings["remoteUser"] == "dev"


def test_its_user_has_what_an_editor_and_the_command_need(engine: Engine, dev_image: str) -> None:
    said = engine.client.containers.run(
        dev_image, ["bash", "-c", COMMANDS], network_mode="none", remove=True
    ).decode()
    assert said.splitlines()[0] == "dev"
    assert "git version" in said
    assert "14.2" in said


def test_inside_it_a_build_makes_the_bytes_that_docker_makes(
    engine: Engine,
    dev_image: str,
    copied_checkout: Layout,
    board: Board,
    pipeline: Pipeline,
    run_steps: RunSteps,
) -> None:
    runner, results = run_steps(pipeline.firmware_steps([board], [INT8], "release"))
    # Library and training take long, and run by the same rules as the others.
    ran = {each for each in results if each.split()[0] not in {"train", "convert", "library"}}
    hand_over(
        {name: each for name, each in results.items() if name not in ran},
        runner.store,
        copied_checkout,
    )
    command = ["-m", "invoke", "build", "--target", board.name, "--engine", "host"]
    ended = run_inside(engine, dev_image, copied_checkout, command)
    assert ended.code == 0, ended.errors
    elf = copied_checkout.build / board.name / INT8.name / "hello_world.elf"
    made = results[firmware_name("hello_world", board, INT8, "release")].outputs
    assert Digest.of_file(elf) == made[PurePosixPath("bin/hello_world")]
