"""Several commands at once: in one checkout, and in several that share a cache."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.blackbox.support import TARGET, Checkout, Containers, sha256

BUILD = ("build", "--target", TARGET)


def test_three_builds_in_one_checkout_give_what_one_gives(
    copy: Checkout, containers: Containers
) -> None:
    copy.touch_firmware()
    with ExitStack() as stack:
        running = [stack.enter_context(copy.start(*BUILD)) for _ in range(3)]
        ended = [each.end() for each in running]
    assert [done.returncode for done in ended] == [0, 0, 0], [done.stderr for done in ended]
    assert len({done.stdout for done in ended}) == 1
    assert sha256(copy.output / "hello_world.bin") in ended[0].stdout
    assert containers.present(copy) == []
    assert copy.sandboxes() == []


def test_three_checkouts_that_share_a_cache_give_the_same(
    built: Checkout, containers: Containers, tmp_path: Path
) -> None:
    copies = [built.copy_to(tmp_path / name) for name in ("one", "two", "three")]
    for copy in copies:
        source = copy.folder / "tflm" / "hello_world" / "main_functions.cc"
        source.write_text(source.read_text() + "// the same change in each\n")
    with ExitStack() as stack:
        running = [stack.enter_context(copy.start(*BUILD)) for copy in copies]
        ended = [each.end() for each in running]
    assert [done.returncode for done in ended] == [0, 0, 0], [done.stderr for done in ended]
    assert len({sha256(copy.output / "hello_world.bin") for copy in copies}) == 1
    assert [containers.present(copy) for copy in copies] == [[], [], []]


def test_looking_is_possible_while_a_build_runs(copy: Checkout, containers: Containers) -> None:
    copy.touch_firmware()
    with copy.start(*BUILD) as running:
        containers.wait_for_one(copy, running)
        for command in (("targets",), ("plan", "--target", TARGET), ("cache",)):
            done = copy.invoke(*command)
            assert done.returncode == 0, done.stderr
        assert running.end().returncode == 0
