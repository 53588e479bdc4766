"""A chain of three steps to put faults into, run in sandboxes of the host."""

from __future__ import annotations

from tests.unit.actions_support import HostExecutor, P, RecordingReporter, shell
from toolchain.actions import OutputOf, Runner, Step
from toolchain.layout import Layout

NAMES = ("first", "second", "third")


def chain() -> list[Step]:
    return [
        shell("first", "echo one > $OUT/out"),
        shell("second", "cat in > $OUT/out; echo two >> $OUT/out", {P("in"): after("first")}),
        shell("third", "cat in > $OUT/out; echo three >> $OUT/out", {P("in"): after("second")}),
    ]


def after(name: str) -> OutputOf:
    return OutputOf(name, P("out"))


EXPECTED = b"one\ntwo\nthree\n"


def run(layout: Layout, reporter: RecordingReporter | None = None) -> tuple[bytes, list[str]]:
    """Run the chain; return what it came to and which steps ran."""
    runner = Runner(
        layout, lambda: HostExecutor(layout, runner.store), reporter or RecordingReporter()
    )
    with runner:
        results = runner.run(chain())
        ran = [name for name in NAMES if not results[name].cached]
        return runner.store.get(results["third"].outputs[P("out")]), ran
