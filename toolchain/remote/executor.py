"""Runs actions on the workers of a Remote Execution API v2 service."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2 as api,
)
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2_grpc as services,
)
from buildgrid.common.protos.google.longrunning import operations_pb2, operations_pb2_grpc

from toolchain.actions.action import PreparedAction
from toolchain.actions.capture import keep_log, log_path
from toolchain.actions.executor import Execution
from toolchain.actions.failure import step_failure
from toolchain.actions.sandbox import fill_store
from toolchain.actions.store import Store
from toolchain.errors import (
    CancelledError,
    RemoteExecutionError,
    StepTimeoutError,
    ToolchainError,
    UsageError,
)
from toolchain.layout import Layout
from toolchain.remote.blobs import BlobGoneError, BlobRefusedError, Blobs, missing_in
from toolchain.remote.connection import (
    RETRIABLE,
    Connection,
    reason_of,
    service_error,
    status_of,
)
from toolchain.remote.messages import (
    UnusableResultError,
    from_digest,
    to_digest,
    to_outputs,
    to_result,
)

if TYPE_CHECKING:
    from toolchain.console import Reporter

QUEUE_VARIABLE = "TOOLCHAIN_REMOTE_QUEUE_SECONDS"
"""How long an action may wait for a worker, in seconds."""

QUEUE_SECONDS = 600.0
_SUBMISSIONS = 3
PATIENCE_SECONDS = 180.0
"""BuildGrid takes 35 s before it uses a database again that was restarted."""

_SILENCE_SECONDS = 5.0
_LARGEST_LOG_BYTES = 64 << 20
_STAGES: Mapping[int, str] = {
    api.ExecutionStage.CACHE_CHECK: "looking into the action cache",
    api.ExecutionStage.QUEUED: "waiting for a worker",
    api.ExecutionStage.EXECUTING: "running on a worker",
    api.ExecutionStage.COMPLETED: "fetching the outputs",
}


def queue_seconds(text: str | None = None) -> float:
    """Return how long an action may wait for a worker.

    Raises:
        UsageError: the setting is no number above 0.
    """
    text = os.environ.get(QUEUE_VARIABLE, "") if text is None else text
    if not text:
        return QUEUE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"{QUEUE_VARIABLE} is {text!r} and must be a number of seconds above 0")
    return seconds


class _InputsGoneError(Exception):
    """The service lost inputs between their upload and the execution."""


class _OperationGoneError(Exception):
    """The service does not know the operation any more: it was restarted without its memory."""


@dataclass
class _Running:
    """An operation that the service works on."""

    name: str = ""
    call: Any = None
    events: queue.SimpleQueue[operations_pb2.Operation | grpc.RpcError | None] = field(
        default_factory=queue.SimpleQueue
    )


class RemoteExecutor:
    """Sends actions to a service; see ``toolchain.actions.executor.Executor``.

    Images are the workers' business: an action names its image by the digest of its content, and
    runs on a worker that has it.

    Args:
        connection: to the service; closed with this.
        layout: where logs go.
        store: where inputs come from and outputs go.
        reporter: told what the user should know.
        queue_limit: how long an action may wait for a worker, in seconds.
        patience: for how long a service that went away while it ran an action is waited for, in
            seconds.
    """

    def __init__(
        self,
        connection: Connection,
        layout: Layout,
        store: Store,
        reporter: Reporter,
        *,
        queue_limit: float = QUEUE_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._connection = connection
        self._server = str(connection.endpoint)
        self._instance = connection.endpoint.instance
        self._layout = layout
        self._store = store
        self._reporter = reporter
        self._queue_limit = queue_limit
        self._patience = patience
        self._execution = services.ExecutionStub(connection.channel)
        self._operations = operations_pb2_grpc.OperationsStub(connection.channel)
        self.blobs = Blobs(connection, store)
        self._guard = threading.Lock()
        self._running: set[str] = set()
        self._checked = False

    def prepare(self, images: Collection[str]) -> None:
        """Find out whether the service runs actions at all.

        Raises:
            RemoteUnavailableError: it does not answer.
            RemoteRefusedError: it does not let us in.
            RemoteExecutionError: it is a cache only.
        """
        del images
        if self._checked:
            return
        try:
            able = self.blobs.capabilities().execution
        except grpc.RpcError as error:
            raise service_error(error, self._connection.endpoint) from error
        if not able:
            raise RemoteExecutionError(
                f"{self._server} runs no actions",
                why="it says so itself: it may be a cache only, or have no workers' service",
                next_step="name it with --remote-cache, and another with --remote-executor",
            )
        self._checked = True

    def run(self, action: PreparedAction, progress: Callable[[str], None]) -> Execution:
        """Run ``action`` on a worker; see ``Executor.run``.

        Raises:
            RemoteUnavailableError: the service went away and did not come back.
            RemoteRefusedError: it does not let us in.
            RemoteExecutionError: it could not run the action, or no worker took it in time.
        """
        name = action.step.name
        anew = False
        for _ in range(_SUBMISSIONS):
            try:
                progress("sending inputs")
                self._upload(action)
                response = self._execute(action, progress, anew=anew)
                return self._take(action, response)
            except grpc.RpcError as error:
                raise service_error(error, self._connection.endpoint) from error
            except BlobRefusedError as error:
                raise RemoteExecutionError(
                    f"{self._server} does not take the inputs of '{name}': {error}",
                    why="its store may be full",
                    next_step="tell whoever runs it, or build here without --remote-executor",
                ) from error
            except UnusableResultError as error:
                if isinstance(error, BlobGoneError) and not anew:
                    # A result of its cache that has outlived its outputs.
                    anew = True
                    continue
                raise RemoteExecutionError(
                    f"what {self._server} gave out as the result of '{name}' cannot be used: "
                    f"{error}",
                    why="its store lost or changed something; nothing of it was used",
                    next_step="run the command again; tell whoever runs the service if it stays",
                ) from error
            except (_InputsGoneError, _OperationGoneError):
                continue
        raise RemoteExecutionError(
            f"{self._server} lost '{name}' {_SUBMISSIONS} times",
            why="its store drops blobs that are still needed, or it is restarted again and again",
            next_step="look at the service's log, or build here without --remote-executor",
        )

    def cancel(self) -> None:
        """Cancel what runs; from now on nothing is started."""
        # Before the service is told: its answer on a stream must not be taken for its own wish.
        self._connection.cancelled.set()
        with self._guard:
            running = tuple(self._running)
        for name in running:
            self._cancel(name)
        self._connection.cancel()

    def close(self) -> None:
        """Cancel what runs and close the connection."""
        self.cancel()

    def _cancel(self, name: str) -> None:
        request = operations_pb2.CancelOperationRequest(name=name)
        # A service that is gone, or a connection that is closed, has nothing to cancel.
        with suppress(grpc.RpcError, ValueError):
            self._operations.CancelOperation(
                request, timeout=_SILENCE_SECONDS, metadata=self._connection.metadata
            )

    def _upload(self, action: PreparedAction) -> None:
        tree = action.tree
        for path, file in tree.files.items():
            fill_store(path, file, self._store)
        self.blobs.upload(
            {
                action.digest,
                action.command_digest,
                *tree.directories,
                *(file.digest for file in tree.files.values()),
            }
        )

    def _execute(
        self, action: PreparedAction, progress: Callable[[str], None], *, anew: bool
    ) -> api.ExecuteResponse:
        request = api.ExecuteRequest(
            instance_name=self._instance,
            action_digest=from_digest(action.digest),
            skip_cache_lookup=anew,
        )
        running = _Running()
        waiting_since = heard = time.monotonic()
        stage = int(api.ExecutionStage.UNKNOWN)
        failures = 0
        self._open(running, self._execution.Execute, request)
        try:
            while True:
                event = self._next(running)
                if isinstance(event, operations_pb2.Operation):
                    failures, heard = 0, time.monotonic()
                    self._know(running, event.name)
                    if event.done:
                        return _response(event, action)
                    stage, before = _stage(event), stage
                    if stage != before:
                        progress(_STAGES.get(stage, ""))
                    if stage != api.ExecutionStage.QUEUED:
                        # A worker that dies puts its action back: it waits anew.
                        waiting_since = heard = time.monotonic()
                elif event is not None or running.call is None:
                    failures += 1
                    silent = time.monotonic() - heard
                    self._resume(
                        running, event, failures, request, given_up=silent > self._patience
                    )
                if stage in {api.ExecutionStage.EXECUTING, api.ExecutionStage.COMPLETED}:
                    continue
                if time.monotonic() - waiting_since > self._queue_limit:
                    self._cancel(running.name)
                    raise self._not_taken(action)
        finally:
            self._forget(running)

    def _open(self, running: _Running, method: Callable[..., Any], request: object) -> None:
        """Start reading a stream of operations into ``running.events``, in a thread.

        Raises:
            CancelledError: ``cancel`` was called.
        """
        try:
            call = method(request, metadata=self._connection.metadata)
        except ValueError as error:
            # A closed channel says so.
            if self._connection.cancelled.is_set():
                raise CancelledError("stopped before the remote service was asked") from error
            raise
        running.call = call
        events = running.events = queue.SimpleQueue()

        def read() -> None:
            try:
                for operation in call:
                    events.put(operation)
                events.put(None)
            except grpc.RpcError as error:
                events.put(error)
            except ValueError:
                events.put(None)

        threading.Thread(target=read, daemon=True).start()

    def _next(self, running: _Running) -> operations_pb2.Operation | grpc.RpcError | None:
        """Return what the stream says next; None when it was silent for a while, or has ended."""
        try:
            event = running.events.get(timeout=_SILENCE_SECONDS)
        except queue.Empty:
            event = None
        else:
            if event is None:
                running.call = None
        if self._connection.cancelled.is_set():
            raise CancelledError("stopped; the remote service was told")
        return event

    def _know(self, running: _Running, name: str) -> None:
        if name != running.name:
            running.name = name
            with self._guard:
                self._running.add(name)

    def _forget(self, running: _Running) -> None:
        if running.call is not None:
            running.call.cancel()
        with self._guard:
            self._running.discard(running.name)

    def _resume(
        self,
        running: _Running,
        error: Any,
        failures: int,
        request: api.ExecuteRequest,
        *,
        given_up: bool,
    ) -> None:
        """Go on after the stream broke.

        Raises:
            grpc.RpcError: it cannot be mended.
            _InputsGoneError, _OperationGoneError: the action has to be sent again.
        """
        if isinstance(error, grpc.RpcError):
            if status_of(error) is grpc.StatusCode.FAILED_PRECONDITION and _lacks_blobs(error):
                raise _InputsGoneError from error
            if running.name and missing_in(error):
                raise _OperationGoneError from error
            if status_of(error) not in RETRIABLE or given_up:
                raise error
        elif given_up:
            raise _OperationGoneError
        self._connection.pause(failures)
        if running.name:
            again = api.WaitExecutionRequest(name=running.name)
            self._open(running, self._execution.WaitExecution, again)
        else:
            self._open(running, self._execution.Execute, request)

    def _not_taken(self, action: PreparedAction) -> ToolchainError:
        return RemoteExecutionError(
            f"no worker of {self._server} took '{action.step.name}' within "
            f"{self._queue_limit:.0f} s",
            why=f"all are busy, or none has the image {action.step.image}, which this commit names",
            next_step="start ./invoke worker from this commit, or wait longer with "
            f"{QUEUE_VARIABLE}=SECONDS",
        )

    def _take(self, action: PreparedAction, response: api.ExecuteResponse) -> Execution:
        result = response.result
        output, errors = (
            self._text(raw, digest)
            for raw, digest in (
                (result.stdout_raw, result.stdout_digest),
                (result.stderr_raw, result.stderr_digest),
            )
        )
        log = log_path(self._layout, action.step.name)
        with self._store.scratch_file() as scratch:
            scratch.write_bytes(output + errors)
            keep_log(scratch, log)
        if result.exit_code != 0:
            raise step_failure(
                action.step.name,
                result.exit_code,
                output=output + errors,
                error_output=errors,
                log=log,
                why=response.message[:400],
            )
        outputs = to_outputs(result, action.step.outputs)
        self.blobs.download(outputs.values())
        return Execution(outputs, to_result(result, outputs, self._server).made_by)

    def _text(self, raw: bytes, digest: api.Digest) -> bytes:
        if raw or not digest.hash:
            return raw
        return self.blobs.fetch(to_digest(digest), _LARGEST_LOG_BYTES)


def _stage(operation: operations_pb2.Operation) -> int:
    metadata = api.ExecuteOperationMetadata()
    operation.metadata.Unpack(metadata)
    return int(metadata.stage)


def _response(operation: operations_pb2.Operation, action: PreparedAction) -> api.ExecuteResponse:
    """Return what an operation came to.

    Raises:
        _InputsGoneError: the service lost inputs.
        StepTimeoutError, CancelledError, RemoteExecutionError: it did not run to its end.
    """
    name = action.step.name
    if operation.HasField("error"):
        code, message = operation.error.code, operation.error.message
        response = api.ExecuteResponse()
    else:
        response = api.ExecuteResponse()
        operation.response.Unpack(response)
        code, message = response.status.code, response.status.message
    said = " ".join(message.split())[:300]
    if code == grpc.StatusCode.OK.value[0]:
        return response
    if code == grpc.StatusCode.FAILED_PRECONDITION.value[0] and "blob" in said.lower():
        raise _InputsGoneError
    if code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]:
        raise StepTimeoutError(
            f"step '{name}' ran longer than {action.step.timeout_seconds} s on its worker and was "
            "ended",
            why="the worker may be busy with something else, or the step never ends",
            next_step="run it again, or here without --remote-executor",
        )
    if code == grpc.StatusCode.CANCELLED.value[0]:
        raise RemoteExecutionError(
            f"'{name}' was cancelled by the remote service, or by somebody else there",
            next_step="run the command again",
        )
    raise RemoteExecutionError(
        f"the remote service could not run '{name}': {said or f'status {code}'}",
        why="its workers failed to, each time it tried",
        next_step="look at the workers' log, or build here without --remote-executor",
    )


def _lacks_blobs(error: grpc.RpcError) -> bool:
    return any(word in reason_of(error).lower() for word in ("missing", "not found", "blob"))
