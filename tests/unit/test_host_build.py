"""The steps that build the pinned tree for the machine itself, and what goes into them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath as P

import pytest

from model.kernels import KERNELS
from toolchain.actions import OutputOf, Step
from toolchain.actions.graph import order
from toolchain.layout import project_layout
from toolchain.pipeline.host_build import (
    HOST_LIBRARY,
    HOST_RUNNER,
    JUDGED,
    host_library,
    host_runner,
    judge,
)

LAYOUT = project_layout()
FOLDER = LAYOUT.project / "tflm/host"


def test_the_runner_has_the_kernels_of_the_table() -> None:
    text = (FOLDER / "kernel_list.h").read_text()
    listed = re.findall(r"^KERNEL\((\w+)\)$", text, re.MULTILINE)
    assert listed == sorted(KERNELS)


def graph(*, sanitized: bool = False) -> list[Step]:
    return [
        host_library(LAYOUT, "host:1", sanitized=sanitized),
        host_runner(LAYOUT, "host:1", sanitized=sanitized),
        judge("judge it", "host:1", b"model", b"cases", sanitized=sanitized),
    ]


@pytest.mark.parametrize("sanitized", [False, True])
def test_the_steps_form_a_chain(sanitized: bool) -> None:
    names = [step.name for step in graph(sanitized=sanitized)]
    assert list(order(graph(sanitized=sanitized)).static_order()) == names
    library, runner, judged = graph(sanitized=sanitized)
    assert library.outputs == (HOST_LIBRARY,)
    assert runner.outputs == (HOST_RUNNER,)
    assert judged.outputs == (JUDGED,)
    assert judged.inputs[P("run_model")] == OutputOf(runner.name, HOST_RUNNER)


def test_both_variants_stand_side_by_side() -> None:
    steps = [step for sanitized in (False, True) for step in graph(sanitized=sanitized)[:2]]
    assert len({step.name for step in steps}) == len(steps)
    assert set(order(steps).static_order()) == {step.name for step in steps}


def test_the_library_does_not_depend_on_the_runner() -> None:
    library, runner, _ = graph()
    assert not any(path.is_relative_to("tflm/host") for path in library.inputs)
    sources = {path.name for path in runner.inputs if path.is_relative_to("tflm/host")}
    assert sources == {path.name for path in FOLDER.iterdir()}


def test_the_arena_is_said_to_the_runner() -> None:
    arguments = judge("judge it", "host:1", b"", b"", arena_bytes=4096).arguments
    assert arguments[-2:] == ("--arena", "4096")
    assert "--arena" not in graph()[2].arguments
