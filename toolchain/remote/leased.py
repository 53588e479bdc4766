"""Runs one leased action in the very sandbox that local steps use.

A worker trusts no more of an action than the sandbox does: its image must be one of this worker's,
and its paths must stay in their folders.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import grpc
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2 as api,
)

from toolchain.actions.action import SANDBOX, PreparedAction
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.capture import log_path
from toolchain.actions.docker_executor import CommandEnd, DockerExecutor
from toolchain.actions.model import PROJECT_FOLDER, Step, StepGraphError
from toolchain.actions.store import Store
from toolchain.actions.tree import InputTree, TreeFile, check_relative
from toolchain.digest import Digest
from toolchain.errors import (
    CacheCorruptError,
    CancelledError,
    DiskFullError,
    EngineUnavailableError,
    StepFailedError,
    StepTimeoutError,
    ToolchainError,
)
from toolchain.flock import is_still, try_exclusive
from toolchain.layout import Layout
from toolchain.remote.blobs import BlobGoneError, BlobRefusedError, Blobs
from toolchain.remote.connection import reason_of
from toolchain.remote.messages import UnusableResultError, from_digest, to_digest

if TYPE_CHECKING:
    from toolchain.console import Reporter

Codes = grpc.StatusCode
MAXIMUM_SECONDS = 7200
"""What an action may take whose sender names no limit, or a larger one."""

_LARGEST_MESSAGE_BYTES = 4 << 20
_MOST_ENTRIES = 200_000
_INLINE_BYTES = 1 << 10
_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LeaseEnd:
    """What is told to the service of a lease.

    Attributes:
        code: OK, also when the command failed; otherwise why it did not run to its end.
        message: for people.
        result: with OK only.
        known: whether nothing was run, because this machine's own cache had the result.
    """

    code: grpc.StatusCode
    message: str = ""
    result: api.ActionResult | None = None
    known: bool = False


class LeaseRefusedError(Exception):
    """The action is not one that this worker runs; no other attempt will help."""


_ENDS: Sequence[tuple[type[Exception], grpc.StatusCode]] = (
    (LeaseRefusedError, Codes.INVALID_ARGUMENT),
    (StepTimeoutError, Codes.DEADLINE_EXCEEDED),
    # Another worker, or this one later, may be able to.
    (CancelledError, Codes.UNAVAILABLE),
    (DiskFullError, Codes.UNAVAILABLE),
    (EngineUnavailableError, Codes.UNAVAILABLE),
    (CacheCorruptError, Codes.UNAVAILABLE),
    (grpc.RpcError, Codes.UNAVAILABLE),
    (BlobGoneError, Codes.FAILED_PRECONDITION),
    (UnusableResultError, Codes.UNAVAILABLE),
    (BlobRefusedError, Codes.UNAVAILABLE),
    (StepFailedError, Codes.FAILED_PRECONDITION),
)
"""What is told to the service of each failure; the first that fits counts."""


def _end(error: Exception) -> LeaseEnd:
    code = next((code for kind, code in _ENDS if isinstance(error, kind)), Codes.INTERNAL)
    if isinstance(error, grpc.RpcError):
        return LeaseEnd(code, reason_of(error))
    if isinstance(error, BlobGoneError):
        # The client knows by the word that it has to send its inputs again.
        return LeaseEnd(code, f"missing blob: {error}")
    if code is Codes.INTERNAL:
        return LeaseEnd(code, f"{type(error).__name__}: {error}"[:500])
    return LeaseEnd(code, error.what if isinstance(error, ToolchainError) else str(error))


@dataclass(frozen=True)
class Workplace:
    """What the slots of a worker share.

    Attributes:
        name: of the worker; a slot's is this and its number.
        images: names of the images that it has, which it offers.
        layout: whose cache holds blobs, results and sandboxes.
        store: blobs of inputs and outputs.
        make_executor: makes one for each lease, so that one can be cancelled alone.
        reporter: told what is done.
    """

    name: str
    images: Sequence[str]
    layout: Layout
    store: Store
    make_executor: Callable[[], DockerExecutor]
    reporter: Reporter


class Leased:
    """An action that a worker took.

    Args:
        encoded: the ``Action`` message as the service sent it.
        blobs: the service's store.
        place: where it is run.
        worker: the slot's name, told with the result.
    """

    def __init__(self, encoded: bytes, blobs: Blobs, place: Workplace, worker: str) -> None:
        self._encoded = encoded
        self.digest = Digest.of_bytes(encoded)
        self._blobs = blobs
        self._store = place.store
        self._layout = place.layout
        self._images = place.images
        self._worker = worker
        self._cache = ActionCache(place.layout.actions, place.store, lambda _: None)

    def run(
        self, make_executor: Callable[[], DockerExecutor], cancelled: Callable[[], bool]
    ) -> LeaseEnd:
        """Run the action, or take its result from this machine's own cache; never raises.

        Args:
            make_executor: called when there is something to run.
            cancelled: whether nobody wants the result any more.
        """
        try:
            return self._run(make_executor, cancelled)
        except Exception as error:
            return _end(error)

    def _run(
        self, make_executor: Callable[[], DockerExecutor], cancelled: Callable[[], bool]
    ) -> LeaseEnd:
        action = api.Action.FromString(self._encoded)
        command = api.Command.FromString(self._message(action.command_digest))
        prepared = self._prepare(action, command)
        with _one_at_a_time(self._layout, self.digest, cancelled):
            known = None
            if not action.do_not_cache:
                known = self._cache.get(self.digest, prepared.step.outputs)
            if known is not None:
                self._blobs.upload(set(known.outputs.values()))
                told = self._message_of(known.outputs, known.seconds)
                return LeaseEnd(Codes.OK, result=told, known=True)
            if cancelled():
                raise CancelledError("cancelled before it began")
            tree = self._tree(to_digest(action.input_root_digest))
            self._blobs.download({file.digest for file in tree.files.values()})
            prepared = PreparedAction(
                prepared.step, tree, self.digest, self._encoded, prepared.encoded_command
            )
            started = time.monotonic()
            end = make_executor().run_to_end(prepared, lambda _: None)
            seconds = time.monotonic() - started
            if end.exit_code == 0 and not action.do_not_cache:
                self._cache.put(self.digest, ActionResult(end.outputs, seconds))
        return LeaseEnd(Codes.OK, result=self._told(end, prepared.step, seconds))

    def _prepare(self, action: api.Action, command: api.Command) -> PreparedAction:
        properties = {
            each.name: each.value
            for each in (action.platform.properties or command.platform.properties)
        }
        image = properties.get("container-image", "")
        if image not in self._images:
            raise LeaseRefusedError(f"this worker does not have the image {image!r}")
        if properties.get("sandbox") != SANDBOX:
            raise LeaseRefusedError(f"this worker's sandbox is {SANDBOX}")
        try:
            paths = tuple(PurePosixPath(path) for path in command.output_paths)
            for path in paths:
                check_relative(path)
            folder = properties.get("working-directory", "")
            if not folder:
                relative = PurePosixPath(command.working_directory or ".")
                if command.working_directory:
                    check_relative(relative)
                folder = str(PROJECT_FOLDER / relative)
            limit = action.timeout.seconds if action.HasField("timeout") else MAXIMUM_SECONDS
            step = Step(
                name=f"remote {self.digest.sha256[:16]}",
                image=image,
                arguments=tuple(command.arguments),
                inputs={},
                outputs=paths,
                environment={each.name: each.value for each in command.environment_variables},
                working_directory=folder,
                timeout_seconds=max(1, min(limit, MAXIMUM_SECONDS)),
            )
        except StepGraphError as error:
            raise LeaseRefusedError(str(error)) from error
        empty = InputTree(to_digest(action.input_root_digest), {}, {})
        encoded_command = command.SerializeToString(deterministic=True)
        return PreparedAction(step, empty, self.digest, self._encoded, encoded_command)

    def _message(self, digest: api.Digest) -> bytes:
        return self._blobs.fetch(to_digest(digest), _LARGEST_MESSAGE_BYTES)

    def _tree(self, root: Digest) -> InputTree:
        """Return the tree of inputs, each level fetched together.

        Raises:
            LeaseRefusedError: it has a name that leaves it, links, or too many entries.
        """
        files: dict[PurePosixPath, TreeFile] = {}
        encoded: dict[Digest, bytes] = {}
        level: list[tuple[PurePosixPath | None, Digest]] = [(None, root)]
        entries = 0
        while level:
            wanted = {digest for _, digest in level if digest not in encoded}
            if any(digest.size_bytes > _LARGEST_MESSAGE_BYTES for digest in wanted):
                raise LeaseRefusedError("a folder of its inputs is too large")
            self._blobs.download(wanted)
            below: list[tuple[PurePosixPath | None, Digest]] = []
            for place, digest in level:
                data = encoded.setdefault(digest, self._store.get(digest))
                directory = api.Directory.FromString(data)
                if directory.symlinks:
                    raise LeaseRefusedError("its inputs have symbolic links")
                entries += len(directory.files) + len(directory.directories)
                if entries > _MOST_ENTRIES:
                    raise LeaseRefusedError(f"it has more than {_MOST_ENTRIES} inputs")
                for node in (*directory.files, *directory.directories):
                    if node.name in {"", ".", ".."} or "/" in node.name or "\0" in node.name:
                        raise LeaseRefusedError(f"an input is called {node.name!r}")
                for file in directory.files:
                    path = PurePosixPath(file.name) if place is None else place / file.name
                    files[path] = TreeFile(to_digest(file.digest), file.is_executable, None)
                below += [
                    (
                        PurePosixPath(node.name) if place is None else place / node.name,
                        to_digest(node.digest),
                    )
                    for node in directory.directories
                ]
            level = below
        return InputTree(root, files, encoded)

    def _told(self, end: CommandEnd, step: Step, seconds: float) -> api.ActionResult:
        log = log_path(self._layout, step.name)
        try:
            output = log.read_bytes()
            log.unlink()
        except OSError:
            output = end.output
        errors = end.error_output
        if end.why:
            errors += f"\n{end.why}\n".encode()
        message = self._message_of(end.outputs, seconds)
        message.exit_code = end.exit_code
        blobs = set(end.outputs.values())
        for name, data in (("stdout", output), ("stderr", errors)):
            if len(data) <= _INLINE_BYTES:
                setattr(message, f"{name}_raw", data)
            else:
                digest = self._store.put_bytes(data)
                getattr(message, f"{name}_digest").CopyFrom(from_digest(digest))
                blobs.add(digest)
        self._blobs.upload(blobs)
        return message

    def _message_of(
        self, outputs: Mapping[PurePosixPath, Digest], seconds: float
    ) -> api.ActionResult:
        message = api.ActionResult(
            output_files=[
                api.OutputFile(path=str(path), digest=from_digest(digest))
                for path, digest in sorted(outputs.items())
            ]
        )
        told = message.execution_metadata
        told.worker = self._worker
        ended = time.time_ns()
        told.execution_start_timestamp.FromNanoseconds(ended - int(seconds * 1e9))
        told.execution_completed_timestamp.FromNanoseconds(ended)
        return message


@contextmanager
def _one_at_a_time(layout: Layout, action: Digest, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Let no two workers of this cache run the same action at once.

    The service may lease one twice: it looks for equal actions in flight before it adds one, and
    two clients can be faster than that. The second then finds the result of the first.

    Raises:
        CancelledError: nobody wants the result any more.
    """
    path = layout.cache / "locks" / "actions" / f"{action.sha256[:16]}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while not try_exclusive(descriptor):
                if cancelled():
                    raise CancelledError("cancelled while another slot ran the same action")
                time.sleep(_LOCK_POLL_SECONDS)
            if is_still(path, descriptor):
                try:
                    yield
                finally:
                    # While the lock is held: who waits for it sees that the file is gone.
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(descriptor)
