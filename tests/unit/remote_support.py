"""A Remote Execution API v2 service in this process, whose faults a test can choose.

It keeps to the protocol as the real one does, which ``tests/containers/test_remote_service.py``
runs, and exists for what cannot be asked of a real one: a corrupted blob, a full store, a
connection that breaks at a chosen byte.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import zstandard
from buildgrid.common.protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2_grpc as services,
)
from buildgrid.common.protos.google.bytestream import bytestream_pb2, bytestream_pb2_grpc
from buildgrid.common.protos.google.longrunning import operations_pb2, operations_pb2_grpc

from toolchain.digest import Digest
from toolchain.remote.endpoint import Endpoint

# CacheCapabilities.supported_compressors = [ZSTD], which these generated classes do not know.
_ZSTD_OFFERED = b"\x32\x01\x01"


@dataclass
class Service:
    """What the service holds, counts and is told to do wrong.

    Attributes:
        blobs: its store.
        results: its action cache, by sha256 of the action.
        calls: how often each method was called.
        fail: asked before each call; an exception's status code ends the call.
        corrupt: changes what is given out.
        run: makes the result of an action; None for a service that runs nothing.
    """

    instance: str = ""
    batch_bytes: int = 4 << 20
    zstd: bool = False
    cache_updates: bool = True
    token: str = ""
    capacity_bytes: int | None = None
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    results: dict[str, api.ActionResult] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    fail: Callable[[str, int], grpc.StatusCode | None] = lambda _method, _count: None
    corrupt: Callable[[Digest, bytes], bytes] = lambda _digest, data: data
    run: Callable[[Service, api.Action], Iterator[Any]] | None = None
    compressed_names: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    skipped: list[bool] = field(default_factory=list)
    operations: dict[str, Iterator[Any]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, method: str, context: Any) -> None:
        with self.guard:
            self.calls[method] += 1
            count = self.calls[method]
        if self.token:
            told = dict(context.invocation_metadata()).get("authorization", "")
            if told != f"Bearer {self.token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "not allowed")
        code = self.fail(method, count)
        if code is not None:
            context.abort(code, f"{method} was told to fail")

    def put(self, data: bytes) -> Digest:
        digest = Digest.of_bytes(data)
        self.blobs[digest] = data
        return digest

    def full(self, more: int) -> bool:
        limit = self.capacity_bytes
        return limit is not None and sum(map(len, self.blobs.values())) + more > limit


def _digest(message: api.Digest) -> Digest:
    return Digest(message.hash, message.size_bytes)


_SERVICES = (
    services.CapabilitiesServicer,
    services.ActionCacheServicer,
    services.ContentAddressableStorageServicer,
    services.ExecutionServicer,
    bytestream_pb2_grpc.ByteStreamServicer,
    operations_pb2_grpc.OperationsServicer,
)


class _Handlers:
    """Answers to the calls of all services; a client calls no other ones."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def GetCapabilities(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.service.enter("GetCapabilities", context)
        answer = api.ServerCapabilities()
        cache = answer.cache_capabilities
        cache.max_batch_total_size_bytes = self.service.batch_bytes
        cache.action_cache_update_capabilities.update_enabled = self.service.cache_updates
        if self.service.zstd:
            cache.MergeFromString(_ZSTD_OFFERED)
        answer.execution_capabilities.exec_enabled = self.service.run is not None
        return answer

    def GetActionResult(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("GetActionResult", context)
        assert request.instance_name == self.service.instance
        found = self.service.results.get(request.action_digest.hash)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such result")
        return found

    def UpdateActionResult(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("UpdateActionResult", context)
        assert _digest(request.action_digest) in self.service.blobs
        for file in request.action_result.output_files:
            assert _digest(file.digest) in self.service.blobs
        self.service.results[request.action_digest.hash] = request.action_result
        return request.action_result

    def FindMissingBlobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("FindMissingBlobs", context)
        return api.FindMissingBlobsResponse(
            missing_blob_digests=[
                each for each in request.blob_digests if _digest(each) not in self.service.blobs
            ]
        )

    def BatchUpdateBlobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("BatchUpdateBlobs", context)
        assert sum(len(each.data) for each in request.requests) <= self.service.batch_bytes
        answer = api.BatchUpdateBlobsResponse()
        for each in request.requests:
            part = answer.responses.add(digest=each.digest)
            if self.service.full(len(each.data)):
                part.status.code, part.status.message = 8, "the store is full"
            else:
                assert Digest.of_bytes(each.data) == _digest(each.digest)
                self.service.put(each.data)
        return answer

    def BatchReadBlobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("BatchReadBlobs", context)
        answer = api.BatchReadBlobsResponse()
        for each in request.digests:
            part = answer.responses.add(digest=each)
            data = self.service.blobs.get(_digest(each))
            if data is None:
                part.status.code = 5
            else:
                part.data = self.service.corrupt(_digest(each), data)
        return answer

    def Write(self, requests: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("Write", context)
        name, data, finished = "", b"", False
        for request in requests:
            name = name or request.resource_name
            assert request.write_offset == len(data)
            data += request.data
            finished = request.finish_write
        assert finished
        prefix = f"{self.service.instance}/" if self.service.instance else ""
        assert name.startswith(prefix)
        parts = name.removeprefix(prefix).split("/")
        assert parts[0] == "uploads"
        written = len(data)
        if parts[2] == "compressed-blobs":
            self.service.compressed_names.append(name)
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if self.service.full(len(data)):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the store is full")
        sha256, size = parts[-2:]
        if hashlib.sha256(data).hexdigest() != sha256 or len(data) != int(size):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not what its name says")
        self.service.put(data)
        return bytestream_pb2.WriteResponse(committed_size=written)

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("Read", context)
        *kind, sha256, size = request.resource_name.split("/")
        digest = Digest(sha256, int(size))
        data = self.service.blobs.get(digest, b"")
        if digest not in self.service.blobs:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such blob")
        data = self.service.corrupt(digest, data)
        if "compressed-blobs" in kind:
            self.service.compressed_names.append(request.resource_name)
            data = zstandard.ZstdCompressor().compress(data)
        for start in range(request.read_offset, len(data), 1 << 16):
            code = self.service.fail("Read at", start)
            if code is not None:
                context.abort(code, "broken off")
            yield bytestream_pb2.ReadResponse(data=data[start : start + (1 << 16)])

    def Execute(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("Execute", context)
        assert self.service.run is not None
        digest = _digest(request.action_digest)
        action = api.Action.FromString(self.service.blobs[digest])
        self.service.skipped.append(request.skip_cache_lookup)
        name = f"operation-{self.service.calls['Execute']}"
        self.service.operations[name] = self.service.run(self.service, action)
        yield from self._stream(name, context)

    def WaitExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("WaitExecution", context)
        if request.name not in self.service.operations:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such operation")
        yield from self._stream(request.name, context)

    def _stream(self, name: str, context: Any) -> Any:
        for event in self.service.operations[name]:
            if isinstance(event, grpc.StatusCode):
                context.abort(event, "broken off")
            operation = operations_pb2.Operation(name=name)
            if isinstance(event, api.ExecuteResponse):
                operation.done = True
                operation.response.Pack(event)
            else:
                operation.metadata.Pack(api.ExecuteOperationMetadata(stage=event))
            yield operation
            if name in self.service.cancelled:
                return

    def CancelOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.service.enter("CancelOperation", context)
        self.service.cancelled.append(request.name)
        from google.protobuf import empty_pb2

        return empty_pb2.Empty()


@contextmanager
def serving(service: Service, port: int = 0) -> Iterator[Endpoint]:
    """Serve on 127.0.0.1 for as long as the block runs."""
    # A worker thread for each stream that a test keeps open.
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
    handlers: Any = type("Handlers", (_Handlers, *_SERVICES), {"__abstractmethods__": frozenset()})(
        service
    )
    services.add_CapabilitiesServicer_to_server(handlers, server)
    services.add_ActionCacheServicer_to_server(handlers, server)
    services.add_ContentAddressableStorageServicer_to_server(handlers, server)
    services.add_ExecutionServicer_to_server(handlers, server)
    bytestream_pb2_grpc.add_ByteStreamServicer_to_server(handlers, server)
    operations_pb2_grpc.add_OperationsServicer_to_server(handlers, server)
    chosen = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield Endpoint("127.0.0.1", chosen, tls=False, instance=service.instance)
    finally:
        server.stop(None).wait()


def completed(
    outputs: dict[str, bytes],
    service: Service,
    *,
    exit_code: int = 0,
    stderr: bytes = b"",
    worker: str = "worker-1",
) -> api.ExecuteResponse:
    """Return what a worker that made ``outputs`` answers."""
    response = api.ExecuteResponse()
    response.result.exit_code = exit_code
    response.result.stderr_raw = stderr
    response.result.execution_metadata.worker = worker
    for path, data in outputs.items():
        digest = service.put(data)
        response.result.output_files.add(
            path=path, digest=api.Digest(hash=digest.sha256, size_bytes=digest.size_bytes)
        )
    return response


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
