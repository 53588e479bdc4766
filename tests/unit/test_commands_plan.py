from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.commands_support import (
    EDGE,
    INT8,
    copy_project,
    firmware_contents,
    hello_world,
    know,
    session_in,
    steps_of,
)
from toolchain.commands.build import build
from toolchain.commands.plan import plan
from toolchain.render.plan import plan_summary
from toolchain.session import Session


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    with session_in(copy_project(tmp_path)) as session:
        yield session


def states(session: Session) -> dict[str, bool | None]:
    return {step.name: step.will_run for step in plan(session, [EDGE], INT8, "release")}


def test_in_a_fresh_checkout_what_needs_nothing_runs_and_the_rest_is_unknown(
    session: Session,
) -> None:
    planned = states(session)
    assert planned["train sine"] is True
    assert planned["library cortex-m4+fp release"] is True
    assert planned["convert sine"] is None
    assert planned["firmware hello_world sparkfun_edge sine_int8 release"] is None
    summary = plan_summary(plan(session, [EDGE], INT8, "release"))
    assert "run     train sine" in summary
    assert "unknown until train sine has run" in summary


def test_what_is_known_is_cached_and_a_change_is_named(session: Session) -> None:
    know(session, steps_of(session), firmware_contents(hello_world()))
    build(session, [EDGE], INT8, "release")
    assert set(states(session).values()) == {False}
    source = session.layout.project / "boards" / "sparkfun_edge" / "board.cc"
    source.write_text(source.read_text() + "// more\n")
    planned = states(session)
    assert [name for name, will_run in planned.items() if will_run] == [
        "firmware hello_world sparkfun_edge sine_int8 release"
    ]
    summary = plan_summary(plan(session, [EDGE], INT8, "release"))
    assert "boards/sparkfun_edge/board.cc changed" in summary


def test_planning_is_building_without_doing_it(session: Session) -> None:
    know(session, steps_of(session), firmware_contents(hello_world()))
    plan(session, [EDGE], INT8, "release")
    assert not session.layout.build.exists()
    names = [step.name for step in plan(session, [EDGE], INT8, "release")]
    build(session, [EDGE], INT8, "release")
    assert sorted(names) == sorted(record.name for record in session.runner.records)


def test_a_plan_of_nothing_is_empty() -> None:
    assert plan_summary([]) == ""
