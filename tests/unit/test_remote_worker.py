"""A worker's names, the bound of its cache, and its end; the rest is in tests/containers."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import grpc
import pytest
from buildgrid.common.protos.google.devtools.remoteworkers.v1test2 import bots_pb2_grpc

from tests.unit.actions_support import RecordingReporter, make_layout
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.bound import LIMIT_VARIABLE
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.actions.store import Store
from toolchain.console import PlainReporter
from toolchain.digest import Digest
from toolchain.errors import CancelledError, UsageError, WorkerError
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.keeper import _only_one, is_held
from toolchain.remote.leased import Leased, LeaseEnd, Workplace, _one_at_a_time
from toolchain.remote.settings import Credentials
from toolchain.remote.tokens import make_token
from toolchain.remote.worker import (
    COMPLETED,
    PENDING,
    TERMINATING,
    Slot,
    Worker,
    hold_name,
    worker_name,
)


def test_a_name_stays_the_same_for_a_cache_and_differs_from_anothers(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = make_layout(tmp_path / "one"), make_layout(tmp_path / "two")
    assert worker_name("", one) == worker_name("", one) != worker_name("", two)
    assert worker_name("my-worker.1", one) == "my-worker.1"


@pytest.mark.parametrize("name", ["-x", "a b", "a/b", "ä", "x" * 62])
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--name cannot be"):
        worker_name(name, make_layout(tmp_path))


def test_a_name_is_held_by_one_worker_of_a_machine(tmp_path: Path) -> None:
    layout = make_layout(tmp_path)
    held = hold_name("w", layout)
    with pytest.raises(WorkerError, match="runs here already"):
        hold_name("w", layout)
    os.close(held)
    os.close(hold_name("w", layout))


def test_one_action_runs_once_at_a_time_and_its_lock_leaves_no_file(tmp_path: Path) -> None:
    layout, action = make_layout(tmp_path), Digest.of_bytes(b"action")
    folder = layout.cache / "locks" / "actions"
    inside: list[int] = []
    most: list[int] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                with _one_at_a_time(layout, action, lambda: False):
                    inside.append(number)
                    most.append(len(inside))
                    time.sleep(0.005)
                    inside.remove(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (most, errors) == ([1] * 20, [])
    with pytest.raises(ValueError, match="of the step"), _one_at_a_time(layout, action, bool):
        raise ValueError("of the step")
    assert list(folder.iterdir()) == []


def test_waiting_for_the_same_action_ends_when_nobody_wants_it(tmp_path: Path) -> None:
    layout, action = make_layout(tmp_path), Digest.of_bytes(b"action")
    with (
        _one_at_a_time(layout, action, lambda: False),
        pytest.raises(CancelledError),
        _one_at_a_time(layout, action, lambda: True),
    ):
        raise AssertionError("both ran")


def test_a_workers_cache_is_kept_within_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "70MB")
    layout, reporter = make_layout(tmp_path), RecordingReporter()
    store = Store(layout.store)

    def no_executor() -> DockerExecutor:
        raise AssertionError("nothing is run here")

    place = Workplace("w", ("image:1",), layout, store, no_executor, reporter)
    endpoint = Endpoint("127.0.0.1", 1, tls=False)
    worker = Worker(place, lambda: Connection(endpoint, Credentials()), slots=1)
    cache = ActionCache(layout.actions, store, reporter.warning)
    for number in range(4):
        blob = store.put_bytes(bytes([number]) * (20 << 20))
        cache.put(Digest.of_bytes(bytes([number])), ActionResult({PurePosixPath("out"): blob}, 1.0))
    worker._keep_within_bound()
    left = sum(path.stat().st_size for path in layout.store.rglob("*") if path.is_file())
    assert left <= 70_000_000
    worker._connections[0].close()


def test_a_signal_that_comes_while_something_is_told_drains_the_worker(tmp_path: Path) -> None:
    layout, reporter = make_layout(tmp_path), PlainReporter()

    def no_executor() -> DockerExecutor:
        raise AssertionError("nothing is run here")

    place = Workplace("w", ("image:1",), layout, Store(layout.store), no_executor, reporter)
    endpoint = Endpoint("127.0.0.1", 1, tls=False)
    worker = Worker(place, lambda: Connection(endpoint, Credentials()), slots=2)
    # A handler runs wherever the main thread is: here, inside the reporter.
    with reporter._lock:
        asked = threading.Thread(target=worker.drain, daemon=True)
        asked.start()
        asked.join(10)
        assert not asked.is_alive()
    assert worker.run() == 0


def test_who_looks_at_the_keepers_lock_hinders_nobody(tmp_path: Path) -> None:
    lock = tmp_path / "keeper.lock"
    assert not is_held(lock)
    ours = os.open(lock, os.O_RDWR | os.O_CREAT)
    looking = os.open(lock, os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert not is_held(lock)
    ended = threading.Timer(0.2, os.close, (looking,))
    ended.start()
    assert _only_one(ours)
    ended.join()
    assert is_held(lock)
    os.close(ours)
    assert not is_held(lock)


@pytest.mark.parametrize(
    ("role", "holder", "days"),
    [("king", "ann", 1), ("client", "", 1), ("client", "a b", 1), ("client", "ann", 0)],
)
def test_a_token_of_nobody_is_not_made(role: str, holder: str, days: int) -> None:
    with pytest.raises(UsageError):
        make_token("s" * 64, role, holder, days)


class _Bots(bots_pb2_grpc.BotsServicer):
    """Leases one action to the first bot, and takes a while over every report.

    Attributes:
        reports: for each, the states of its leases and their status codes, and whether the bot
            waited for the answer.
    """

    def __init__(self) -> None:
        self.reports: list[tuple[list[tuple[int, int]], bool]] = []
        self._patience = threading.Event()

    def CreateBotSession(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        session = request.bot_session
        session.name = "session"
        session.leases.add(id="lease", state=PENDING)
        return session

    def UpdateBotSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        session = request.bot_session
        assert session.status == TERMINATING
        told = [(lease.state, lease.status.code) for lease in session.leases]
        self._patience.wait(0.3)
        self.reports.append((told, context.is_active()))
        going = [lease for lease in session.leases if lease.state != COMPLETED]
        del session.leases[:]
        session.leases.extend(going)
        return session

    def PostBotEventTemp(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError


@contextmanager
def _serving(bots: _Bots) -> Iterator[Endpoint]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    bots_pb2_grpc.add_BotsServicer_to_server(bots, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Endpoint("127.0.0.1", port, tls=False)
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("abort", "code"), [(False, grpc.StatusCode.OK), (True, grpc.StatusCode.UNAVAILABLE)]
)
def test_a_drained_worker_waits_until_the_service_knows_what_became_of_its_action(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abort: bool, code: grpc.StatusCode
) -> None:
    begun, drained = threading.Event(), threading.Event()

    def run(
        self: Leased, make_executor: Callable[[], DockerExecutor], cancelled: Callable[[], bool]
    ) -> LeaseEnd:
        del self, make_executor
        begun.set()
        assert drained.wait(20)
        if cancelled():
            raise CancelledError("stopped")
        return LeaseEnd(grpc.StatusCode.OK)

    def no_executor() -> DockerExecutor:
        raise AssertionError("nothing is run here")

    monkeypatch.setattr(Leased, "_run", run)
    layout = make_layout(tmp_path)
    store, reporter = Store(layout.store), RecordingReporter()
    place = Workplace("w", ("image:1",), layout, store, no_executor, reporter)
    bots = _Bots()
    with _serving(bots) as endpoint:
        connection = Connection(endpoint, Credentials())
        slot = Slot(1, place, connection)
        thread = threading.Thread(target=slot.run)
        thread.start()
        assert begun.wait(20)
        slot.drain(abort=abort)
        drained.set()
        thread.join(20)
        assert not thread.is_alive()
        connection.close()
    # Told once and to its end, so that an ended action goes to another worker; then the leave.
    assert bots.reports == [([(COMPLETED, code.value[0])], True), ([], True)]
    assert slot.finished == 1
