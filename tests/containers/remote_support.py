"""A service of ``./invoke remote up`` for the tests, and workers that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.unit.actions_support import RecordingReporter
from toolchain.actions import Runner, SharedCache, Step
from toolchain.layout import CACHE_VARIABLE, Layout, project_layout
from toolchain.remote.cache import RemoteCache
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint, parse_endpoint
from toolchain.remote.executor import RemoteExecutor
from toolchain.remote.settings import Credentials

PROJECT = project_layout().project
P = PurePosixPath
PATIENCE_SECONDS = 60.0

_COMMAND = (
    *(sys.executable, "-P", "-c"),
    "import sys; sys.path.insert(0, sys.argv[1]); from toolchain.cli.program import main; main()",
    str(PROJECT),
)


def invoke(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a task of this checkout with a cache of its own."""
    return subprocess.run(
        [*_COMMAND, *arguments],
        env={**os.environ, CACHE_VARIABLE: str(cache)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Started:
    """A service that runs, in the cache that it belongs to."""

    cache: Path
    endpoint: Endpoint

    def credentials(self, role: str) -> Credentials:
        return Credentials(self.cache / "remote" / f"{role}.token")


@contextmanager
def started(cache: Path, *options: str) -> Iterator[Started]:
    """Run ``remote up``, and ``remote down --delete`` at the end."""
    port = free_port()
    done = invoke(cache, "remote-up", "--port", str(port), "--workers", "0", *options)
    try:
        assert done.returncode == 0, done.stderr
        yield Started(cache, parse_endpoint(f"grpc://127.0.0.1:{port}", "test"))
    finally:
        ended = invoke(cache, "remote-down", "--delete")
    assert ended.returncode == 0, ended.stderr


@dataclass
class WorkerProcess:
    """A worker of its own process and cache.

    Attributes:
        lines: what it said so far.
        reader: takes down what it says.
    """

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    def ended(self) -> int:
        """Wait until it has ended and all that it said is known; return its exit code."""
        code = self.process.wait(PATIENCE_SECONDS)
        if self.reader is not None:
            self.reader.join(PATIENCE_SECONDS)
        return code

    def wait_for(self, text: str) -> str:
        """Return the first line with ``text``."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for line in self.lines:
                if text in line:
                    return line
            assert self.process.poll() is None or self.lines, self.process.returncode
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not in {self.lines}")

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def worker(
    cache: Path, service: Started, name: str, slots: int = 1, endpoint: Endpoint | None = None
) -> Iterator[WorkerProcess]:
    """Run ``./invoke worker``, and end it with SIGTERM."""
    arguments = [
        *("worker", "--server", str(endpoint or service.endpoint)),
        *("--slots", str(slots), "--name", name),
        *("--token-file", str(service.credentials("worker").token_file)),
    ]
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        env={**os.environ, CACHE_VARIABLE: str(cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = WorkerProcess(process)
    assert process.stdout is not None
    stream = process.stdout

    def read() -> None:
        for line in stream:
            running.lines.append(line.rstrip())

    running.reader = reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        for number in (signal.SIGTERM, signal.SIGTERM):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        process.kill()
        process.wait()
        reader.join(5)


@contextmanager
def client(
    folder: Path,
    service: Started,
    *,
    queue_limit: float = 60.0,
    endpoint: Endpoint | None = None,
) -> Iterator[Runner]:
    """Yield a runner of a user with an empty cache."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project").mkdir(exist_ok=True)
    layout, reporter = Layout(folder / "project", folder / "cache"), RecordingReporter()
    where, credentials = endpoint or service.endpoint, service.credentials("client")

    def make_executor() -> RemoteExecutor:
        connection = Connection(where, credentials, patient=True)
        return RemoteExecutor(connection, layout, runner.store, reporter, queue_limit=queue_limit)

    def make_shared() -> SharedCache:
        connection = Connection(where, credentials, patient=True)
        return RemoteCache(connection, runner.store, reporter, offers=False, required=True)

    with Runner(layout, make_executor, reporter, jobs=16, make_shared=make_shared) as runner:
        yield runner


def shell(name: str, image: str, script: str, timeout_seconds: int = 120) -> Step:
    """Return a step of a sandbox that writes ``/out/out``."""
    return Step(
        name=name,
        image=image,
        arguments=("/bin/sh", "-ec", script),
        inputs={P("input"): name.encode()},
        outputs=(P("out"),),
        timeout_seconds=timeout_seconds,
    )


def run(runner: Runner, steps: Sequence[Step]) -> dict[str, bytes]:
    """Run steps and return what each wrote."""
    results = runner.run(steps)
    return {name: runner.store.get(result.outputs[P("out")]) for name, result in results.items()}


class Proxy:
    """Forwards connections on 127.0.0.1, until the network is cut."""

    def __init__(self, target: Endpoint) -> None:
        self._target = (target.host, target.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut = False
        self._guard = threading.Lock()
        self.endpoint = Endpoint("127.0.0.1", self._server.getsockname()[1], tls=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and let no new one through."""
        with self._guard:
            self._cut = True
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def mend(self) -> None:
        self._cut = False

    def close(self) -> None:
        self.cut()
        # Closing alone would let the thread wait for one more connection.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            if self._cut:
                one.close()
                continue
            try:
                other = socket.create_connection(self._target)
            except OSError:
                one.close()
                continue
            with self._guard:
                self._open += [one, other]
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is so; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
