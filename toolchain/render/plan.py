"""Steps that a build would run, for ``./invoke plan``."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.actions import PlannedStep

_STATES = {True: "run", False: "cached", None: "unknown"}


def plan_summary(steps: Sequence[PlannedStep]) -> str:
    """Return one line for each step: what happens to it, and why."""
    width = max((len(step.name) for step in steps), default=0)
    return "\n".join(
        f"{_STATES[step.will_run]:<8}{step.name:<{width}}  {'; '.join(step.reasons)}".rstrip()
        for step in steps
    )
