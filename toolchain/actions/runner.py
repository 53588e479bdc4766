"""Runs a graph of steps: what is known is taken from the cache, the rest side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from toolchain.actions.executor import Executor
from toolchain.actions.model import PlannedStep, RunRecord, Step, StepResult
from toolchain.layout import Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter


class Runner:
    """Runs steps in the order of their dependencies."""

    def __init__(
        self,
        layout: Layout,
        make_executor: Callable[[], Executor],
        reporter: Reporter,
        jobs: int = 2,
    ) -> None:
        raise NotImplementedError

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """How the steps of the last ``run`` went, in the order in which they ended."""
        raise NotImplementedError

    def run(self, steps: Sequence[Step]) -> Mapping[str, StepResult]:
        """Bring every step's outputs into the store."""
        raise NotImplementedError

    def plan(self, steps: Sequence[Step]) -> tuple[PlannedStep, ...]:
        """Return what ``run`` would do, without running anything."""
        raise NotImplementedError
