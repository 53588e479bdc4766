"""The workflows run the toolchain's own commands, and ``./invoke ci`` runs the same ones."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands_support import PROJECT
from toolchain.commands.ci import COMMANDS, run_ci

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
INVOKE = """#!/bin/sh
echo "$TOOLCHAIN_REQUIRE_DOCKER $*" >> ran
test "$1" != "$FAILS" || exit 38
"""


def workflow(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = importlib.import_module("yaml").safe_load(path.read_text())
    return document


def test_there_is_a_workflow_for_changes_and_one_for_releases() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_invoke_ci_runs(path: Path) -> None:
    (job,) = workflow(path)["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == [f"./invoke {' '.join(arguments)}" for arguments in COMMANDS]
    assert job["env"] == {"TOOLCHAIN_REQUIRE_DOCKER": "1"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_only_and_pins_its_actions(path: Path) -> None:
    document = workflow(path)
    assert document["permissions"] == {"contents": "read"}
    (job,) = document["jobs"].values()
    assert "permissions" not in job
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in used)
    (checkout,) = (step for step in job["steps"] if "checkout" in step.get("uses", ""))
    assert checkout["with"] == {"persist-credentials": False}


@pytest.mark.parametrize(("fails", "code", "count"), [("", 0, 6), ("test", 38, 3)])
def test_ci_runs_the_commands_until_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, code: int, count: int
) -> None:
    monkeypatch.setenv("FAILS", fails)
    (tmp_path / "invoke").write_text(INVOKE)
    (tmp_path / "invoke").chmod(0o755)
    told: list[str] = []
    assert run_ci(tmp_path, told.append) == code
    expected = [" ".join(arguments) for arguments in COMMANDS[:count]]
    assert (tmp_path / "ran").read_text().splitlines() == [f"1 {each}" for each in expected]
    assert told == [f"./invoke {each}" for each in expected]
