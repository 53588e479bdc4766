"""Runs what the workflows in ``.github`` run, on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE
from toolchain.errors import UsageError

Command: TypeAlias = tuple[str, ...]

TARGET = "{target}"
"""Stands for each board in the commands of a job that runs once for each."""


@dataclass(frozen=True)
class Job:
    """A job of the workflows.

    Attributes:
        name: as the workflows call it.
        commands: words after ``./invoke``, in order; ``TARGET`` among them where the job runs once
            for each board.
        optional: whether it needs what a machine may do without, as Renode; then it is run only
            when it is asked for by name.
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
    Job("test", (("schemas", "--check"), ("pins",), ("test",))),
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

    Args:
        project: the checkout.
        jobs: what to run.
        targets: the boards, for each of which a job may run.
        announce: told each command before it runs.
    """
    environment = {**os.environ, REQUIRE_DOCKER_VARIABLE: "1"}
    commands = [
        command
        for job in jobs
        for target in (targets if job.per_target else ("",))
        for command in job.for_target(target)
    ]
    for arguments in commands:
        announce(f"./invoke {' '.join(arguments)}")
        done = subprocess.run(
            [str(project / "invoke"), *arguments], cwd=project, env=environment, check=False
        )
        if done.returncode:
            return done.returncode
    return 0
