"""Faults around real containers: an engine that goes, kills between steps, many commands at once.

A fault always ends in one error of ours or in nothing at all, and the next run gives the same.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import docker
from tests.containers.images_support import image_tags, wait_for
from tests.containers.sandbox_support import Bench, P, engine_address
from toolchain.actions import OutputOf, Runner, Step
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.errors import StepTimeoutError, ToolchainError
from toolchain.images.base import import_base
from toolchain.images.bundle import load_base, read_bundle, save_base, write_bundle
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL
from toolchain.images.downloads import Downloads


@pytest.fixture
def bench(engine: Any, base_image: str, tmp_path: Path) -> Bench:
    return Bench(engine, base_image, tmp_path)


@pytest.fixture(autouse=True)
def _nothing_is_left(bench: Bench) -> Iterator[None]:
    yield
    assert bench.containers() == []
    assert not bench.layout.sandboxes.exists() or bench.scratch() == []


class FragileEngine:
    """A socket that leads to the engine until a number of requests were sent through it."""

    def __init__(self, engine: str, folder: Path, requests: int) -> None:
        self._engine = engine.removeprefix("unix://")
        self.left = requests
        self.path = folder / "e.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine)
                self._pairs += [client, engine]
                threading.Thread(target=self._carry, args=(client, engine), daemon=True).start()

    def _carry(self, client: socket.socket, engine: socket.socket) -> None:
        selector = selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ, engine)
        selector.register(engine, selectors.EVENT_READ, client)
        with contextlib.suppress(OSError, ValueError):
            while True:
                for key, _ in selector.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(1 << 16)
                    if not data:
                        target.shutdown(socket.SHUT_WR)
                        selector.unregister(source)
                        continue
                    if source is client and data.startswith((b"GET ", b"POST ", b"DELETE ")):
                        self.left -= 1
                        if self.left < 0:
                            self.close()
                            return
                    target.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for each in self._pairs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


REMOVAL = 8
"""Requests before a container is removed: leftovers, image, create, attach, start, wait, state."""


@pytest.mark.parametrize("requests", range(1, REMOVAL + 1))
def test_an_engine_that_goes_is_one_error_and_the_next_run_cleans_up(
    bench: Bench, tmp_path: Path, requests: int
) -> None:
    address = engine_address(bench.client)
    if not address.startswith("unix://"):
        pytest.skip("not run: the engine is not behind a socket of this machine")
    fragile = FragileEngine(address, tmp_path, requests)
    client = docker.DockerClient(base_url=f"unix://{fragile.path}", version="1.41")
    step = bench.shell("sleep 1; echo x > /out/out")

    def connect() -> DockerExecutor:
        return DockerExecutor(
            client, bench.layout, store, bench.reporter, rootless=bench.engine.rootless
        )

    runner = Runner(bench.layout, connect, bench.reporter)
    store = runner.store
    try:
        if requests < REMOVAL:
            with pytest.raises(ToolchainError, match="Engine") as caught:
                runner.run([step])
            assert caught.value.next_step
        else:
            # The result is there; only the container could not be removed, which is said.
            runner.run([step])
            assert "the next build will do it" in bench.reporter.notes[-1]
    finally:
        client.close()
        fragile.close()
    assert bench.run(step) == b"x\n"
    # The container of the step that was cut off may still go on; the next step finds it.
    assert bench.run(bench.shell("echo y > /out/out")) == b"y\n"
    assert bench.containers() == []


_OTHER_PROCESS = """
import sys
from pathlib import Path, PurePosixPath as P
import docker
from toolchain.actions import OutputOf, Runner, Step, project_lock
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.console import PlainReporter
from toolchain.errors import ToolchainError
from toolchain.layout import Layout

address, project, cache, image, rootless, *scripts = sys.argv[1:]
layout = Layout(Path(project), Path(cache))
client = docker.DockerClient(base_url=address)
reporter = PlainReporter()
make = lambda: DockerExecutor(client, layout, runner.store, reporter, rootless=rootless == "1")
runner = Runner(layout, make, reporter)
steps = []
for number, script in enumerate(scripts):
    inputs = {P("in"): OutputOf(f"step {number - 1}", P("out"))} if number else {}
    steps.append(Step(f"step {number}", image, ("/bin/sh", "-c", script), inputs, (P("out"),)))
try:
    with project_lock(layout, reporter):
        results = runner.run(steps)
except ToolchainError as error:
    sys.exit(error.exit_code)
print(sum(not result.cached for result in results.values()))
"""


def start(bench: Bench, *scripts: str, project: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-c", _OTHER_PROCESS, engine_address(bench.client)),
            *(str(project or bench.layout.project), str(bench.layout.cache), bench.image),
            *("1" if bench.engine.rootless else "0", *scripts),
        ],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


DEAF = "trap '' TERM INT HUP QUIT USR1; touch /out/ready; while true; do sleep 1; done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_container_that_ignores_signals_ends_with_its_command(
    bench: Bench, number: signal.Signals
) -> None:
    process = start(bench, DEAF)
    wait_for(lambda: list(bench.layout.sandboxes.glob("*/out/ready")))
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert bench.containers() == []
    assert bench.scratch() == []


def test_a_container_that_ignores_signals_ends_at_its_time_limit(bench: Bench) -> None:
    with pytest.raises(StepTimeoutError):
        bench.run(bench.shell(DEAF, timeout_seconds=1))
    assert bench.containers() == []


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_a_command_that_is_killed_in_any_step_is_continued(bench: Bench, reached: int) -> None:
    def scripts(slow: int) -> list[str]:
        return [
            f"cat /project/in > /out/out 2>&1; echo {number} >> /out/out; "
            + ("touch /out/ready; sleep 60" if number == slow else "true")
            for number in range(3)
        ]

    process = start(bench, *scripts(reached))
    wait_for(lambda: list(bench.layout.sandboxes.glob("*/out/ready")))
    process.kill()
    process.communicate()
    assert len(bench.containers()) == 1
    done = start(bench, *scripts(-1))
    output, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    assert "removed what 1 interrupted step(s) left behind" in errors
    # Those before the one that was killed are known.
    assert int(output) == 3 - reached
    assert bench.containers() == []


@pytest.mark.parametrize("number", [2, 8])
@pytest.mark.parametrize("together", [True, False])
def test_builds_at_once_do_not_disturb_each_other(
    bench: Bench, tmp_path: Path, number: int, together: bool
) -> None:
    script = "echo x > /out/out"
    projects = [
        bench.layout.project if together else tmp_path / f"checkout {index}"
        for index in range(number)
    ]
    processes = [start(bench, script, project=project) for project in projects]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * number, said
    if together:
        assert sorted(int(output) for output, _ in said) == [0] * (number - 1) + [1]
    assert (
        bench.run(Step("step 0", bench.image, ("/bin/sh", "-c", script), {}, (P("out"),))) == b"x\n"
    )


def test_steps_that_fail_at_once_are_one_error(bench: Bench) -> None:
    steps = [bench.shell(f"exit {code}", name=f"step {code}") for code in range(1, 9)]
    with bench.runner(jobs=8) as runner, pytest.raises(ToolchainError, match="exit code"):
        runner.run(steps)
    assert bench.containers() == []


def test_an_output_that_is_replaced_under_the_next_step_is_noticed(bench: Bench) -> None:
    first = bench.shell("echo good > /out/out", name="first")
    with bench.runner() as runner:
        digest = runner.run([first])["first"].outputs[P("out")]
        path = runner.store.path(digest)
        path.chmod(0o600)
        path.write_bytes(b"evil\n")
        second = bench.shell(
            "cat in > /out/out", name="second", inputs={P("in"): OutputOf("first", P("out"))}
        )
        result = runner.run([first, second])["second"]
        assert runner.store.get(result.outputs[P("out")]) == b"good\n"


NAME = "tinyml-test-bundle/base:x"


@pytest.fixture
def base_bundle(engine: Any, tmp_path: Path) -> Iterator[Any]:
    """Make a bundle with a base of some labels, saved under some names."""
    (tmp_path / "root.tar").write_bytes(bytes(10240))
    made: list[str] = []

    def make(content: str, *names: str, claimed: str = NAME) -> Path:
        for name in names:
            labels = {KIND_LABEL: "base", CONTENT_LABEL: content}
            import_base(engine, tmp_path / "root.tar", name, labels)
            made.append(name)
        archive, path = tmp_path / "base.tar", tmp_path / "bundle.tar"
        if len(names) == 1:
            save_base(engine, names[0], archive)
        else:
            with archive.open("wb") as target:
                response = engine.client.api._get(
                    engine.client.api._url("/images/get"), params={"names": names}, stream=True
                )
                target.writelines(response.iter_content(1 << 16))
        write_bundle(
            path,
            base=claimed,
            base_archive=archive,
            downloads=Downloads(tmp_path / "none"),
            lists={},
            others=(),
            wheels=(),
        )
        for name in names:
            engine.client.images.remove(name)
        return path

    yield make
    for name in {NAME, *made}:
        if engine.client.images.list(name):
            engine.client.images.remove(name)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("none", ""),
        ("another definition", "made from something else"),
        ("another name inside", "comes with other names"),
        ("a further image inside", "comes with other names"),
        ("for other pins", "is for other pins"),
        ("a changed byte", "is damaged"),
        ("cut off", "is damaged"),
    ],
)
def test_a_base_that_is_not_what_the_bundle_says_gets_no_name(
    engine: Any, bench: Bench, base_bundle: Any, fault: str, reason: str
) -> None:
    content = "c" * 64 if fault != "another definition" else "d" * 64
    if fault == "another name inside":
        path = base_bundle(content, "tinyml-test-bundle/other:x")
    elif fault == "a further image inside":
        path = base_bundle(content, NAME, "tinyml-test-bundle/other:x")
    elif fault == "for other pins":
        path = base_bundle(content, NAME, claimed="tinyml-test-bundle/base:y")
    else:
        path = base_bundle(content, NAME)
    data = path.read_bytes()
    if fault == "a changed byte":
        place = data.index(b'"RepoTags"')
        path.write_bytes(data[:place] + b'"repoTags"' + data[place + 10 :])
    elif fault == "cut off":
        path.write_bytes(data[: data.index(b'"RepoTags"')])
    bundle = read_bundle(path)
    caught = contextlib.nullcontext() if not reason else pytest.raises(ToolchainError, match=reason)
    with caught:
        load_base(bundle, engine, NAME, "c" * 64, layout=bench.layout)
    there = image_tags(engine)
    assert (NAME in there) == (not reason)
    assert "tinyml-test-bundle/other:x" not in there
    assert list(bench.layout.cache.glob("base-*")) == []
