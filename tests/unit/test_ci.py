"""The workflows run the toolchain's own commands, and ``./invoke ci`` runs the same ones."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands_support import PROJECT
from toolchain.boards import board_names
from toolchain.commands.ci import (
    JOBS,
    SUMMARY_VARIABLE,
    TARGET,
    TEST_REPORTS,
    Command,
    chosen_jobs,
    run_ci,
)
from toolchain.errors import DigestMismatchError, NetworkError, UsageError

CI = PROJECT / ".github" / "workflows" / "ci.yml"
RELEASE = PROJECT / ".github" / "workflows" / "release.yml"
GITLAB = PROJECT / "docs" / "ci" / "gitlab-ci.yml"
BOARDS = board_names(PROJECT / "boards")
BY_NAME = {job.name: job for job in JOBS}

COMPARED = ("--compare", "origin/main", "--markdown")
"""What ``size`` is told on GitHub beside the board."""

INVOKE = """#!/bin/sh
echo "$TOOLCHAIN_REQUIRE_DOCKER $*" >> ran
test "$1" != "$FAILS" || exit "${CODE:-38}"
"""


def document(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = importlib.import_module("yaml").safe_load(path.read_text())
    return read


def commands(lines: list[str]) -> tuple[Command, ...]:
    """Return the words after ``./invoke``; a job may also keep step results."""
    found = []
    for line in lines:
        program, *words = shlex.split(line.partition(">>")[0])
        assert program in {"./invoke", "gh"}, line
        for extra in COMPARED if words[0] == "size" else ():
            words = [word for word in words if word != extra]
        if program == "./invoke" and words[0] != "cache":
            found.append(tuple(TARGET if word == "$TARGET" else word for word in words))
    return tuple(found)


def runs(job: Mapping[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_each_job_of_github_runs_the_commands_of_the_job_of_that_name() -> None:
    jobs = document(CI)["jobs"]
    assert set(jobs) == set(BY_NAME)
    for name, job in jobs.items():
        wanted = BY_NAME[name].commands
        if BY_NAME[name].optional:
            wanted = (("ci", "--job", name),)
        assert commands(runs(job)) == wanted, name
    assert document(CI)["env"]["TOOLCHAIN_REQUIRE_DOCKER"] == "1"


def test_a_release_is_tested_and_made_by_the_same_commands() -> None:
    job = document(RELEASE)["jobs"]["make"]
    assert commands(runs(job)) == BY_NAME["test"].commands + BY_NAME["release"].commands
    assert job["env"] == {"TOOLCHAIN_REQUIRE_DOCKER": "1"}


def test_gitlab_runs_the_same_commands() -> None:
    read = document(GITLAB)
    jobs = {
        name: each for name, each in read.items() if isinstance(each, dict) and "script" in each
    }
    assert set(jobs) == {job.name for job in JOBS if not job.optional}
    for name, job in jobs.items():
        assert commands(job["script"]) == BY_NAME[name].commands, name
        assert job["stage"] in read["stages"]
    assert read["variables"] == {"TOOLCHAIN_REQUIRE_DOCKER": "1"}


def test_the_hosts_keep_the_reports_that_the_tests_write() -> None:
    steps = document(CI)["jobs"]["test"]["steps"]
    kept = [step["with"]["path"] for step in steps if "upload-artifact" in step.get("uses", "")]
    assert kept == [TEST_REPORTS]
    kept_there = document(GITLAB)["test"]["artifacts"]
    assert kept_there["when"] == "always"
    assert kept_there["reports"]["junit"] == f"{TEST_REPORTS}/*.xml"


def test_the_matrix_has_every_board() -> None:
    assert tuple(document(CI)["jobs"]["board"]["strategy"]["matrix"]["target"]) == BOARDS
    assert tuple(document(GITLAB)["board"]["parallel"]["matrix"][0]["TARGET"]) == BOARDS


@pytest.mark.parametrize("path", [CI, RELEASE], ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_and_each_job_may_no_more_than_it_must(path: Path) -> None:
    read = document(path)
    assert read["permissions"] == {}
    for name, job in read["jobs"].items():
        used = [step for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]) for step in used)
        for step in used:
            if "checkout" in step["uses"]:
                assert step["with"]["persist-credentials"] is False
        written = {right for right, level in job["permissions"].items() if level == "write"}
        publishes = name == "publish"
        assert written == ({"contents", "id-token", "attestations"} if publishes else set())
        # What may write runs nothing of the checkout.
        assert not publishes or commands(runs(job)) == ()


def test_the_sizes_are_compared_with_main_in_the_jobs_summary() -> None:
    job = document(CI)["jobs"]["board"]
    (step,) = (each for each in job["steps"] if "./invoke size" in each.get("run", ""))
    assert step["run"].endswith(f'{" ".join(COMPARED)} >> "$GITHUB_STEP_SUMMARY"')
    assert step["continue-on-error"] is True
    (checkout,) = (each for each in job["steps"] if "actions/checkout" in each.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0


def test_a_release_is_attested_before_it_is_published_and_only_once_it_is_made() -> None:
    publish = document(RELEASE)["jobs"]["publish"]
    assert publish["needs"] == "make"
    done = [each.get("uses", each.get("run", "")) for each in publish["steps"]]
    assert [each.split("@")[0].split()[0] for each in done] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        "gh",
    ]


@pytest.mark.parametrize("path", [CI, RELEASE], ids=lambda path: path.name)
def test_each_job_ends_some_time_and_an_action_is_of_one_version_everywhere(path: Path) -> None:
    assert all(0 < job["timeout-minutes"] <= 120 for job in document(path)["jobs"].values())
    used = re.findall(r"uses: (\S+)@(\S+) # (v[0-9.]+)", CI.read_text() + RELEASE.read_text())
    assert len({action for action, _, _ in used}) == len(set(used)) == 5


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "invoke").write_text(INVOKE)
    (tmp_path / "invoke").chmod(0o755)
    return tmp_path


def test_ci_runs_every_job_for_every_board(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "")
    told: list[str] = []
    jobs = chosen_jobs(())
    assert run_ci(project, jobs, ("a", "b"), told.append) == 0
    assert [job.name for job in jobs] == ["test", "board", "repro", "release"]
    assert ran(project) == [f"1 {each.removeprefix('./invoke ')}" for each in told]
    assert "./invoke build --target b" in told
    assert len(told) == 3 + 2 * 4 + 1 + 3


def test_ci_ends_with_the_first_failure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "verify")
    told: list[str] = []
    assert run_ci(project, chosen_jobs(("board", "release")), ("a", "b"), told.append) == 38
    assert told[-1] == "./invoke verify --target a"


def test_an_optional_job_is_left_out_where_a_site_does_not_answer(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary"
    monkeypatch.setenv(SUMMARY_VARIABLE, str(summary))
    monkeypatch.setenv("FAILS", "images")
    monkeypatch.setenv("CODE", str(NetworkError.exit_code))
    told: list[str] = []
    assert run_ci(project, chosen_jobs(("renode", "repro")), ("a",), told.append) == 0
    assert ran(project) == ["1 images --renode", "1 repro --target all"]
    assert "the rest of the job renode is not run" in told[1]
    assert summary.read_text() == f"{told[1]}\n"
    # Whatever else is wrong fails it, and a job that is not optional is never left out.
    for job, fails, code in (
        ("renode", "images", DigestMismatchError.exit_code),
        ("renode", "verify", 38),
        ("repro", "repro", NetworkError.exit_code),
    ):
        monkeypatch.setenv("FAILS", fails)
        monkeypatch.setenv("CODE", str(code))
        assert run_ci(project, chosen_jobs((job,)), ("a",), told.append) == code


def test_a_job_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="test, board, repro, release, renode"):
        chosen_jobs(("biuld",))
