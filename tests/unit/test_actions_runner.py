"""The runner, with commands that really run, on the host."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.actions_support import (
    HostExecutor,
    P,
    RecordingReporter,
    files_under,
    make_layout,
    shell,
)
from toolchain.actions.model import Input, OutputOf, Step, StepGraphError
from toolchain.actions.runner import Runner
from toolchain.errors import CancelledError, StepFailedError, ToolchainError


class _Bench:
    """A runner on the host, made anew for each run as each command would."""

    def __init__(self, folder: Path) -> None:
        self.layout = make_layout(folder)
        self.reporter = RecordingReporter()
        self.executors: list[HostExecutor] = []

    def runner(self, jobs: int = 2, *, explain: bool = False) -> Runner:
        def make() -> HostExecutor:
            self.executors.append(HostExecutor(self.layout, runner.store))
            return self.executors[-1]

        runner = Runner(self.layout, make, self.reporter, jobs, explain=explain)
        return runner

    def run(self, *steps: Step, jobs: int = 2) -> dict[str, bytes]:
        """Run ``steps``; return the first output of each."""
        with self.runner(jobs) as runner:
            results = runner.run(steps)
            return {
                step.name: runner.store.get(results[step.name].outputs[step.outputs[0]])
                for step in steps
            }

    @property
    def ran(self) -> list[str]:
        return [name for executor in self.executors for name in executor.ran]


@pytest.fixture
def bench(tmp_path: Path) -> _Bench:
    return _Bench(tmp_path)


def _from(name: str) -> OutputOf:
    return OutputOf(name, P("out"))


def _copy(name: str, source: Input, more: str = "") -> Step:
    return shell(name, f'cat in > "$OUT/out"; {more}', {P("in"): source})


def test_steps_run_in_the_order_of_their_inputs(bench: _Bench) -> None:
    results = bench.run(
        _copy("last", _from("middle"), 'echo last >> "$OUT/out"'),
        _copy("middle", _from("first"), 'echo middle >> "$OUT/out"'),
        _copy("first", b"start\n"),
    )
    assert results["last"] == b"start\nmiddle\nlast\n"
    assert bench.ran == ["first", "middle", "last"]


def _times(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in folder.rglob("*")}


def test_a_second_run_makes_no_executor_and_leaves_no_trace(bench: _Bench) -> None:
    steps = _copy("first", b"1"), _copy("second", _from("first"))
    once = bench.run(*steps)
    before = _times(bench.layout.cache)
    assert bench.run(*steps) == once
    assert len(bench.executors) == 1
    assert bench.reporter.steps[2:] == ["first: cached", "second: cached"]
    assert _times(bench.layout.cache) == before


def test_an_unchanged_result_upstream_stops_the_rebuild(bench: _Bench) -> None:
    def steps(source: bytes) -> tuple[Step, ...]:
        strip = shell("strip", 'grep -v "^#" in > "$OUT/out"', {P("in"): source})
        return strip, _copy("use", _from("strip"))

    bench.run(*steps(b"# a comment\ncode\n"))
    bench.run(*steps(b"# another comment\ncode\n"))
    assert bench.ran == ["strip", "use", "strip"]
    bench.run(*steps(b"other code\n"))
    assert bench.ran == ["strip", "use", "strip", "strip", "use"]


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _meeting(name: str, other: str, folder: Path) -> Step:
    # Ends only when the other one runs at the same time; gives up after ten seconds.
    return shell(
        name,
        f'touch "{folder}/{name}"; i=0; until [ -e "{folder}/{other}" ]; '
        'do i=$((i+1)); [ $i -lt 500 ]; sleep 0.02; done; touch "$OUT/out"',
    )


def test_independent_steps_run_side_by_side(bench: _Bench, tmp_path: Path) -> None:
    bench.run(_meeting("a", "b", tmp_path), _meeting("b", "a", tmp_path), jobs=2)
    assert sorted(bench.ran) == ["a", "b"]


def test_what_follows_on_a_known_step_does_not_wait_for_one_that_runs(
    bench: _Bench, tmp_path: Path
) -> None:
    known, then = _copy("known", b"1"), _copy("then", _from("known"))
    bench.run(known, then)
    follower = _meeting("follower", "other", tmp_path)
    follower = replace(follower, inputs={**follower.inputs, P("in"): _from("then")})
    bench.run(known, then, _meeting("other", "follower", tmp_path), follower, jobs=2)
    assert sorted(bench.ran[-2:]) == ["follower", "other"]


def test_no_more_than_jobs_run_at_once(bench: _Bench) -> None:
    steps = [shell(f"s{n}", f'sleep 0.05; echo {n} > "$OUT/out"') for n in range(4)]
    bench.run(*steps, jobs=1)
    spans = sorted(bench.executors[0].spans.values())
    assert not any(_overlap(one, other) for one, other in itertools.pairwise(spans))


def test_the_same_action_under_two_names_runs_once(bench: _Bench) -> None:
    one = shell("one", 'sleep 0.1; echo x > "$OUT/out"')
    other = shell("other", 'sleep 0.1; echo x > "$OUT/out"')
    assert bench.run(one, other, jobs=2) == {"one": b"x\n", "other": b"x\n"}
    assert len(bench.ran) == 1


def test_images_are_prepared_once_each_and_only_for_what_runs(bench: _Bench) -> None:
    known = _copy("known", b"1")
    bench.run(known)
    bench.run(
        known,
        shell("x", 'touch "$OUT/out"', {P("1"): b""}, image="image:2"),
        shell("y", 'touch "$OUT/out"', {P("2"): b""}, image="image:2"),
    )
    assert [executor.prepared for executor in bench.executors] == [[("image:1",)], [("image:2",)]]
    assert all(executor.closed for executor in bench.executors)


def test_the_images_of_all_that_can_run_now_are_asked_for_together(bench: _Bench) -> None:
    ready = [shell(name, 'touch "$OUT/out"', image=f"image:{name}") for name in ("a", "b")]
    later = shell("c", 'touch "$OUT/out"', {P("x"): OutputOf("a", P("out"))}, image="image:c")
    bench.run(*ready, later, jobs=1)
    (executor,) = bench.executors
    assert executor.prepared == [("image:a", "image:b"), ("image:c",)]


def test_the_first_failure_ends_the_rest_and_is_raised_once(bench: _Bench) -> None:
    started = time.monotonic()
    with pytest.raises(StepFailedError) as caught:
        bench.run(
            shell("slow", 'exec sleep 30; touch "$OUT/out"'),
            shell("bad", "sleep 0.2; echo the reason >&2; exit 3"),
            _copy("after", _from("bad")),
        )
    assert time.monotonic() - started < 10
    assert "step 'bad' failed with exit code 3" in caught.value.what
    assert "    the reason" in caught.value.what
    assert "after" not in bench.ran
    assert list(bench.layout.sandboxes.iterdir()) == []
    assert bench.executors[0].closed


def test_what_was_finished_before_a_failure_is_kept(bench: _Bench) -> None:
    good, bad = _copy("good", b"1"), shell("bad", "exit 1", {P("in"): _from("good")})
    with pytest.raises(StepFailedError):
        bench.run(good, bad)
    with pytest.raises(StepFailedError):
        bench.run(good, bad)
    assert bench.ran == ["good", "bad", "bad"]


@pytest.mark.parametrize("what", ["missing", "link", "pipe", "folder", "link above"])
def test_outputs_must_be_regular_files(bench: _Bench, what: str) -> None:
    script = {
        "missing": "true",
        "link": 'ln -s /etc/passwd "$OUT/a"',
        "pipe": 'mkfifo "$OUT/a"',
        "folder": 'mkdir "$OUT/a"',
        "link above": 'ln -s /etc "$OUT/a"',
    }[what]
    output = "a/passwd" if what == "link above" else "a"
    with pytest.raises(StepFailedError, match=f"output {output}"):
        bench.run(shell("step", script, outputs=(output,)))


def test_only_declared_outputs_are_taken(bench: _Bench) -> None:
    with bench.runner() as runner:
        step = shell("step", 'mkdir "$OUT/x"; touch "$OUT/extra" "$OUT/x/y"', outputs=("x/y",))
        assert set(runner.run([step])["step"].outputs) == {P("x/y")}


def test_inputs_are_read_only_and_of_one_time(bench: _Bench, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o700)
    listing = bench.run(
        shell(
            "list",
            'd/program > "$OUT/out"; '
            'find . -mindepth 1 -printf "%P %m %Ts\\n" | sort >> "$OUT/out"',
            {P("d/file"): b"x", P("d/program"): program},
        )
    )["list"].decode()
    assert listing.splitlines() == [
        "ran",
        "d 555 315619200",
        "d/file 444 315619200",
        "d/program 555 315619200",
    ]


def test_a_poisoned_output_is_made_again(bench: _Bench) -> None:
    steps = _copy("first", b"1"), _copy("second", _from("first"))
    once = bench.run(*steps)
    for path in (bench.layout.store / "sha256").rglob("*"):
        if path.is_file() and path.read_bytes() == b"1":
            path.chmod(0o600)
            path.write_bytes(b"2")
    assert bench.run(*steps) == once
    assert any("removed" in warning for warning in bench.reporter.warnings)


def test_a_lost_cache_entry_is_made_again(bench: _Bench) -> None:
    step = _copy("first", b"1")
    bench.run(step)
    for path in bench.layout.actions.glob("??/*.json"):
        path.write_bytes(b"{")
    assert bench.run(step) == {"first": b"1"}
    assert bench.ran == ["first", "first"]
    assert len(bench.reporter.warnings) == 1


def test_a_failed_step_is_not_cached(bench: _Bench, tmp_path: Path) -> None:
    step = shell("step", f'cat "{tmp_path}/late" > "$OUT/out"')
    with pytest.raises(StepFailedError):
        bench.run(step)
    (tmp_path / "late").write_bytes(b"here")
    assert bench.run(step) == {"step": b"here"}


def test_records_say_what_ran_and_why(bench: _Bench) -> None:
    with bench.runner() as runner:
        runner.run([_copy("a", b"1"), _copy("b", b"1")])
        runner.run([_copy("a", b"2"), _copy("b", b"1")])
        records = {record.name: record for record in runner.records}
    assert not records["a"].cached
    assert records["a"].reasons == ("in changed",)
    assert records["a"].seconds > 0
    assert records["b"].cached
    assert records["b"].reasons == ()


def test_a_run_can_explain_itself_while_it_runs(bench: _Bench) -> None:
    def run(source: bytes) -> list[str]:
        bench.reporter.steps.clear()
        runner = bench.runner(explain=True)
        with runner:
            runner.run([_copy("first", source), _copy("second", _from("first"), "true")])
        return bench.reporter.steps

    assert run(b"1")[0] == "first runs: it has not run before"
    assert run(b"1") == ["first: cached", "second: cached"]
    said = run(b"2")
    assert said[0] == "first runs: in changed"
    assert said[2] == "second runs: in changed"
    assert len(said) == 4


def test_the_plan_tells_without_running(bench: _Bench) -> None:
    def steps(source: bytes) -> tuple[Step, ...]:
        return _copy("b", _from("a")), _copy("a", source), _copy("c", b"3")

    with bench.runner() as runner:
        plan = {planned.name: planned for planned in runner.plan(steps(b"1"))}
        assert plan["a"].will_run is True
        assert plan["a"].reasons == ("it has not run before",)
        assert plan["b"].will_run is None
        assert plan["b"].reasons == ("unknown until a has run",)
        assert bench.executors == []
        runner.run(steps(b"1"))
        assert [planned.will_run for planned in runner.plan(steps(b"1"))] == [False] * 3
        plan = {planned.name: planned for planned in runner.plan(steps(b"2"))}
        assert plan["a"].reasons == ("in changed",)
        assert plan["a"].last_seconds is not None
        assert (plan["b"].will_run, plan["c"].will_run) == (None, False)
        assert len(bench.ran) == len(set(bench.ran))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((_copy("a", b""), _copy("a", b"")), "same name: a"),
        ((_copy("a", _from("nobody")),), "needs 'nobody'"),
        ((_copy("a", OutputOf("b", P("x"))), _copy("b", b"")), "no such output"),
        ((_copy("a", _from("b")), _copy("b", _from("a"))), "wait for each other"),
        ((_copy("a", _from("a")),), "wait for each other"),
    ],
)
def test_steps_that_form_no_graph_are_refused(
    bench: _Bench, steps: tuple[Step, ...], message: str
) -> None:
    with pytest.raises(StepGraphError, match=message):
        bench.run(*steps)
    with pytest.raises(StepGraphError, match=message):
        bench.runner().plan(steps)


def test_a_source_that_changes_meanwhile_is_noticed(bench: _Bench, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1")

    class Meddling(HostExecutor):
        def prepare(self, images: Collection[str]) -> None:
            del images
            source.write_bytes(b"2")

    runner = Runner(bench.layout, lambda: Meddling(bench.layout, runner.store), bench.reporter, 1)
    with pytest.raises(StepFailedError, match="changed while"):
        runner.run([_copy("a", source)])
    assert bench.run(_copy("a", source)) == {"a": b"2"}


def test_an_executor_that_cannot_be_made_is_reported_as_it_is(bench: _Bench) -> None:
    def fail() -> HostExecutor:
        raise ToolchainError("no engine")

    with pytest.raises(ToolchainError, match="no engine"):
        Runner(bench.layout, fail, bench.reporter).run([_copy("a", b"1")])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_cleanly(bench: _Bench, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    timer.start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        bench.run(shell("slow", "exec sleep 30"))
    assert time.monotonic() - started < 10
    assert list(bench.layout.sandboxes.iterdir()) == []
    assert signal.getsignal(number) == before


def test_a_signal_interrupts_the_making_of_an_executor(bench: _Bench) -> None:
    def slow() -> HostExecutor:
        time.sleep(30)
        raise AssertionError

    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        Runner(bench.layout, slow, bench.reporter).run([_copy("a", b"1")])
    assert time.monotonic() - started < 10


def test_a_run_may_be_repeated_after_a_failure(bench: _Bench) -> None:
    with bench.runner() as runner:
        with pytest.raises(StepFailedError):
            runner.run([shell("bad", "exit 1")])
        runner.run([_copy("good", b"1")])
    assert bench.executors[-1].ran == ["good"]


def test_messages_of_an_action_are_in_the_store(bench: _Bench) -> None:
    with bench.runner() as runner:
        result = runner.run([_copy("a", b"1")])["a"]
        assert runner.store.contains(result.action)
    assert len(files_under(bench.layout.store)) == 4  # action, command, root; input and output


def test_importing_the_package_is_light() -> None:
    code = textwrap.dedent(
        """
        import sys
        import toolchain.actions
        heavy = {"docker", "pydantic", "requests", "asyncio", "filelock", "rich", "ctypes"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    root = Path(__file__).parents[2]
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def test_what_can_be_run_is_run_after_a_failure(tmp_path: Path) -> None:
    layout, reporter = make_layout(tmp_path), RecordingReporter()
    steps = [
        shell("good", "touch $OUT/out"),
        shell("bad", "echo no >&2; exit 3"),
        shell("after bad", "touch $OUT/out", inputs={P("in"): OutputOf("bad", P("out"))}),
        shell("after good", "touch $OUT/out", inputs={P("in"): OutputOf("good", P("out"))}),
        replace(shell("unreadable", "touch $OUT/out"), inputs={P("in"): tmp_path / "none"}),
    ]
    with Runner(layout, lambda: HostExecutor(layout, runner.store), reporter) as runner:
        failures = runner.run_what_can(steps)
        assert set(failures) == {"bad", "unreadable"}
        assert "exit code 3" in failures["bad"].what
        assert {record.name for record in runner.records} == {"good", "after good"}
        with pytest.raises(StepFailedError):
            runner.run(steps)
