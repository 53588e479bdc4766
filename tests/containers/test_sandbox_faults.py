"""What happens when a sandboxed command fails, hangs, grows, is stopped or is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.containers.sandbox_support import Bench, P, engine_address
from toolchain.actions import OutputOf, Step
from toolchain.actions.docker_executor import LABEL_OWNER, LABEL_SANDBOX
from toolchain.errors import (
    DiskFullError,
    StepFailedError,
    StepTimeoutError,
    UnsupportedModelError,
)

_MIB = 1 << 20


@pytest.fixture
def bench(engine: Any, base_image: str, tmp_path: Path) -> Bench:
    return Bench(engine, base_image, tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_left(bench: Bench) -> Any:
    yield
    assert bench.containers() == []
    assert not bench.layout.sandboxes.exists() or bench.scratch() == []


def test_a_failure_shows_the_end_of_the_output_and_names_the_log(bench: Bench) -> None:
    script = "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; echo bad >&2; exit 7"
    with pytest.raises(StepFailedError) as caught:
        bench.run(bench.shell(script, name="compile: all/of it"))
    assert "exit code 7" in caught.value.what
    assert "bad" in caught.value.what
    assert "line 90" in caught.value.what
    assert "line 60\n" not in caught.value.what
    log = Path(caught.value.next_step.rpartition(" ")[2])
    assert log == bench.layout.build / "logs" / "compile--all-of-it.log"
    # The two streams come through two pipes: only within each of them is there an order.
    lines = log.read_text().splitlines()
    lines.remove("bad")
    assert lines == [f"line {number}" for number in range(100)]


def test_an_unsupported_model_is_told(bench: Bench) -> None:
    line = '{"error": "unsupported-model", "what": "TANH 3", "why": "no kernel", "next": "retrain"}'
    with pytest.raises(UnsupportedModelError) as caught:
        bench.run(bench.shell(f"echo working; echo '{line}' >&2; exit 27"))
    assert caught.value.what == "TANH 3"


def test_the_time_limit(bench: Bench) -> None:
    started = time.monotonic()
    with pytest.raises(StepTimeoutError, match="longer than 2 s"):
        bench.run(bench.shell("echo begun; trap '' TERM; sleep 60", timeout_seconds=2))
    assert 2 <= time.monotonic() - started < 20
    assert (bench.layout.build / "logs" / "test-step.log").read_text() == "begun\n"


def test_a_step_may_be_silent_for_longer_than_the_clients_own_time_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.client.api, "timeout", 1)
    assert bench.run(bench.shell("sleep 3; echo late; echo x > /out/out")) == b"x\n"
    assert (bench.layout.build / "logs" / "test-step.log").read_text() == "late\n"


def test_memory_beyond_the_limit_is_named(bench: Bench) -> None:
    grow = ("/usr/bin/perl", "-e", "my $x = 'a' x (256 << 20); print length $x")
    with pytest.raises(StepFailedError, match="more memory than its limit of 64 MiB"):
        bench.run(bench.step(*grow, memory_bytes=64 * _MIB))


def test_tmp_counts_as_memory(bench: Bench) -> None:
    script = "head -c 200000000 /dev/zero > /tmp/x; echo survived > /out/out"
    with pytest.raises(StepFailedError, match="more memory"):
        bench.run(bench.shell(f"set -e; {script}", memory_bytes=64 * _MIB))


def test_a_full_tmp_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.actions.docker_executor.TMPFS_BYTES", _MIB)
    with pytest.raises(StepFailedError, match=r"filled /tmp, which holds 1 MiB"):
        bench.run(bench.shell("head -c 2000000 /dev/zero > /tmp/x"))


def test_a_full_disk_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.actions.docker_executor.free_bytes", lambda _folder: 0)
    with pytest.raises(DiskFullError):
        bench.run(bench.shell("echo 'x.o: No space left on device' >&2; exit 1"))


def test_a_nearly_full_disk_starts_no_container(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.disk.free_bytes", lambda _folder: _MIB)
    with pytest.raises(DiskFullError):
        bench.run(bench.shell("echo x > /out/out"))
    assert not (bench.layout.build / "logs").exists()


_FORK_BOMB = """
my $made = 0;
for (1..200) { my $pid = fork; last unless defined $pid; if (!$pid) { sleep 30; exit } $made++ }
open(my $out, '>', '/out/out'); print $out $made;
"""


def test_a_fork_bomb_is_held(bench: Bench) -> None:
    made = int(bench.run(bench.step("/usr/bin/perl", "-e", _FORK_BOMB, pids=32)))
    assert 10 < made < 32


def test_a_missing_output_is_named(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match=r"did not make its output a/b\.bin"):
        bench.run(bench.shell("touch /out/b.bin", output="a/b.bin"))


@pytest.mark.parametrize(
    "script", ["ln -s /etc/passwd /out/out", "mkfifo /out/out", "mkdir /out/out"]
)
def test_an_output_must_be_a_regular_file(bench: Bench, script: str) -> None:
    with pytest.raises(StepFailedError, match="which is refused"):
        bench.run(bench.shell(script))


def test_an_image_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match="not in the Docker Engine"):
        bench.run(bench.shell("true", image="tinyml-toolchain/none:0"))


def test_a_program_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match="/no/such/program"):
        bench.run(bench.step("/no/such/program"))


def test_a_log_that_grows_without_end_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.actions.capture.LOG_LIMIT_BYTES", _MIB)
    with pytest.raises(StepFailedError) as caught:
        bench.run(bench.shell("yes | head -c 20000000; echo the end; exit 1"))
    assert "the end" in caught.value.what
    log = bench.layout.build / "logs" / "test-step.log"
    assert log.stat().st_size < 2 * _MIB
    assert "cut here" in log.read_text()


def test_one_failure_ends_the_other_containers(bench: Bench) -> None:
    started = time.monotonic()
    steps = [
        bench.shell("sleep 60", name="slow"),
        bench.shell("sleep 1; exit 4", name="bad"),
    ]
    with bench.runner(jobs=2) as runner, pytest.raises(StepFailedError, match="exit code 4"):
        runner.run(steps)
    assert time.monotonic() - started < 20


def test_outputs_flow_from_container_to_container(bench: Bench) -> None:
    first = bench.shell("echo hello > /out/out", name="first")
    second = bench.shell(
        "cat in > /out/out", name="second", inputs={P("in"): OutputOf("first", P("out"))}
    )
    with bench.runner() as runner:
        results = runner.run([second, first])
        assert runner.store.get(results["second"].outputs[P("out")]) == b"hello\n"
        again = runner.run([second, first])
        assert all(result.cached for result in again.values())


_OTHER_PROCESS = """
import os, sys
from pathlib import Path, PurePosixPath as P
import docker
from toolchain.actions import Runner, Step
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.console import PlainReporter
from toolchain.errors import ToolchainError
from toolchain.layout import Layout

address, project, cache, image, rootless = sys.argv[1:]
layout = Layout(Path(project), Path(cache))
client = docker.DockerClient(base_url=address)
reporter = PlainReporter()
make = lambda: DockerExecutor(client, layout, runner.store, reporter, rootless=rootless == "1")
runner = Runner(layout, make, reporter)
script = f"echo {os.getpid()} > /out/out; sleep 60"
step = Step("slow", image, ("/bin/sh", "-c", script), {P("pid"): str(os.getpid()).encode()},
            (P("out"),))
try:
    runner.run([step])
except ToolchainError as error:
    sys.exit(error.exit_code)
"""


def _start(bench: Bench) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            _OTHER_PROCESS,
            engine_address(bench.client),
            str(bench.layout.project),
            str(bench.layout.cache),
            bench.image,
            "1" if bench.engine.rootless else "0",
        ],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["running", "starting"])
def test_a_stopped_command_leaves_nothing(
    bench: Bench, number: signal.Signals, moment: str
) -> None:
    process = _start(bench)
    if moment == "running":
        bench.wait_for_containers(1)
    else:
        while not bench.layout.sandboxes.exists():
            assert process.poll() is None
            time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert bench.containers() == []
    assert bench.scratch() == []


def test_what_a_killed_command_left_is_removed_at_the_next_start_and_nothing_else(
    bench: Bench,
) -> None:
    killed, alive = _start(bench), _start(bench)
    try:
        bench.wait_for_containers(2)
        killed.kill()
        killed.communicate()
        assert len(bench.containers()) == 2
        assert bench.run(bench.shell("echo x > /out/out")) == b"x\n"
        (left,) = bench.containers()
        labels = bench.client.api.inspect_container(left)["Config"]["Labels"]
        assert labels[LABEL_OWNER] == str(alive.pid)
        identity = labels[LABEL_SANDBOX]
        assert bench.scratch() == [identity, f"{identity}.lock"]
        assert bench.reporter.notes == ["removed what 1 interrupted step(s) left behind"]
    finally:
        alive.send_signal(signal.SIGTERM)
        alive.communicate(timeout=30)
    assert alive.returncode == 130


def test_a_left_container_whose_folder_has_gone_too_is_removed(bench: Bench) -> None:
    process = _start(bench)
    bench.wait_for_containers(1)
    process.kill()
    process.communicate()
    for path in bench.layout.sandboxes.glob("*.lock"):
        path.unlink()
    bench.run(bench.shell("echo x > /out/out"))
    assert bench.containers() == []


def test_steps_of_one_graph_run_in_containers_side_by_side(bench: Bench) -> None:
    def step(name: str) -> Step:
        return bench.shell(
            f"date +%s.%N > /out/out; sleep 2; date +%s.%N >> /out/out; : {name}", name=name
        )

    with bench.runner(jobs=2) as runner:
        results = runner.run([step("one"), step("two")])
        spans = [
            [float(text) for text in runner.store.get(result.outputs[P("out")]).split()]
            for result in results.values()
        ]
    assert max(begin for begin, _ in spans) < min(end for _, end in spans)
