"""Runs what the workflows in ``.github`` run, on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE
from toolchain.errors import NetworkError, UsageError

Command: TypeAlias = tuple[str, ...]

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file that GitHub shows above a job's log."""

TARGET = "{target}"
"""Stands for each board in the commands of a job that runs once for each."""


TEST_REPORTS = "build/test-reports"
"""Where the workflows look for the JUnit reports of the tests."""


@dataclass(frozen=True)
class Job:
    """A job of the workflows.

    Attributes:
        name: as the workflows call it.
        commands: words after ``./invoke``, in order; ``TARGET`` among them where the job runs once
            for each board.
        optional: whether it needs what a machine may do without, as Renode; then it is run only
            when it is asked for by name, and left out where a site that it needs does not answer.
    """

    name: str
    commands: tuple[Command, ...]
    optional: bool = False

    @property
    def per_target(self) -> bool:
        """Whether the job runs once for each board."""
        return any(TARGET in command for command in self.commands)

    def for_target(self, target: str) -> tuple[Command, ...]:
        """Return the commands for one board."""
        return tuple(
            tuple(target if word == TARGET else word for word in command)
            for command in self.commands
        )


JOBS: tuple[Job, ...] = (
    Job("test", (("schemas", "--check"), ("pins",), ("test", "--junit", TEST_REPORTS))),
    Job(
        "board",
        (
            ("build", "--target", TARGET),
            ("simulate", "--target", TARGET),
            ("verify", "--target", TARGET),
            ("size", "--target", TARGET),
        ),
    ),
    Job("repro", (("repro", "--target", "all"),)),
    Job("release", (("package",), ("verify-release", "dist"), ("reproduce", "dist"))),
    Job(
        "renode",
        (
            ("images", "--renode"),
            ("verify", "--target", "all", "--simulator", "renode"),
            ("test", "--select", "renode"),
        ),
        optional=True,
    ),
)
"""What the workflows run; a test compares them with this.

On GitHub ``size`` also compares with main, for the job's summary.
"""


def chosen_jobs(names: Sequence[str]) -> tuple[Job, ...]:
    """Return the jobs of these names, or every one that is not optional.

    Raises:
        UsageError: there is no such job.
    """
    if not names:
        return tuple(job for job in JOBS if not job.optional)
    known = {job.name: job for job in JOBS}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no job '{name}'", next_step=f"choose one of: {', '.join(known)}"
            )
    return tuple(known[name] for name in names)


def run_ci(
    project: Path, jobs: Sequence[Job], targets: Sequence[str], announce: Callable[[str], None]
) -> int:
    """Run every command until one fails; return its exit code, or 0.

    An optional job of which a command ends with ``NetworkError``'s exit code is left out. That is
    told, and written to the job's summary on GitHub.

    Args:
        project: the checkout.
        jobs: what to run.
        targets: the boards, for each of which a job may run.
        announce: told each command before it runs.
    """
    for job in jobs:
        for target in targets if job.per_target else ("",):
            for arguments in job.for_target(target):
                announce(f"./invoke {' '.join(arguments)}")
                code = _run(project, arguments)
                if job.optional and code == NetworkError.exit_code:
                    left_out = (
                        f"the rest of the job {job.name} is not run: what it needs cannot be "
                        f"fetched, as ./invoke {' '.join(arguments)} says"
                    )
                    announce(left_out)
                    _add_to_summary(left_out)
                    break
                if code:
                    return code
    return 0


def _run(project: Path, arguments: Command) -> int:
    environment = {**os.environ, REQUIRE_DOCKER_VARIABLE: "1"}
    return subprocess.run(
        [str(project / "invoke"), *arguments], cwd=project, env=environment, check=False
    ).returncode


def _add_to_summary(text: str) -> None:
    summary = os.environ.get(SUMMARY_VARIABLE)
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
