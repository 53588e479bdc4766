from __future__ import annotations

import pytest

from benchmarks.__main__ import report
from benchmarks.measure import Budget, Measurement, Side, measure


def test_both_sides_are_timed_by_turns_after_their_preparation() -> None:
    done: list[str] = []

    def note(name: str) -> Side:
        return Side(name, lambda: done.append(name), lambda: done.append(f"before {name}"))

    found = measure("what", note("ours"), note("peer"), budget=Budget(), times=2)
    assert done == ["before ours", "ours", "before peer", "peer"] * 2
    assert (len(found.ours), len(found.peer)) == (2, 2)
    assert min(*found.ours, *found.peer) >= 0


@pytest.mark.parametrize(
    ("budget", "within"),
    [
        (Budget(), True),
        (Budget(ratio=2.0), True),
        (Budget(ratio=1.9), False),
        (Budget(seconds=4.0), True),
        (Budget(seconds=3.9), False),
        (Budget(ratio=2.0, seconds=3.9), False),
    ],
)
def test_a_budget_is_held_against_the_medians(budget: Budget, within: bool) -> None:
    found = Measurement("what", (1.0, 4.0, 9.0), "peer", (2.0, 2.0, 100.0), budget)
    assert (found.seconds, found.ratio) == (4.0, 2.0)
    assert found.within_budget == within
    assert report([found]).splitlines()[-1].endswith("yes" if within else "NO")


def test_without_a_peer_there_is_no_ratio_to_be_within() -> None:
    found = Measurement("what", (1.0,), "", (), Budget(ratio=5.0))
    assert found.ratio is None
    assert not found.within_budget
