"""The steps: what each one needs, and what a change makes stale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.commands_support import EDGE, copy_project
from toolchain.actions import OutputOf, Step
from toolchain.actions.action import prepare_action
from toolchain.actions.graph import order
from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.errors import UsageError
from toolchain.layout import Layout
from toolchain.models import (
    BUILD_TYPES,
    MODELS,
    Application,
    BuildType,
    find_build_type,
    find_model,
)
from toolchain.pipeline import Pipeline, TrainingOptions

TWIN = EDGE.model_copy(update={"name": "twin"})


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return pipeline_of(copy_project(tmp_path))


def pipeline_of(layout: Layout) -> Pipeline:
    return Pipeline(layout, "train:1", "cross:1", "host:1", "TFLM 1")


def all_steps(pipeline: Pipeline, build_type: BuildType = "release") -> list[Step]:
    models = list(MODELS.values())
    return pipeline.firmware_steps([EDGE], models, build_type, tests=True)


def keys(pipeline: Pipeline, build_type: BuildType = "release") -> dict[str, str]:
    """Return each step's key where every output of a step is what it always was."""
    steps = all_steps(pipeline, build_type)
    known = {
        OutputOf(step.name, path): Digest.of_bytes(f"{step.name} {path}".encode())
        for step in steps
        for path in step.outputs
    }
    return {step.name: prepare_action(step, known).digest.sha256 for step in steps}


def changed(pipeline: Pipeline, change: Callable[[Path], None]) -> set[str]:
    """Return the kinds of steps whose key differs after ``change`` of the project."""
    before = keys(pipeline)
    change(pipeline.layout.project)
    after = keys(pipeline)
    return {name.split()[0] for name in before if before[name] != after[name]}


def append_to(name: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "\n# more\n")

    return change


@pytest.mark.parametrize("build_type", BUILD_TYPES)
def test_steps_are_a_graph_and_each_stands_once(pipeline: Pipeline, build_type: BuildType) -> None:
    steps = all_steps(pipeline, build_type)
    assert len(list(order(steps).static_order())) == len({step.name for step in steps})
    assert {step.image for step in steps} == {"train:1", "cross:1"}


def test_inputs_are_files_of_the_project_and_no_step_is_told_where_that_is(
    pipeline: Pipeline,
) -> None:
    for step in all_steps(pipeline):
        for path, source in step.inputs.items():
            assert not path.is_absolute()
            if isinstance(source, Path):
                assert source == pipeline.layout.project / path
                assert source.is_file()
        told = " ".join([*step.arguments, *step.environment.values(), step.working_directory])
        assert str(pipeline.layout.project) not in told


def test_keys_do_not_depend_on_the_folder_of_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = copy_project(tmp_path), copy_project(tmp_path / "other")
    assert keys(pipeline_of(one)) == keys(pipeline_of(other))


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("boards/sparkfun_edge/board.cc", {"firmware"}),
        ("boards/sparkfun_edge/another.h", {"firmware"}),
        ("boards/common/startup.cc", {"firmware"}),
        ("tflm/common/main.cc", {"firmware"}),
        ("tflm/hello_world/inference.cc", {"firmware"}),
        ("tflm/common/interpreter.cc", {"interpreter", "firmware"}),
        ("tflm/common/console.h", {"interpreter", "firmware"}),
        ("tflm/model_runner/cases.cc", set()),
        ("tflm/Makefile", {"library", "interpreter", "firmware"}),
        ("model/train.py", {"train"}),
        ("model/convert.py", {"convert"}),
        ("model/embed.py", {"embed"}),
        ("model/references.py", {"reference"}),
        ("boards/sparkfun_edge/README.md", set()),
        ("boards/another_board/board.cc", set()),
        ("tflm/hello_world/README.md", set()),
        ("model/notes.txt", set()),
        ("toolchain/pipeline.py", set()),
    ],
)
def test_a_change_makes_stale_what_reads_it_and_nothing_else(
    pipeline: Pipeline, name: str, stale: set[str]
) -> None:
    assert changed(pipeline, append_to(name)) == stale


def test_a_board_is_described_to_its_firmware_only(pipeline: Pipeline) -> None:
    stack = EDGE.application.model_copy(update={"stack_size": 0x4000})
    other = EDGE.model_copy(update={"application": stack})

    def made(board: Board) -> dict[str, object]:
        steps = pipeline.firmware_steps([board], MODELS.values(), "release", tests=True)
        return {step.name: step for step in steps}

    one, two = made(EDGE), made(other)
    assert {name.split()[0] for name in one if one[name] != two[name]} == {"firmware"}


def test_boards_with_the_same_core_share_a_library(pipeline: Pipeline) -> None:
    steps = pipeline.firmware_steps([EDGE, TWIN], MODELS.values(), "release", tests=True)
    names = [step.name for step in steps]
    assert [name for name in names if name.startswith("library")] == [
        "library cortex-m4+fp release"
    ]
    assert len([name for name in names if name.startswith("interpreter")]) == len(MODELS)
    assert len([name for name in names if name.startswith("firmware")]) == 8


def test_another_core_has_libraries_of_its_own(pipeline: Pipeline) -> None:
    core = EDGE.core.model_copy(update={"cpu": "cortex-m7"})
    other = TWIN.model_copy(update={"core": core})
    steps = pipeline.firmware_steps([EDGE, other], MODELS.values(), "release", tests=True)
    assert len([step for step in steps if step.name.startswith("library")]) == 2
    assert len([step for step in steps if step.name.startswith("interpreter")]) == 2 * len(MODELS)


def test_images_are_part_of_the_keys_of_their_steps(pipeline: Pipeline) -> None:
    before = keys(pipeline)
    after = keys(replace(pipeline, cross_image="cross:2"))
    assert {name.split()[0] for name in before if before[name] != after[name]} == {
        "library",
        "interpreter",
        "firmware",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (TrainingOptions(), []),
        (TrainingOptions(epochs=7), ["--epochs", "7"]),
        (TrainingOptions(seed=0), ["--seed", "0"]),
        (TrainingOptions(7, 0), ["--epochs", "7", "--seed", "0"]),
    ],
)
def test_training_options_reach_the_training_and_nothing_else(
    pipeline: Pipeline, options: TrainingOptions, words: list[str]
) -> None:
    told = replace(pipeline, training=options)
    plain = pipeline.models.train("sine").arguments
    assert [*told.models.train("sine").arguments] == [*plain[:-2], *words, "--out", "/out"]
    before, after = keys(pipeline), keys(told)
    stale = {"train"} if words else set()
    assert {name.split()[0] for name in before if before[name] != after[name]} == stale


@pytest.mark.parametrize(
    ("model", "build_type", "application"),
    list(product(MODELS.values(), BUILD_TYPES, ("hello_world", "hello_world_test"))),
)
def test_a_firmware_is_made_by_the_line_of_the_guides(
    pipeline: Pipeline, model: object, build_type: BuildType, application: Application
) -> None:
    (chosen,) = [each for each in MODELS.values() if each is model]
    step = pipeline.firmwares.firmware(EDGE, chosen, build_type, application)
    make = ("make", "-f", "tensorflow/lite/micro/tools/make/Makefile", "TARGET=sparkfun_edge")
    assert step.arguments[:4] == make
    assert step.arguments[-1] == f"{application}_bin"
    assert {f"MODEL={chosen.name}", f"BUILD_TYPE={build_type}"} < set(step.arguments)
    assert step.working_directory == "/opt/tflm"
    assert [str(path) for path in step.outputs] == [
        f"bin/{application}{suffix}" for suffix in ("", ".bin", ".hex", ".map")
    ]
    library = PurePosixPath("lib", f"cortex-m4+fp_{build_type}", "libtensorflow-microlite.a")
    assert library in step.inputs
    assert PurePosixPath("model", chosen.name, "model_data.cc") in step.inputs
    assert PurePosixPath("boards/sparkfun_edge/generated/memory.ld") in step.inputs


def test_python_steps_read_their_own_modules_and_never_the_toolchain(pipeline: Pipeline) -> None:
    for step in all_steps(pipeline):
        if step.image != "train:1":
            continue
        modules = {path for path in step.inputs if path.suffix == ".py"}
        assert PurePosixPath(step.arguments[3].replace(".", "/") + ".py") in modules
        assert {path.parts[0] for path in modules} == {"model"}


def test_models_and_build_types_are_found_by_name() -> None:
    assert [find_model(name) for name in MODELS] == list(MODELS.values())
    assert [find_build_type(name) for name in BUILD_TYPES] == list(BUILD_TYPES)


@given(st.text())
def test_other_names_are_refused_with_the_known_ones(name: str) -> None:
    if name not in MODELS:
        with pytest.raises(UsageError, match="choose one of: sine_int8, sine_float"):
            find_model(name)
    if name not in BUILD_TYPES:
        with pytest.raises(UsageError, match="choose one of: release, release_with_logs"):
            find_build_type(name)
