from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath

import pytest

from toolchain.actions import Step
from toolchain.actions.graph import order
from toolchain.boards import find_board
from toolchain.layout import Layout, project_layout
from toolchain.models import MODELS
from toolchain.pipeline import Pipeline, TrainingOptions
from toolchain.pipeline.publication import published_path, story_files

PINNED = {"TFLM": "commit"}
INT8 = MODELS["sine_int8"]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(project_layout(), "train:1", "cross:1", "host:1", "TFLM 1")


def by_name(steps: list[Step]) -> dict[str, Step]:
    return {step.name: step for step in steps}


def build_steps(pipeline: Pipeline) -> dict[str, Step]:
    layout: Layout = pipeline.layout
    board = find_board(layout.boards, "sparkfun_edge")
    return by_name(pipeline.firmware_steps([board], MODELS.values(), "release"))


def test_the_story_is_a_graph(pipeline: Pipeline) -> None:
    names = list(order(pipeline.story("sine", PINNED)).static_order())
    assert names[-1] == "report sine"
    assert len(names) == 11


def test_a_build_and_the_story_share_every_step_of_the_model(pipeline: Pipeline) -> None:
    story, build = by_name(pipeline.story("sine", PINNED)), build_steps(pipeline)
    shared = story.keys() & build.keys()
    assert {"train sine", "convert sine", "embed sine_int8", "reference sine_int8"} <= shared
    assert all(story[name] == build[name] for name in shared)


def test_a_build_neither_trains_model_1_nor_draws(pipeline: Pipeline) -> None:
    modules = {
        step.arguments[3] for step in build_steps(pipeline).values() if "-m" in step.arguments
    }
    assert modules == {"model.train", "model.convert", "model.embed", "model.references"}
    assert sum(name.startswith("train ") for name in build_steps(pipeline)) == 1


def test_the_steps_of_a_build_do_not_hang_on_plots_and_report(pipeline: Pipeline) -> None:
    for step in build_steps(pipeline).values():
        assert not {"plots.py", "report.py", "html.py"} & {path.name for path in step.inputs}


def test_epochs_of_model_1_change_only_what_is_made_of_it(pipeline: Pipeline) -> None:
    other = dataclasses.replace(pipeline, training=TrainingOptions(small_epochs=7))
    before, after = (by_name(each.story("sine", PINNED)) for each in (pipeline, other))
    assert {name for name in before if before[name] != after[name]} == {"train sine model_1"}
    assert "7" in after["train sine model_1"].arguments


def test_the_seed_is_that_of_both_networks(pipeline: Pipeline) -> None:
    other = dataclasses.replace(pipeline, training=TrainingOptions(seed=5))
    steps = by_name(other.story("sine", PINNED))
    for name in ("train sine", "train sine model_1"):
        arguments = steps[name].arguments
        assert arguments[arguments.index("--seed") + 1] == "5"


def test_a_build_leaves_exactly_the_storys_own_files_alone(pipeline: Pipeline) -> None:
    def published(steps: dict[str, Step]) -> set[PurePosixPath]:
        places = (
            published_path(INT8, step.name, path)
            for step in steps.values()
            for path in step.outputs
        )
        return {place for place in places if place is not None}

    board = find_board(pipeline.layout.boards, "sparkfun_edge")
    none = by_name(pipeline.firmware_steps([board], [], "release"))
    assert published(none) == set()
    steps = by_name(pipeline.story("sine", PINNED))
    always = {PurePosixPath(name) for name in ("sine.keras", "data.npz", "history.json")}
    always |= {PurePosixPath(f"sine_{form}.tflite") for form in ("int8", "float")}
    assert published(steps) - always == story_files("sine")


def test_no_two_outputs_of_the_story_have_the_same_place(pipeline: Pipeline) -> None:
    places = [
        published_path(INT8, step.name, path)
        for step in pipeline.story("sine", PINNED)
        for path in step.outputs
    ]
    assert len(set(places)) == len(places)
    assert None not in places


def test_outputs_of_a_board_are_not_published_with_the_model() -> None:
    assert (
        published_path(INT8, "firmware hello_world x sine_int8 release", PurePosixPath("a")) is None
    )
    assert published_path(INT8, "embed magic_wand", PurePosixPath("model.json")) is None
