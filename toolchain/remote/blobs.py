"""Moves blobs between the local store and a service's content-addressed store.

Small blobs travel in batches within the service's limit, large ones by ByteStream, compressed where
the service offers it, several side by side. Whatever arrives is checked by its digest.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, cast

import grpc
import zstandard
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2 as api,
)
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2_grpc as services,
)
from buildgrid.common.protos.google.bytestream import bytestream_pb2, bytestream_pb2_grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.remote.connection import CALL_SECONDS, Connection, status_of
from toolchain.remote.messages import UnusableResultError, from_digest, to_digest

_PARALLEL_TRANSFERS = 6
_CHUNK_BYTES = 1 << 20
# gRPC refuses messages above 4 MiB unless told otherwise; a margin is left for what surrounds them.
_LARGEST_BATCH_BYTES = (4 << 20) - (64 << 10)
_LARGEST_BATCHED_BLOB_BYTES = 1 << 20
_ENTRY_BYTES = 128
_DIGESTS_A_CALL = 10_000
_SLOWEST_BYTES_A_SECOND = 128 << 10
_WORTH_COMPRESSING_BYTES = 4 << 10
# CacheCapabilities.supported_compressors and Compressor.ZSTD: remote_execution.proto, since 2.1.
_COMPRESSORS_FIELD = 6
_ZSTD = 1
_OK, _NOT_FOUND = 0, 5


class BlobGoneError(UnusableResultError):
    """A blob that the service named is not in its store any more."""


class BlobRefusedError(Exception):
    """The service did not take a blob; the text says why."""


@dataclass(frozen=True)
class Capabilities:
    """What a service offers.

    Attributes:
        batch_bytes: how much one batch may hold.
        zstd: whether blobs may be compressed in ByteStream.
        cache_updates: whether clients may at all store results in its action cache.
        execution: whether it runs actions.
    """

    batch_bytes: int
    zstd: bool
    cache_updates: bool
    execution: bool


class Blobs:
    """The content-addressed store of a service.

    Args:
        connection: to it.
        store: the local one.

    Attributes:
        sent_bytes: what was uploaded, by blob size.
        received_bytes: what was downloaded, by blob size.
    """

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self._instance = connection.endpoint.instance
        self._cas = services.ContentAddressableStorageStub(connection.channel)
        self._bytes = bytestream_pb2_grpc.ByteStreamStub(connection.channel)
        self._guard = threading.Lock()
        self._capabilities: Capabilities | None = None
        self.sent_bytes = 0
        self.received_bytes = 0

    def capabilities(self) -> Capabilities:
        """Return what the service offers; asked once.

        Raises:
            grpc.RpcError: it does not answer.
        """
        with self._guard:
            if self._capabilities is None:
                stub = services.CapabilitiesStub(self._connection.channel)
                request = api.GetCapabilitiesRequest(instance_name=self._instance)
                self._capabilities = _capabilities(
                    self._connection.call(stub.GetCapabilities, request)
                )
            return self._capabilities

    def missing(self, digests: Collection[Digest]) -> set[Digest]:
        """Return which of ``digests`` the service lacks.

        Raises:
            grpc.RpcError: it does not answer.
        """
        ordered, found = sorted(digests), set[Digest]()
        for start in range(0, len(ordered), _DIGESTS_A_CALL):
            request = api.FindMissingBlobsRequest(
                instance_name=self._instance,
                blob_digests=map(from_digest, ordered[start : start + _DIGESTS_A_CALL]),
            )
            answer = self._connection.call(self._cas.FindMissingBlobs, request)
            found |= {to_digest(each) for each in answer.missing_blob_digests}
        return found & set(ordered)

    def upload(self, digests: Collection[Digest]) -> None:
        """Send the blobs of the local store that the service lacks.

        Raises:
            grpc.RpcError: the service does not answer, or is full.
            BlobRefusedError: it does not take one.
            CacheCorruptError: the local store lacks one.
        """
        wanted = self.missing(digests)
        single, batches = _plan(wanted, self.capabilities().batch_bytes)
        self._all(
            [
                *(partial(self._send_batch, batch) for batch in batches),
                *(partial(self._send, digest) for digest in single),
            ]
        )

    def download(self, digests: Iterable[Digest]) -> None:
        """Bring blobs into the local store, each checked; those that it has are left.

        Raises:
            grpc.RpcError: the service does not answer.
            UnusableResultError: one is not what its digest says.
            BlobGoneError: it lacks one.
            DiskFullError: no space is left here.
        """
        wanted = {digest for digest in digests if not self._store.contains(digest)}
        empty = {digest for digest in wanted if digest.size_bytes == 0}
        for digest in empty:
            self._take(digest, b"")
        single, batches = _plan(wanted - empty, self.capabilities().batch_bytes)
        self._all(
            [
                *(partial(self._receive_batch, batch) for batch in batches),
                *(partial(self._receive, digest) for digest in single),
            ]
        )

    def fetch(self, digest: Digest, largest: int = 64 << 20) -> bytes:
        """Return a blob, which is then in the local store.

        Raises:
            grpc.RpcError: the service does not answer.
            UnusableResultError: it is not what its digest says, or larger than ``largest`` bytes.
            BlobGoneError: the service lacks it.
        """
        if digest.size_bytes > largest:
            raise UnusableResultError(f"{digest} is larger than {largest} bytes")
        self.download([digest])
        return self._store.get(digest)

    @staticmethod
    def _all(jobs: Sequence[Callable[[], None]]) -> None:
        if len(jobs) <= 1:
            for job in jobs:
                job()
            return
        with ThreadPoolExecutor(min(_PARALLEL_TRANSFERS, len(jobs))) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def _count(self, *, sent: int = 0, received: int = 0) -> None:
        with self._guard:
            self.sent_bytes += sent
            self.received_bytes += received

    def _send_batch(self, batch: Sequence[Digest]) -> None:
        requests = [
            api.BatchUpdateBlobsRequest.Request(
                digest=from_digest(digest), data=self._store.get(digest)
            )
            for digest in batch
        ]
        request = api.BatchUpdateBlobsRequest(instance_name=self._instance, requests=requests)
        size = sum(digest.size_bytes for digest in batch)
        answer = self._connection.call(self._cas.BatchUpdateBlobs, request, seconds=_deadline(size))
        for each in answer.responses:
            if each.status.code != _OK:
                raise BlobRefusedError(
                    f"a blob was not taken: {each.status.message[:200] or each.status.code}"
                )
        if len(answer.responses) != len(batch):
            raise BlobRefusedError("the answer does not name each blob of the batch")
        self._count(sent=size)

    def _send(self, digest: Digest) -> None:
        compress = self._compresses(digest)
        name = self._name("uploads", str(uuid.uuid4()), *_place(digest, compress=compress))
        answer = self._connection.call(
            self._bytes.Write,
            lambda: self._pieces(name, digest, compress=compress),
            seconds=_deadline(digest.size_bytes),
        )
        # A service that has the blob already answers before the end: with the size, or with -1.
        if not compress and answer.committed_size not in {digest.size_bytes, -1}:
            raise BlobRefusedError(
                f"of a blob of {digest.size_bytes} bytes {answer.committed_size} were taken"
            )
        self._count(sent=digest.size_bytes)

    def _pieces(
        self, name: str, digest: Digest, *, compress: bool
    ) -> Iterator[bytestream_pb2.WriteRequest]:
        offset = 0
        chunks = self._chunks(digest)
        if compress:
            chunks = _compressed(chunks, digest.size_bytes)
        previous = next(chunks, b"")
        for chunk in chunks:
            yield bytestream_pb2.WriteRequest(
                resource_name=name if offset == 0 else "", write_offset=offset, data=previous
            )
            offset += len(previous)
            previous = chunk
        yield bytestream_pb2.WriteRequest(
            resource_name=name if offset == 0 else "",
            write_offset=offset,
            data=previous,
            finish_write=True,
        )

    def _chunks(self, digest: Digest) -> Iterator[bytes]:
        with self._store.path(digest).open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    def _receive_batch(self, batch: Sequence[Digest]) -> None:
        request = api.BatchReadBlobsRequest(
            instance_name=self._instance, digests=map(from_digest, batch)
        )
        size = sum(digest.size_bytes for digest in batch)
        answer = self._connection.call(self._cas.BatchReadBlobs, request, seconds=_deadline(size))
        pending = set(batch)
        for each in answer.responses:
            digest = to_digest(each.digest)
            if digest not in pending:
                continue
            if each.status.code == _NOT_FOUND:
                raise BlobGoneError(f"{digest} is not in its store")
            if each.status.code != _OK:
                raise UnusableResultError(f"{digest}: {each.status.message[:200]}")
            self._take(digest, each.data)
            pending.remove(digest)
        if pending:
            raise BlobGoneError(f"{min(pending)} is missing in its answer")

    def _take(self, digest: Digest, data: bytes) -> None:
        if Digest.of_bytes(data) != digest:
            raise _corrupt(digest, len(data))
        self._store.put_bytes(data)
        self._count(received=len(data))

    def _receive(self, digest: Digest) -> None:
        compress = self._compresses(digest)
        name = self._name(*_place(digest, compress=compress))
        with self._store.scratch_file() as path:
            with path.open("wb") as target:
                if compress:
                    self._connection.call(
                        lambda request, **how: self._expand(target, digest, request, **how),
                        bytestream_pb2.ReadRequest(resource_name=name),
                        seconds=_deadline(digest.size_bytes),
                    )
                else:
                    self._connection.call(
                        lambda request, **how: self._append(target, digest, request, **how),
                        # What arrived before the connection broke is not sent again.
                        lambda: bytestream_pb2.ReadRequest(
                            resource_name=name, read_offset=target.tell()
                        ),
                        seconds=_deadline(digest.size_bytes),
                    )
            try:
                self._store.put_file(path, expected=digest)
            except ValueError as error:
                raise _corrupt(digest, path.stat().st_size) from error
        self._count(received=digest.size_bytes)

    def _append(self, target: Any, digest: Digest, request: Any, **how: Any) -> None:
        with _told_when_gone(digest):
            for answer in self._bytes.Read(request, **how):
                target.write(answer.data)
                if target.tell() > digest.size_bytes:
                    raise _corrupt(digest, target.tell())

    def _expand(self, target: Any, digest: Digest, request: Any, **how: Any) -> None:
        target.seek(0)
        target.truncate()
        with _told_when_gone(digest):
            source = cast("IO[bytes]", _Answers(self._bytes.Read(request, **how)))
            try:
                # In pieces: what a few bytes expand to has no limit otherwise.
                for piece in zstandard.ZstdDecompressor().read_to_iter(
                    source, write_size=_CHUNK_BYTES
                ):
                    if target.tell() + len(piece) > digest.size_bytes:
                        raise _corrupt(digest, target.tell() + len(piece))
                    target.write(piece)
            except zstandard.ZstdError as error:
                raise _corrupt(digest, target.tell()) from error

    def _compresses(self, digest: Digest) -> bool:
        return self.capabilities().zstd and digest.size_bytes >= _WORTH_COMPRESSING_BYTES

    def _name(self, *parts: str) -> str:
        return "/".join(((self._instance,) if self._instance else ()) + parts)


class _Answers:
    """A stream of answers, as the file of which zstandard reads."""

    def __init__(self, answers: Iterable[bytestream_pb2.ReadResponse]) -> None:
        self._answers = iter(answers)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        while not self._rest:
            answer = next(self._answers, None)
            if answer is None:
                return b""
            self._rest = answer.data
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def missing_in(error: grpc.RpcError) -> bool:
    """Return whether a call failed because something is not there."""
    return status_of(error) is grpc.StatusCode.NOT_FOUND


@contextmanager
def _told_when_gone(digest: Digest) -> Iterator[None]:
    """Turn a service's "not found" into ``BlobGoneError``."""
    try:
        yield
    except grpc.RpcError as error:
        if missing_in(error):
            raise BlobGoneError(f"{digest} is not in its store") from error
        raise


def _corrupt(digest: Digest, size: int) -> UnusableResultError:
    return UnusableResultError(f"what it gave out as {digest} ({size} bytes) is something else")


def _deadline(size: int) -> float:
    return CALL_SECONDS + size / _SLOWEST_BYTES_A_SECOND


def _place(digest: Digest, *, compress: bool) -> tuple[str, ...]:
    kind = ("compressed-blobs", "zstd") if compress else ("blobs",)
    return (*kind, digest.sha256, str(digest.size_bytes))


def _compressed(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=3).compressobj(size=size)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def _plan(digests: Collection[Digest], batch_bytes: int) -> tuple[list[Digest], list[list[Digest]]]:
    """Return which blobs travel alone, and which together."""
    largest = min(batch_bytes - _ENTRY_BYTES, _LARGEST_BATCHED_BLOB_BYTES)
    single = sorted(digest for digest in digests if digest.size_bytes > largest)
    batches: list[list[Digest]] = []
    room = 0
    for digest in sorted(set(digests) - set(single)):
        size = digest.size_bytes + _ENTRY_BYTES
        if size > room:
            batches.append([])
            room = batch_bytes
        batches[-1].append(digest)
        room -= size
    return single, batches


def _capabilities(message: api.ServerCapabilities) -> Capabilities:
    cache = message.cache_capabilities
    limit = cache.max_batch_total_size_bytes
    compressors = set[int]()
    for each in UnknownFieldSet(cache):
        if each.field_number == _COMPRESSORS_FIELD:
            data = each.data
            compressors |= set(data) if isinstance(data, bytes) else {int(data)}
    return Capabilities(
        batch_bytes=min(limit, _LARGEST_BATCH_BYTES) if limit > 0 else _LARGEST_BATCH_BYTES,
        zstd=_ZSTD in compressors,
        cache_updates=cache.action_cache_update_capabilities.update_enabled,
        execution=message.execution_capabilities.exec_enabled,
    )
