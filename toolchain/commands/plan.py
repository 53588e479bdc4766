"""Says what a build would run, without running it."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.actions import PlannedStep
from toolchain.boards import Board
from toolchain.commands.session import Session
from toolchain.pipeline import BuildType, Model

_STATES = {True: "run", False: "cached", None: "unknown"}


def plan(
    session: Session, boards: Sequence[Board], model: Model, build_type: BuildType
) -> tuple[PlannedStep, ...]:
    """Return what ``build`` would do with each step, in the order in which it would be done."""
    return session.runner.plan(session.pipeline.firmware_steps(boards, [model], build_type))


def plan_summary(steps: Sequence[PlannedStep]) -> str:
    """Return one line for each step: what happens to it, and why."""
    width = max((len(step.name) for step in steps), default=0)
    return "\n".join(
        f"{_STATES[step.will_run]:<8}{step.name:<{width}}  {'; '.join(step.reasons)}".rstrip()
        for step in steps
    )
