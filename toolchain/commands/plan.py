"""Says what a build would run, without running it."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.actions import PlannedStep
from toolchain.boards import Board
from toolchain.models import BuildType, Model
from toolchain.session import Session


def plan(
    session: Session, boards: Sequence[Board], model: Model, build_type: BuildType
) -> tuple[PlannedStep, ...]:
    """Return what ``build`` would do with each step, in the order in which it would be done."""
    return session.runner.plan(session.pipeline.firmware_steps(boards, [model], build_type))
