"""The simulation of a service's queue obeys what can be reckoned by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.queueing import Load, simulated

SMALL = Load(builds=200, workers=4, known=0.0, stages=((10.0, 10.0), (5.0,)))


def test_every_action_is_executed_or_known() -> None:
    assert simulated(SMALL).executed == 200 * 3
    assert simulated(replace(SMALL, known=1.0)).executed == 0


def test_a_known_build_takes_its_look_ups() -> None:
    found = simulated(replace(SMALL, known=1.0))
    assert found.build == pytest.approx((2 * SMALL.look_up_seconds,) * 3)
    assert found.worker_use == 0


def test_with_nobody_else_a_build_takes_its_longest_actions() -> None:
    alone = replace(SMALL, builds=1, workers=10, overhead_seconds=0.0)
    found = simulated(alone)
    assert 7.5 <= found.build[0] <= 22.5 + 1
    assert found.waiting[2] <= 2 / SMALL.handed_out_a_second + 1e-9


def test_the_work_of_the_busy_hours_is_shared_by_the_workers() -> None:
    load = replace(SMALL, builds=2000, busy_share=1.0, overhead_seconds=0.0)
    # Three actions of 25 s in all for each build, on average.
    expected = 2000 * 25 / (8 * 3600 * 4)
    assert simulated(load).worker_use == pytest.approx(expected, rel=0.05)
    assert simulated(load).service_use == pytest.approx(6000 / 12 / (8 * 3600), rel=0.01)


@given(st.integers(1, 20), st.integers(0, 3))
def test_more_workers_make_nobody_wait_longer(workers: int, seed: int) -> None:
    few = simulated(replace(SMALL, workers=workers), seed)
    many = simulated(replace(SMALL, workers=workers * 2), seed)
    assert many.waiting[1] <= few.waiting[1] + 1e-6


def test_too_few_workers_show() -> None:
    load = replace(SMALL, builds=5000, workers=1)
    found = simulated(load)
    assert found.worker_use > 1
    assert found.waiting[0] > 3600
