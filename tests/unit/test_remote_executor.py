"""Actions run by a service: streams, failures, resumption, cancellation, time limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from buildgrid.common.protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api

from tests.unit.actions_support import RecordingReporter, make_layout, shell
from tests.unit.remote_support import Service, completed, serving, wait_until
from toolchain.actions import Maker, Runner, SharedCache, Step
from toolchain.digest import Digest
from toolchain.errors import (
    CancelledError,
    RemoteExecutionError,
    RemoteRefusedError,
    RemoteUnavailableError,
    StepFailedError,
    StepTimeoutError,
    UnsupportedModelError,
    UsageError,
)
from toolchain.remote.cache import RemoteCache
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.executor import RemoteExecutor, queue_seconds
from toolchain.remote.settings import Credentials

QUEUED, EXECUTING = api.ExecutionStage.QUEUED, api.ExecutionStage.EXECUTING
STEP = shell("say", "the workers here do not read this", inputs={})

Run = Callable[[Service, api.Action], Iterator[Any]]


@contextmanager
def client(
    folder: Path, endpoint: Endpoint, *, queue_limit: float = 30.0, shared: bool = False
) -> Iterator[Runner]:
    layout, reporter = make_layout(folder), RecordingReporter()

    def make_executor() -> RemoteExecutor:
        connection = Connection(endpoint, Credentials())
        return RemoteExecutor(connection, layout, runner.store, reporter, queue_limit=queue_limit)

    def make_shared() -> SharedCache:
        connection = Connection(endpoint, Credentials())
        return RemoteCache(connection, runner.store, reporter, offers=False, required=True)

    with Runner(
        layout, make_executor, reporter, jobs=8, make_shared=make_shared if shared else None
    ) as runner:
        yield runner


@contextmanager
def running_beside(runner: Runner) -> Iterator[list[BaseException]]:
    """Run the step beside the block; what is raised stands in the list after it."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            runner.run([STEP])
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        thread.join(20)


def run_with(folder: Path, run: Run, step: Step = STEP, **options: Any) -> tuple[Service, Any]:
    service = Service(run=run)
    with serving(service) as endpoint, client(folder, endpoint, **options) as runner:
        result = runner.run([step])[step.name]
        (record,) = runner.records
        assert record.made_by.server == str(endpoint)
        assert runner.store.get(result.outputs[step.outputs[0]]) == b"made there"
    return service, record


def well(service: Service, _action: api.Action) -> Iterator[Any]:
    yield QUEUED
    yield EXECUTING
    yield completed({"out": b"made there"}, service)


def test_an_action_runs_there_and_its_outputs_come_back(tmp_path: Path) -> None:
    from tests.unit.actions_support import P

    step = shell("say", "anything", inputs={P("a/b"): b"input", P("c"): bytes(2_000_000)})
    seen: list[tuple[api.Command, api.Directory]] = []

    def run(service: Service, action: api.Action) -> Iterator[Any]:
        by_name = {digest.sha256: data for digest, data in service.blobs.items()}
        command = api.Command.FromString(by_name[action.command_digest.hash])
        seen.append((command, api.Directory.FromString(by_name[action.input_root_digest.hash])))
        yield from well(service, action)

    service, record = run_with(tmp_path, run, step)
    assert record.made_by == Maker(
        "docker", True, True, server=record.made_by.server, worker="worker-1"
    )
    ((command, root),) = seen
    assert list(command.arguments) == list(step.arguments)
    assert list(command.output_paths) == ["out"]
    assert [node.name for node in root.files] == ["c"]
    assert [node.name for node in root.directories] == ["a"]
    assert {bytes(2_000_000), b"input"} <= set(service.blobs.values())


def test_what_went_wrong_there_is_told_as_if_it_were_here(tmp_path: Path) -> None:
    def run(service: Service, _action: api.Action) -> Iterator[Any]:
        yield completed({}, service, exit_code=3, stderr=b"model.cc:7: no such operator\n")

    with pytest.raises(StepFailedError) as caught:
        run_with(tmp_path, run)
    assert "failed with exit code 3" in caught.value.what
    assert "model.cc:7: no such operator" in caught.value.what
    log = tmp_path / "project" / "build" / "logs" / "say.log"
    assert log.read_bytes() == b"model.cc:7: no such operator\n"


def test_a_refused_model_is_refused_there_too(tmp_path: Path) -> None:
    text = b'{"error": "unsupported-model", "what": "it has LSTM", "why": "", "next": ""}\n'

    def run(service: Service, _action: api.Action) -> Iterator[Any]:
        yield completed(
            {}, service, exit_code=UnsupportedModelError.exit_code, stderr=b"noise\n" + text
        )

    with pytest.raises(UnsupportedModelError, match="it has LSTM"):
        run_with(tmp_path, run)


def _status(code: grpc.StatusCode, message: str = "") -> api.ExecuteResponse:
    response = api.ExecuteResponse()
    response.status.code, response.status.message = code.value[0], message
    return response


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, StepTimeoutError),
        (grpc.StatusCode.INTERNAL, RemoteExecutionError),
        (grpc.StatusCode.ABORTED, RemoteExecutionError),
        (grpc.StatusCode.CANCELLED, RemoteExecutionError),
        (grpc.StatusCode.FAILED_PRECONDITION, RemoteExecutionError),
    ],
)
def test_what_no_worker_could_do_is_told(
    tmp_path: Path, code: grpc.StatusCode, error: type[Exception]
) -> None:
    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield QUEUED
        yield _status(code, "as told")

    with pytest.raises(error):
        run_with(tmp_path, run)


def test_a_broken_stream_is_taken_up_again(tmp_path: Path) -> None:
    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield QUEUED
        yield grpc.StatusCode.UNAVAILABLE

    def later(service: Service) -> Iterator[Any]:
        yield EXECUTING
        yield completed({"out": b"made there"}, service)

    class Resuming(dict[str, Iterator[Any]]):
        def __getitem__(self, name: str) -> Iterator[Any]:
            if service.calls["WaitExecution"]:
                return later(service)
            return super().__getitem__(name)

    service = Service(run=run)
    service.operations = Resuming()
    with serving(service) as endpoint, client(tmp_path, endpoint) as runner:
        runner.run([STEP])
    assert service.calls["Execute"] == 1
    assert service.calls["WaitExecution"] == 1


def test_an_operation_that_was_forgotten_is_sent_again(tmp_path: Path) -> None:
    def run(service: Service, action: api.Action) -> Iterator[Any]:
        yield QUEUED
        if service.calls["Execute"] == 1:
            service.operations.clear()
            yield grpc.StatusCode.UNAVAILABLE
        yield from well(service, action)

    service, _ = run_with(tmp_path, run)
    assert service.calls["Execute"] == 2


def test_inputs_that_got_lost_are_sent_again(tmp_path: Path) -> None:
    def run(service: Service, action: api.Action) -> Iterator[Any]:
        if service.calls["Execute"] == 1:
            service.blobs.clear()
            yield _status(grpc.StatusCode.FAILED_PRECONDITION, "missing blob of the input root")
        yield from well(service, action)

    service, _ = run_with(tmp_path, run)
    assert service.calls["Execute"] == 2


def test_a_store_that_always_loses_inputs_is_given_up(tmp_path: Path) -> None:
    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield _status(grpc.StatusCode.FAILED_PRECONDITION, "missing blob")

    service = Service(run=run)
    with (
        serving(service) as endpoint,
        client(tmp_path, endpoint) as runner,
        pytest.raises(RemoteExecutionError, match="lost 'say' 3 times"),
    ):
        runner.run([STEP])
    assert service.calls["Execute"] == 3


def test_an_action_that_no_worker_takes_is_taken_back(tmp_path: Path) -> None:
    ended = threading.Event()

    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield QUEUED
        ended.wait(30)

    service = Service(run=run)
    with serving(service) as endpoint, client(tmp_path, endpoint, queue_limit=0.5) as runner:
        try:
            with pytest.raises(RemoteExecutionError) as caught:
                runner.run([STEP])
        finally:
            ended.set()
    assert "no worker" in caught.value.what
    assert STEP.image in caught.value.why
    assert service.cancelled == ["operation-1"]


def test_cancelling_is_told_to_the_service(tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()

    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield EXECUTING
        started.set()
        ended.wait(30)

    service = Service(run=run)
    layout, reporter = make_layout(tmp_path), RecordingReporter()
    with serving(service) as endpoint:
        runner: Runner
        executors: list[RemoteExecutor] = []

        def make_executor() -> RemoteExecutor:
            connection = Connection(endpoint, Credentials())
            executors.append(RemoteExecutor(connection, layout, runner.store, reporter))
            return executors[-1]

        runner = Runner(layout, make_executor, reporter)
        with running_beside(runner) as errors:
            assert started.wait(20)
            wait_until(lambda: bool(executors[0]._running))
            executors[0].cancel()
            ended.set()
    assert service.cancelled == ["operation-1"]
    (error,) = errors
    assert isinstance(error, CancelledError)


@pytest.mark.parametrize("method", ["_upload", "_execute", "_open", "_take"])
def test_what_is_stopped_at_any_moment_is_cancelled(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = getattr(RemoteExecutor, method)

    def stopped_before(executor: RemoteExecutor, *arguments: Any, **options: Any) -> Any:
        executor.cancel()
        return usual(executor, *arguments, **options)

    monkeypatch.setattr(RemoteExecutor, method, stopped_before)
    with pytest.raises(CancelledError):
        run_with(tmp_path, well)


def test_an_execution_that_is_not_answered_yet_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        asked.set()
        ended.wait(30)
        yield EXECUTING

    usual = RemoteExecutor._open

    def stopped_after(executor: RemoteExecutor, *arguments: Any) -> None:
        usual(executor, *arguments)
        assert asked.wait(20)
        executor.cancel()

    monkeypatch.setattr(RemoteExecutor, "_open", stopped_after)
    try:
        with pytest.raises(CancelledError):
            run_with(tmp_path, run)
    finally:
        ended.set()


def test_one_who_cancels_is_not_told_that_the_service_did(tmp_path: Path) -> None:
    started, asked = threading.Event(), threading.Event()

    def run(_service: Service, _action: api.Action) -> Iterator[Any]:
        yield EXECUTING
        started.set()
        assert asked.wait(20)
        response = api.ExecuteResponse()
        response.status.code = grpc.StatusCode.CANCELLED.value[0]
        yield response

    def fail(method: str, _count: int) -> None:
        if method == "CancelOperation":
            # The stream is told before the one who asked.
            asked.set()
            time.sleep(0.5)

    with (
        serving(Service(run=run, fail=fail)) as endpoint,
        client(tmp_path, endpoint) as runner,
        running_beside(runner) as errors,
    ):
        assert started.wait(20)
        wait_until(lambda: bool(getattr(runner._executor, "_running", ())))
        runner.cancel()
    (error,) = errors
    assert isinstance(error, CancelledError)


def test_a_poisoned_result_of_an_execution_is_not_taken(tmp_path: Path) -> None:
    def run(service: Service, _action: api.Action) -> Iterator[Any]:
        response = completed({"out": b"made there"}, service)
        service.corrupt = lambda _digest, data: data.replace(b"made", b"fake")
        yield response

    with pytest.raises(RemoteExecutionError, match="is something else"):
        run_with(tmp_path, run)


@pytest.mark.parametrize("always", [False, True])
def test_a_result_that_has_outlived_its_outputs_is_made_anew(tmp_path: Path, always: bool) -> None:
    def run(service: Service, _action: api.Action) -> Iterator[Any]:
        response = completed({"out": b"made there"}, service)
        if always or service.calls["Execute"] == 1:
            for file in response.result.output_files:
                del service.blobs[Digest(file.digest.hash, file.digest.size_bytes)]
        yield response

    if always:
        with pytest.raises(RemoteExecutionError, match="is not in its store"):
            run_with(tmp_path, run)
        return
    service, _ = run_with(tmp_path, run)
    assert service.skipped == [False, True]


def test_a_service_that_runs_nothing_is_told_apart(tmp_path: Path) -> None:
    with (
        serving(Service()) as endpoint,
        client(tmp_path, endpoint) as runner,
        pytest.raises(RemoteExecutionError, match="runs no actions"),
    ):
        runner.run([STEP])


@pytest.mark.parametrize("shared", [False, True])
def test_nobody_there_and_nobody_let_in_are_errors(tmp_path: Path, shared: bool) -> None:
    with (
        serving(Service(run=well, token="needed")) as endpoint,
        client(tmp_path, endpoint, shared=shared) as runner,
        pytest.raises(RemoteRefusedError),
    ):
        runner.run([STEP])
    with (
        client(tmp_path, endpoint, shared=shared) as runner,
        pytest.raises(RemoteUnavailableError),
    ):
        runner.run([STEP])


def test_the_same_action_in_flight_is_sent_once(tmp_path: Path) -> None:
    import dataclasses

    steps = [dataclasses.replace(STEP, name=f"say {number}") for number in range(8)]
    service = Service(run=well)
    with serving(service) as endpoint, client(tmp_path, endpoint, shared=True) as runner:
        runner.run(steps)
    assert service.calls["Execute"] == 1


def test_what_is_cached_there_is_not_executed(tmp_path: Path) -> None:
    service = Service(run=well)
    with serving(service) as endpoint:
        with client(tmp_path / ".", endpoint, shared=True) as runner:
            (result,) = runner.run([STEP]).values()
        service.results[result.action.sha256] = completed({"out": b"made there"}, service).result
        other = tmp_path / "other"
        other.mkdir()
        with client(other, endpoint, shared=True) as runner:
            (again,) = runner.run([STEP]).values()
    assert again.outputs == result.outputs
    assert again.cached
    assert service.calls["Execute"] == 1


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_queue_limit_is_a_time(text: str) -> None:
    with pytest.raises(UsageError):
        queue_seconds(text)
    assert queue_seconds("2.5") == 2.5
    assert queue_seconds("") > 0
