"""Times two things by turns, so that what else the machine does hits both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], None]


@dataclass(frozen=True)
class Side:
    """One of the two things that are timed.

    Attributes:
        prepare: done before each time, and not timed.
        run: timed.
    """

    name: str
    run: Work
    prepare: Work = lambda: None


@dataclass(frozen=True)
class Budget:
    """What is allowed.

    Attributes:
        ratio: of our time to the peer's; None where only the time counts.
        seconds: of our time; None where only the ratio counts.
    """

    ratio: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Measurement:
    """Times of one comparison, in seconds, in the order in which they were taken."""

    what: str
    ours: tuple[float, ...]
    peer_name: str
    peer: tuple[float, ...]
    budget: Budget

    @property
    def seconds(self) -> float:
        """Median of our times."""
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        """Our median over the peer's; None without a peer."""
        return self.seconds / statistics.median(self.peer) if self.peer else None

    @property
    def within_budget(self) -> bool:
        """Whether time and ratio are what is allowed."""
        ratio, budget = self.ratio, self.budget
        return (budget.seconds is None or self.seconds <= budget.seconds) and (
            budget.ratio is None or (ratio is not None and ratio <= budget.ratio)
        )


def measure(what: str, ours: Side, peer: Side | None, *, budget: Budget, times: int) -> Measurement:
    """Time both sides by turns.

    Args:
        what: name of the comparison.
        ours: what the budget is for.
        peer: what it is compared with; None for nothing.
        budget: what is allowed.
        times: how often each is timed, 1 or more.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for side, seconds in zip((ours, peer), taken, strict=True):
            if side is not None:
                side.prepare()
                begin = time.perf_counter()
                side.run()
                seconds.append(time.perf_counter() - begin)
    return Measurement(what, tuple(taken[0]), peer.name if peer else "", tuple(taken[1]), budget)
