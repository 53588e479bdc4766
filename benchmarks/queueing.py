"""``python -m benchmarks.queueing``: how a service with many workers would keep up, by simulation.

Builds arrive through the day, each a chain of stages with actions side by side. An action that is
known costs a look-up; another waits for a free worker and keeps it for its time. The service hands
out so many actions a second and no more. The figures that it begins with were measured with
``python -m benchmarks.matrix`` (docs/explanation/capacity.md); what they leave out is said there.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from dataclasses import dataclass, replace

from toolchain.render.basics import table

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Load:
    """What is asked of a service.

    Attributes:
        builds: in a day.
        workers: slots that run an action each.
        known: share of actions that are in the action cache.
        stages: of a build, one after the other; each the mean seconds of its actions, which run
            side by side.
        busy_hours: in which ``busy_share`` of the builds arrive.
        busy_share: of them.
        overhead_seconds: of an executed action, beside its time.
        look_up_seconds: of a known one.
        handed_out_a_second: actions that the service manages.
    """

    builds: int = 10_000
    workers: int = 100
    known: float = 0.8
    stages: tuple[tuple[float, ...], ...] = (
        (15.0, 40.0, 40.0),
        (3.0,),
        (2.0, 2.0),
        (8.0,),
        (3.0, 3.0),
    )
    busy_hours: float = 8.0
    busy_share: float = 0.8
    overhead_seconds: float = 0.4
    look_up_seconds: float = 0.01
    handed_out_a_second: float = 12.0


@dataclass(frozen=True)
class Waits:
    """What came of it; times in seconds.

    Attributes:
        executed: actions that ran.
        waiting: of an executed action for a worker: median, 95th of 100, longest.
        build: of a build from end to end, the same.
        worker_use: share of the busy hours in which a worker worked.
        service_use: share of the busy hours in which the service handed out actions.
    """

    executed: int
    waiting: tuple[float, float, float]
    build: tuple[float, float, float]
    worker_use: float
    service_use: float


def arrivals(load: Load, chance: random.Random) -> list[float]:
    """Return when builds begin: most of them within the busy hours, which begin the day."""
    busy = load.busy_hours * 3600
    return sorted(
        chance.uniform(0, busy)
        if chance.random() < load.busy_share
        else chance.uniform(busy, DAY_SECONDS)
        for _ in range(load.builds)
    )


def simulated(load: Load, seed: int = 1) -> Waits:
    """Return how a day goes.

    Actions are handed out in the order in which they become ready, as the service's queue does.
    """
    chance = random.Random(seed)
    free = [0.0] * load.workers
    heapq.heapify(free)
    handed = 0.0
    busy_end = load.busy_hours * 3600
    worked = handing = 0.0
    waits: list[float] = []
    took: list[float] = []
    # (ready, build, stage): a stage of a build becomes ready when the one before has ended.
    events = [(start, number, 0) for number, start in enumerate(arrivals(load, chance))]
    begun = {number: start for start, number, _ in events}
    heapq.heapify(events)
    while events:
        ready, build, stage = heapq.heappop(events)
        ends = [ready]
        for mean in load.stages[stage]:
            if chance.random() < load.known:
                ends.append(ready + load.look_up_seconds)
                continue
            handed = max(handed, ready) + 1 / load.handed_out_a_second
            start = max(handed, heapq.heappop(free))
            seconds = chance.uniform(0.5, 1.5) * mean + load.overhead_seconds
            heapq.heappush(free, start + seconds)
            ends.append(start + seconds)
            waits.append(start - ready)
            if ready < busy_end:
                worked += seconds
                handing += 1 / load.handed_out_a_second
        if stage + 1 < len(load.stages):
            heapq.heappush(events, (max(ends), build, stage + 1))
        else:
            took.append(max(ends) - begun[build])
    return Waits(
        len(waits),
        _spread(waits),
        _spread(took),
        worked / (busy_end * load.workers),
        handing / busy_end,
    )


def _spread(values: list[float]) -> tuple[float, float, float]:
    if not values:
        return 0.0, 0.0, 0.0
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)], ordered[-1]


def main() -> int:
    """Print a table: numbers of workers, and shares of actions that are known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queueing", description=__doc__)
    parser.add_argument("--builds", type=int, default=Load.builds)
    parser.add_argument("--workers", type=int, default=Load.workers)
    given = parser.parse_args()
    base = Load(builds=given.builds, workers=given.workers)
    rows = []
    for workers in (base.workers // 4, base.workers // 2, base.workers):
        for known in (0.0, 0.5, 0.8, 0.95):
            load = replace(base, workers=workers, known=known)
            found = simulated(load)
            rows.append(
                (
                    str(workers),
                    f"{known:.0%}",
                    f"{found.executed:,}",
                    *(f"{seconds:,.1f}" for seconds in (*found.waiting[:2], *found.build[:2])),
                    f"{found.worker_use:.0%}",
                    f"{found.service_use:.0%}",
                )
            )
    heads = (
        *("workers", "known", "executed", "wait 50 %", "wait 95 %", "build 50 %", "build 95 %"),
        *("workers busy", "service busy"),
    )
    print(table(heads, rows, frozenset(range(len(heads)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
