"""Images are made side by side, in the order of what they stand on, and ended together."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import CancelledError, ImageBuildError
from toolchain.images.cancellation import Cancellation
from toolchain.images.definition import KINDS, PARENTS, Kind
from toolchain.images.side_by_side import AT_ONCE, in_order_of_parents

PATIENCE_SECONDS = 20


@given(st.sets(st.sampled_from(KINDS)))
def test_each_is_made_once_and_after_its_parent(kinds: set[Kind]) -> None:
    made: list[Kind] = []
    in_order_of_parents({kind: PARENTS[kind] for kind in kinds}, made.append, Cancellation())
    assert sorted(made) == sorted(kinds)
    for kind in kinds:
        parent = PARENTS[kind]
        if parent in kinds:
            assert made.index(parent) < made.index(kind)


def test_two_are_made_at_the_same_time() -> None:
    both = threading.Barrier(AT_ONCE)

    def make(_: Kind) -> None:
        # A barrier that not all reach breaks, which raises.
        both.wait(PATIENCE_SECONDS)

    in_order_of_parents({"train": "base", "cross": "base"}, make, Cancellation())


def test_a_failure_ends_the_other_and_what_stands_on_it_is_not_begun() -> None:
    parents: Mapping[Kind, Kind | None] = {"train": "base", "cross": "base", "host": "cross"}
    cancellation, begun, ended = Cancellation(), list[Kind](), threading.Event()
    waits = threading.Event()

    def make(kind: Kind) -> None:
        begun.append(kind)
        if kind == "train":
            with cancellation.ended_by(ended.set):
                waits.set()
                assert ended.wait(PATIENCE_SECONDS)
            raise CancelledError("ended")
        assert waits.wait(PATIENCE_SECONDS)
        raise ImageBuildError("failed")

    with pytest.raises(ImageBuildError, match="failed"):
        in_order_of_parents(parents, make, cancellation)
    assert sorted(begun) == ["cross", "train"]


def test_what_was_called_off_does_not_begin() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledError), cancellation.ended_by(lambda: None):
        pytest.fail("the block ran")
    with pytest.raises(CancelledError):
        in_order_of_parents({"train": None}, lambda _: pytest.fail("made"), cancellation)


def test_only_what_goes_on_is_ended_and_a_failure_of_one_end_keeps_none_from_the_others() -> None:
    cancellation, ended = Cancellation(), list[str]()

    def fail() -> None:
        ended.append("failing")
        raise OSError("gone")

    with cancellation.ended_by(lambda: ended.append("before")):
        pass
    with cancellation.ended_by(fail), cancellation.ended_by(lambda: ended.append("other")):
        cancellation.cancel()
    assert ended == ["failing", "other"]
