"""The host engine's parts that need no container: places, processes, refusals."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from tests.unit.actions_support import P, RecordingReporter, make_layout, shell
from toolchain.actions import Runner, Step
from toolchain.actions.action_cache import ActionCache
from toolchain.actions.host_executor import HostExecutor, replace_places
from toolchain.actions.model import Maker
from toolchain.errors import (
    CancelledError,
    StepFailedError,
    StepTimeoutError,
    ToolchainError,
    UnpinnedToolError,
    UsageError,
)
from toolchain.host_tools.compiler_content import CROSS, compiler_content
from toolchain.host_tools.tools import HostTools, Tool
from toolchain.images import Kind, image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.models import MODELS
from toolchain.session import ENGINES, chosen_engine, make_pipeline, open_session

PROJECT = project_layout()
PINS = project_pins(PROJECT)
TRAIN = image_name("train", PINS, PROJECT)


class _Tools:
    """Says that this machine has the pinned Python; a compiler is not asked for."""

    path = os.environ["PATH"]

    def __init__(self, *, differs: str = "") -> None:
        self._differs = differs

    def tool(self, kind: Kind) -> Tool:
        return Tool(kind, Path("/usr/bin/env"), "a tool", "f" * 64, self._differs)

    def kind(self, image: str) -> Kind:
        del image
        return "train"

    def image(self, kind: Kind) -> str:
        return f"unpinned/{kind}:{'f' * 24}"


class _Bench:
    def __init__(self, folder: Path, *, differs: str = "", allow_unpinned: bool = False) -> None:
        self.layout = make_layout(folder)
        self.reporter = RecordingReporter()
        self.executors: list[HostExecutor] = []
        self.tools = _Tools(differs=differs)
        self.allow_unpinned = allow_unpinned

    def runner(self) -> Runner:
        def make() -> HostExecutor:
            self.executors.append(
                HostExecutor(
                    self.layout,
                    runner.store,
                    self.reporter,
                    cast(HostTools, self.tools),
                    allow_unpinned=self.allow_unpinned,
                )
            )
            return self.executors[-1]

        runner = Runner(self.layout, make, self.reporter)
        return runner

    def run(self, step: Step) -> bytes:
        with self.runner() as runner:
            (digest,) = runner.run([step])[step.name].outputs.values()
            return runner.store.get(digest)


@pytest.fixture
def bench(tmp_path: Path) -> _Bench:
    return _Bench(tmp_path)


def test_a_command_finds_what_it_names_by_the_sandboxs_places(bench: _Bench) -> None:
    step = shell("step", "cat /project/a b/c > /tmp/x; cp /tmp/x /out/out", {P("a"): b"1"})
    step = dataclasses.replace(step, inputs={P("a"): b"1", P("b/c"): b"2"})
    assert bench.run(step) == b"12"


def test_a_command_sees_its_own_variables_and_path_only(
    bench: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-O0")
    step = dataclasses.replace(shell("step", "env | sort > /out/out"), environment={"MORE": "1"})
    lines = bench.run(step).decode().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    assert set(seen) - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        *("HOME", "LC_ALL", "MORE", "PATH", "SOURCE_DATE_EPOCH", "TMPDIR", "TZ")
    }
    assert seen["HOME"] == seen["TMPDIR"] != "/tmp"


def test_it_says_that_nothing_is_isolated_and_records_it(bench: _Bench) -> None:
    step = shell("step", "echo 1 > /out/out")
    with bench.runner() as runner:
        result = runner.run([step])["step"]
        (record,) = runner.records
        cache = ActionCache(bench.layout.actions, runner.store, print)
        kept = cache.get(result.action, step.outputs)
    assert [line for line in bench.reporter.warnings if "isolation is off" in line]
    assert kept is not None
    assert kept.made_by == record.made_by == Maker("host", isolated=False, pinned=True)
    with bench.runner() as runner:
        runner.run([step])
        assert runner.records[0].made_by == record.made_by


def test_scratch_is_gone_afterwards_and_the_log_is_kept(bench: _Bench) -> None:
    bench.run(shell("step", "echo said; echo also >&2; echo 1 > /out/out"))
    assert list(bench.layout.sandboxes.iterdir()) == []
    assert sorted((bench.layout.build / "logs/step.log").read_text().split()) == ["also", "said"]


def test_a_failure_shows_what_was_written(bench: _Bench) -> None:
    with pytest.raises(StepFailedError, match="exit code 3") as failure:
        bench.run(shell("step", "echo alas >&2; exit 3"))
    assert "alas" in str(failure.value)
    assert list(bench.layout.sandboxes.iterdir()) == []


def test_a_program_that_is_not_there_is_named(bench: _Bench) -> None:
    step = dataclasses.replace(shell("step", ""), arguments=("no-such-program",))
    with pytest.raises(StepFailedError, match="could not be started"):
        bench.run(step)


def _with(step: Step, file: Path) -> Step:
    """Tell a step of a file of the test's own; in the arguments /tmp is the sandbox's."""
    return dataclasses.replace(step, environment={"FILE": str(file)})


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_time_ends_a_command_with_its_children(bench: _Bench, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    step = _with(shell("step", 'sleep 600 & echo $! > "$FILE"; wait'), pid)
    step = dataclasses.replace(step, timeout_seconds=1)
    with pytest.raises(StepTimeoutError, match="longer than 1 s"):
        bench.run(step)
    assert not _alive(int(pid.read_text()))


def test_what_a_command_left_running_is_ended(bench: _Bench, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = 'sleep 600 & echo $! > "$FILE"; echo 1 > /out/out'
    assert bench.run(_with(shell("step", script), pid)) == b"1\n"
    assert not _alive(int(pid.read_text()))


def test_what_left_the_process_group_is_not_waited_for(
    bench: _Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.actions.host_executor._DRAIN_SECONDS", 0.1)
    pid = tmp_path / "pid"
    script = "setsid sh -c 'echo $$ > \"$FILE\"; exec sleep 30' & "
    script += 'while ! [ -s "$FILE" ]; do sleep 0.01; done; echo 1 > /out/out'
    begun = time.monotonic()
    try:
        assert bench.run(_with(shell("step", script), pid)) == b"1\n"
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    assert time.monotonic() - begun < 20


def test_cancelling_ends_what_runs_and_starts_nothing_more(bench: _Bench, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def cancel() -> None:
        deadline = time.monotonic() + 20
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        bench.executors[0].cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(CancelledError):
        bench.run(_with(shell("step", 'touch "$FILE"; sleep 600'), begun))
    canceller.join()
    assert list(bench.layout.sandboxes.iterdir()) == []


def test_another_tool_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, differs="it is version 0")
    with pytest.raises(UnpinnedToolError, match="not the pinned tool") as failure:
        bench.run(dataclasses.replace(shell("step", "true"), image=TRAIN))
    assert "it is version 0" in str(failure.value)
    assert "--allow-unpinned" in str(failure.value)


def test_another_tool_never_works_under_the_pinned_tools_key(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, differs="it is version 0", allow_unpinned=True)
    step = dataclasses.replace(shell("step", "echo 1 > /out/out"), image=TRAIN)
    with pytest.raises(UnpinnedToolError, match="another key"):
        bench.run(step)
    other = dataclasses.replace(step, image=bench.tools.image("train"))
    assert bench.run(other) == b"1\n"
    assert [line for line in bench.reporter.warnings if "other bytes" in line]
    with bench.runner() as runner:
        result = runner.run([other])["step"]
        assert runner.records[0].made_by == Maker("host", isolated=False, pinned=False)
        assert ActionCache(bench.layout.actions, runner.store, print).get(
            result.action, other.outputs
        )


def test_a_cache_in_which_make_cannot_work_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    with pytest.raises(UsageError, match="cannot work in"):
        _Bench(folder).run(shell("step", "true"))


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("GENDIR=/out", "GENDIR=/there/out"),
        ("/out/judged.bin", "/there/out/judged.bin"),
        ("install x /tmp/run; exec /tmp/run", "install x /there/tmp/run; exec /there/tmp/run"),
        ("/output", "/output"),
        ("/var/tmp/x", "/var/tmp/x"),
        ("a/out", "a/out"),
        ("'/tmp'", "'/there/tmp'"),
    ],
)
def test_places_are_replaced_where_a_path_begins(text: str, replaced: str) -> None:
    assert replace_places(text, {"/out": "/there/out", "/tmp": "/there/tmp"}) == replaced


# A compiler of another version, as far as it is asked.
_OTHER_COMPILER = """#!/bin/sh
case "$*" in
  *-print-prog-name=*) echo "$0" ;;
  *-print-file-name=*) echo none ;;
  *--version*) echo "arm-none-eabi-gcc 12.2.1" ;;
  *-E*) printf '#include <...> search starts here:\\n %s\\nEnd of search list.\\n' "${0%/*}" >&2 ;;
esac
"""


@pytest.fixture
def other_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("make", *(f"arm-none-eabi-{each}" for each in ("gcc", "g++", "ar", "ld"))):
        (folder / name).write_text(_OTHER_COMPILER)
        (folder / name).chmod(0o755)
    (folder / "arm-none-eabi-objcopy").symlink_to(folder / "make")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_a_compiler_is_known_by_content_and_not_by_place(
    other_compiler: Path, tmp_path: Path
) -> None:
    found = compiler_content(CROSS, str(other_compiler) + ":/usr/bin:/bin")
    assert found.version == "arm-none-eabi-gcc 12.2.1"
    moved = other_compiler.rename(tmp_path / "elsewhere")
    path = f"{moved}:/usr/bin:/bin"
    (moved / "arm-none-eabi-objcopy").unlink()
    (moved / "arm-none-eabi-objcopy").symlink_to("make")
    assert compiler_content(CROSS, path).sha256 == found.sha256
    with (moved / "arm-none-eabi-ld").open("a") as file:
        file.write("# other\n")
    assert compiler_content(CROSS, path).sha256 != found.sha256
    (moved / "arm-none-eabi-ar").unlink()
    with pytest.raises(UnpinnedToolError, match="there is no arm-none-eabi-ar"):
        compiler_content(CROSS, path)


def test_results_of_another_compiler_have_keys_of_their_own(other_compiler: Path) -> None:
    assert stat.S_IXUSR & other_compiler.stat().st_mode
    tools = HostTools(PROJECT, PINS)
    other = make_pipeline(PROJECT, PINS, image=tools.image)
    pinned = make_pipeline(PROJECT, PINS)
    assert tools.tool("cross").differs.startswith("it is arm-none-eabi-gcc 12.2.1; pinned is")
    assert other.cross_image.startswith("unpinned/cross:")
    assert other.cross_image != pinned.cross_image
    assert tools.kind(other.cross_image) == tools.kind(pinned.cross_image) == "cross"
    with (other_compiler / "arm-none-eabi-gcc").open("a") as file:
        file.write("# yet another one\n")
    third = make_pipeline(PROJECT, PINS, image=HostTools(PROJECT, PINS).image)
    assert third.cross_image not in {other.cross_image, pinned.cross_image}


def test_a_tree_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    tools = HostTools(PROJECT, PINS, {"TOOLCHAIN_TFLM": str(tmp_path)})
    with pytest.raises(UnpinnedToolError, match="not the pinned TensorFlow Lite Micro tree"):
        tools.tree()


def test_a_missing_tool_says_so_only_when_a_step_needs_it(tmp_path: Path) -> None:
    layout = Layout(PROJECT.project, tmp_path)
    tools = HostTools(layout, PINS, {"PATH": str(tmp_path)})
    assert tools.image("cross") == "unpinned/cross:missing"
    with pytest.raises(UnpinnedToolError, match="there is no make on PATH"):
        tools.tool("cross")
    with pytest.raises(UnpinnedToolError, match="no counterpart"):
        tools.tool("notebook")


def test_engines_are_chosen_by_name() -> None:
    assert [chosen_engine(name).name for name in ENGINES] == list(ENGINES)
    assert chosen_engine("host", allow_unpinned=True).allow_unpinned
    with pytest.raises(UsageError, match="there is no engine 'podman'"):
        chosen_engine("podman")
    for name in ("auto", "docker"):
        with pytest.raises(UsageError, match="--allow-unpinned is for --engine host"):
            chosen_engine(name, allow_unpinned=True)


def test_without_docker_and_pinned_tools_the_advice_is_dockers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolchain import engine
    from toolchain.errors import EngineUnavailableError

    def refuse(*_: object) -> None:
        raise EngineUnavailableError("no engine", next_step="install Docker")

    monkeypatch.setattr(engine, "open_engine", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TOOLCHAIN_PYTHON", "/bin/false")
    layout = Layout(PROJECT.project, tmp_path / "cache")
    reporter = RecordingReporter()
    with (
        pytest.raises(ToolchainError, match="no engine"),
        open_session(reporter, layout=layout) as session,
    ):
        session.runner.run([session.pipeline.models.train(MODELS["sine_int8"].family)])
    assert reporter.warnings == []
