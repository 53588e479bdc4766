"""A worker of the Remote Workers API: leases actions and runs them in sandboxes of this machine.

Each slot is a bot of its own with one lease at a time, the shape that a service's long poll fits
best: an idle bot waits in its call, a busy one calls now and then to show that it lives, and to
learn whether its action is still wanted.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from buildgrid.common.protos.google.devtools.remoteworkers.v1test2 import bots_pb2, bots_pb2_grpc

from toolchain.actions.action import SANDBOX
from toolchain.actions.bound import keep_within_bound
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.actions.lock import project_lock
from toolchain.disk import MINIMUM_FREE_BYTES, free_bytes
from toolchain.errors import CancelledError, UsageError, WorkerError
from toolchain.flock import try_exclusive
from toolchain.layout import Layout
from toolchain.remote.blobs import Blobs
from toolchain.remote.connection import REFUSALS, Connection, reason_of, service_error, status_of
from toolchain.remote.leased import Leased, LeaseEnd, Workplace

HEARTBEAT_SECONDS = 3.0
POLL_SECONDS = 20.0
"""Deadline of an idle bot's call; the service answers within four fifths of it."""

_CALL_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_WANTED_FREE_BYTES = 512 << 20
# A session that others end again and again is one of two with the same name.
_LOSSES = 5
_LOSSES_SECONDS = 60.0
_BOUND_EVERY_BYTES = 64 << 20

OK, UNHEALTHY, TERMINATING = (
    bots_pb2.BotStatus.OK,
    bots_pb2.BotStatus.UNHEALTHY,
    bots_pb2.BotStatus.BOT_TERMINATING,
)
COMPLETED, ACTIVE, PENDING = (
    bots_pb2.LeaseState.COMPLETED,
    bots_pb2.LeaseState.ACTIVE,
    bots_pb2.LeaseState.PENDING,
)


def worker_name(text: str, layout: Layout) -> str:
    """Return the name of a worker: the given one, or one that stays the same for this cache.

    Raises:
        UsageError: it has characters that have no place in a name.
    """
    if not text:
        host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip(".-_") or "worker"
        place = hashlib.sha256(os.fsencode(layout.cache)).hexdigest()[:6]
        return f"{host[:40]}-{place}"
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"--name cannot be {text!r}",
            next_step="use letters, digits and . _ - only, at most 61, a letter or digit first",
        )
    return text


def hold_name(name: str, layout: Layout) -> int:
    """Return a descriptor that keeps a worker's name for this process.

    Raises:
        WorkerError: another worker on this machine has it.
    """
    path = layout.cache / "locks" / f"worker-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if not try_exclusive(descriptor):
        os.close(descriptor)
        raise WorkerError(
            f"a worker called {name} runs here already",
            why="two with one name would take each other's work",
            next_step="give this one another name with --name, or more --slots to that one",
        )
    return descriptor


@dataclass
class _Job:
    """A lease that is being worked on."""

    lease: str
    done: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    end: LeaseEnd | None = None
    executor: DockerExecutor | None = None


class Slot:
    """One bot with one lease at a time; ``run`` ends after ``drain``, or by an error.

    Args:
        number: from 1.
        place: of its worker.
        connection: to the service; used by this slot only, so that its long poll can be ended.
    """

    def __init__(self, number: int, place: Workplace, connection: Connection) -> None:
        self.name = f"{place.name}-{number}"
        self._place = place
        self._connection = connection
        self._blobs = Blobs(connection, place.store)
        self._bots = bots_pb2_grpc.BotsStub(connection.channel)
        self._guard = threading.Lock()
        self._draining = False
        self._poll: grpc.Future | None = None
        self._job: _Job | None = None
        self._lost: deque[float] = deque(maxlen=_LOSSES)
        self._short = False
        self.finished = 0

    def drain(self, *, abort: bool = False) -> None:
        """Take nothing more; what runs is finished, or ended when ``abort``."""
        with self._guard:
            self._draining = True
            poll, job = self._poll, self._job
        if poll is not None:
            poll.cancel()
        if abort and job is not None:
            _cancel(job)

    def run(self) -> None:
        """Work until drained.

        Raises:
            RemoteRefusedError: the service does not let this worker in.
            WorkerError: another worker has its name.
        """
        session: bots_pb2.BotSession | None = None
        failures = 0
        while not (self._draining and self._job is None):
            try:
                if session is None:
                    session = self._call(self._bots.CreateBotSession, self._new_session())
                else:
                    # Before the report: ``drain`` must not end a call that tells a result.
                    busy = self._job is not None
                    session = self._call(
                        self._bots.UpdateBotSession,
                        bots_pb2.UpdateBotSessionRequest(
                            name=session.name, bot_session=self._report(session)
                        ),
                        busy=busy,
                    )
                failures = 0
            except grpc.FutureCancelledError:
                continue
            except grpc.RpcError as error:
                code = status_of(error)
                if code is grpc.StatusCode.CANCELLED:
                    continue
                if code in REFUSALS:
                    raise service_error(error, self._connection.endpoint) from error
                failures += 1
                session = self._after(error, session, failures)
                continue
            self._obey(session)
        self._leave(session)

    def _after(
        self, error: grpc.RpcError, session: bots_pb2.BotSession | None, failures: int
    ) -> bots_pb2.BotSession | None:
        """Wait after a failed call, and return the session if it may still be one.

        Raises:
            WorkerError: others end this session again and again.
        """
        gone = {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        }
        if status_of(error) in gone:
            if failures in {1, 10}:
                self._place.reporter.warning(
                    f"{self.name}: {self._connection.endpoint} does not answer "
                    f"({reason_of(error)}); it is asked again"
                )
        elif session is not None:
            now = time.monotonic()
            self._lost.append(now)
            if len(self._lost) == _LOSSES and now - self._lost[0] < _LOSSES_SECONDS:
                raise WorkerError(
                    f"the session of {self.name} was ended {_LOSSES} times within a minute",
                    why="another worker may have the same name: the service keeps one of them; it "
                    f"said last: {reason_of(error)}",
                    next_step="give this one another name with --name",
                )
            self._place.reporter.note(f"{self.name}: a new session ({reason_of(error)})")
            session = None
            # Whatever ran for the old session is leased anew.
            if self._job is not None:
                _cancel(self._job)
                self._job = None
        self._wait(min(0.2 * 2.0**failures, _LONGEST_PAUSE_SECONDS))
        return session

    def _wait(self, seconds: float) -> None:
        if self._job is not None:
            self._job.done.wait(seconds)
        else:
            time.sleep(seconds)

    def _call(
        self, method: Callable[..., bots_pb2.BotSession], request: object, *, busy: bool = False
    ) -> bots_pb2.BotSession:
        future = method.future(  # type: ignore[attr-defined]
            request,
            timeout=_CALL_SECONDS if busy else POLL_SECONDS,
            metadata=self._connection.metadata,
        )
        with self._guard:
            self._poll = None if busy else future
            drained = self._draining
        if drained and not busy:
            future.cancel()
        session: bots_pb2.BotSession = future.result()
        return session

    def _new_session(self) -> bots_pb2.CreateBotSessionRequest:
        session = bots_pb2.BotSession(bot_id=self.name, status=self._status())
        device = session.worker.devices.add(handle=self.name)
        for image in self._place.images:
            device.properties.add(key="container-image", value=image)
        device.properties.add(key="sandbox", value=SANDBOX)
        session.worker.configs.add(key="capacity", value="1")
        return bots_pb2.CreateBotSessionRequest(
            parent=self._connection.endpoint.instance, bot_session=session
        )

    def _status(self) -> bots_pb2.BotStatus.ValueType:
        if self._draining:
            return TERMINATING
        folder = self._place.layout.cache
        folder.mkdir(parents=True, exist_ok=True)
        short = free_bytes(folder) < _WANTED_FREE_BYTES + MINIMUM_FREE_BYTES
        if short and not self._short:
            self._place.reporter.warning(f"{self.name} takes no work: the disk is nearly full")
        self._short = short
        return UNHEALTHY if short else OK

    def _report(self, session: bots_pb2.BotSession) -> bots_pb2.BotSession:
        """Return the session as it is to be sent: whole, with what became of the lease."""
        session.status = self._status()
        job = self._job
        for lease in session.leases:
            if job is None or lease.id != job.lease or job.end is None:
                continue
            lease.state = COMPLETED
            lease.status.code = job.end.code.value[0]
            lease.status.message = job.end.message
            if job.end.result is not None:
                lease.result.Pack(job.end.result)
            self._job = None
            self.finished += 1
        if session.status == UNHEALTHY and self._job is None:
            # The service answers at once: do not ask it all the time.
            time.sleep(HEARTBEAT_SECONDS)
        return session

    def _obey(self, session: bots_pb2.BotSession) -> None:
        """Begin what was leased, end what is not wanted any more, and wait for either."""
        leases = {lease.id: lease for lease in session.leases if lease.state in {PENDING, ACTIVE}}
        job = self._job
        if job is not None and job.lease not in leases:
            self._place.reporter.step(f"{self.name}: {_short(job.lease)} is not wanted any more")
            _cancel(job)
            job.done.wait()
            self._job = job = None
        if job is None and leases and not self._draining:
            (lease, *_) = leases.values()
            job = self._begin(lease)
        if job is not None:
            # Well under the service's patience with a bot that is silent.
            job.done.wait(HEARTBEAT_SECONDS)

    def _begin(self, lease: bots_pb2.Lease) -> _Job:
        job = _Job(lease.id)
        with self._guard:
            self._job = job
        leased = Leased(lease.payload.value, self._blobs, self._place, self.name)

        def make_executor() -> DockerExecutor:
            job.executor = executor = self._place.make_executor()
            if job.cancelled.is_set():
                executor.cancel()
            return executor

        def work() -> None:
            started = time.monotonic()
            try:
                end = leased.run(make_executor, job.cancelled.is_set)
            except BaseException as error:
                end = LeaseEnd(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
            job.end = end
            if not job.cancelled.is_set():
                self._place.reporter.step(
                    f"{self.name}: {leased.digest.sha256[:12]} {_how(end)}, "
                    f"{time.monotonic() - started:.1f} s"
                )
            job.done.set()

        threading.Thread(target=work, daemon=True).start()
        return job

    def _leave(self, session: bots_pb2.BotSession | None) -> None:
        """Tell the service that this bot goes, so that nothing is leased to it any more."""
        if session is None:
            return
        session.status = TERMINATING
        request = bots_pb2.UpdateBotSessionRequest(name=session.name, bot_session=session)
        try:
            self._bots.UpdateBotSession(
                request, timeout=_CALL_SECONDS, metadata=self._connection.metadata
            )
        except (grpc.RpcError, ValueError):
            return


def _cancel(job: _Job) -> None:
    job.cancelled.set()
    executor = job.executor
    if executor is not None:
        executor.cancel()


def _short(lease: str) -> str:
    return lease.rpartition("/")[2][:12]


def _how(end: LeaseEnd) -> str:
    if end.code is not grpc.StatusCode.OK:
        return f"did not run ({end.code.name}: {end.message[:200]})"
    if end.known:
        return "was known here"
    code = end.result.exit_code if end.result is not None else 0
    return "done" if code == 0 else f"failed with exit code {code}"


class Worker:
    """Slots that work side by side.

    Args:
        place: what they share.
        connect: makes a connection for each slot.
        slots: how many actions run at once, at least 1.
    """

    def __init__(self, place: Workplace, connect: Callable[[], Connection], slots: int) -> None:
        self._place = place
        self._connections = [connect() for _ in range(slots)]
        self._slots = [
            Slot(number, place, connection)
            for number, connection in enumerate(self._connections, start=1)
        ]
        self._errors: list[BaseException] = []
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._bounded_bytes = 0

    def drain(self) -> None:
        """Finish what runs and take nothing more; the second time, end what runs.

        May be called by a signal's handler: this takes no lock that the interrupted code may hold.
        """
        self._asked.put(True)

    def _drain_when_asked(self) -> None:
        """Drain each time that it is asked for, until ``run`` ends."""
        abort = False
        while self._asked.get():
            self._place.reporter.note(
                "ending what runs" if abort else "finishing what runs; once more ends it"
            )
            for slot in self._slots:
                slot.drain(abort=abort)
            abort = True

    def run(self) -> int:
        """Work until drained; return how many actions were finished.

        Raises:
            RemoteRefusedError, WorkerError: of a slot; the others are ended.
        """
        threads = [
            threading.Thread(target=self._work, args=(slot,), daemon=True) for slot in self._slots
        ]
        threading.Thread(target=self._drain_when_asked, daemon=True).start()
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                # A join without a limit would keep signals from being handled.
                while thread.is_alive():
                    thread.join(0.2)
                    self._keep_within_bound()
        finally:
            self._asked.put(False)
            for connection in self._connections:
                connection.close()
        if self._errors:
            raise self._errors[0]
        return sum(slot.finished for slot in self._slots)

    def _keep_within_bound(self) -> None:
        """Let go of what was of use longest ago, now and then.

        What a running action needs is linked into its sandbox, and was of use just now.
        """
        place = self._place
        written = place.store.written_bytes - self._bounded_bytes
        if written < _BOUND_EVERY_BYTES:
            return
        self._bounded_bytes += written
        with project_lock(place.layout, place.reporter):
            keep_within_bound(place.layout, written, place.reporter)

    def _work(self, slot: Slot) -> None:
        try:
            slot.run()
        except CancelledError:
            return
        except BaseException as error:
            self._errors.append(error)
            for each in self._slots:
                each.drain(abort=True)
