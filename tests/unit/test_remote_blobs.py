"""Blobs to and from a service: batches, streams, compression, and what goes wrong."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.remote_support import Service, serving
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CancelledError, RemoteRefusedError, UsageError
from toolchain.remote.blobs import BlobGoneError, BlobRefusedError, Blobs, _plan
from toolchain.remote.connection import Connection, read_token, reason_of
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.messages import UnusableResultError
from toolchain.remote.settings import Credentials


@contextmanager
def blobs_of(service: Service, folder: Path) -> Iterator[tuple[Blobs, Store]]:
    with serving(service) as endpoint:
        connection = Connection(endpoint, Credentials())
        store = Store(folder / "cas")
        try:
            yield Blobs(connection, store), store
        finally:
            connection.close()


def some_blobs() -> list[bytes]:
    """Small ones, one of nothing, and two that are too large for a batch."""
    chosen = random.Random(7)
    sizes = (0, 1, 100, 5_000, 300_000, 900_000, 3_000_000, 1_048_577)
    return [chosen.randbytes(size // 2) + bytes(size - size // 2) for size in sizes]


@pytest.mark.parametrize("zstd", [False, True])
@pytest.mark.parametrize("instance", ["", "team/a"])
def test_what_is_sent_comes_back(tmp_path: Path, zstd: bool, instance: str) -> None:
    service = Service(zstd=zstd, instance=instance, batch_bytes=600_000)
    data = some_blobs()
    with blobs_of(service, tmp_path / "one") as (blobs, store):
        digests = [store.put_bytes(each) for each in data]
        blobs.upload(digests)
        assert set(digests) <= {*service.blobs, Digest.of_bytes(b"")}
        assert blobs.sent_bytes == sum(map(len, data))
        # Only what the service lacks is sent.
        before = service.calls["BatchUpdateBlobs"], service.calls["Write"]
        blobs.upload(digests)
        assert (service.calls["BatchUpdateBlobs"], service.calls["Write"]) == before
    with blobs_of(service, tmp_path / "two") as (blobs, store):
        blobs.download(digests)
        assert [store.get(digest) for digest in digests] == data
        assert blobs.received_bytes == sum(map(len, data))
        blobs.download(digests)
        assert blobs.received_bytes == sum(map(len, data))
    assert bool(service.compressed_names) == zstd
    assert not list((tmp_path / "two" / "cas" / "tmp").iterdir())


@given(st.lists(st.integers(0, 3_000_000), max_size=60, unique=True), st.integers(1_000, 4_000_000))
def test_batches_are_complete_and_within_the_limit(sizes: list[int], limit: int) -> None:
    digests = [Digest(f"{number:064x}", size) for number, size in enumerate(sizes)]
    single, batches = _plan(digests, limit)
    assert sorted([*single, *(each for batch in batches for each in batch)]) == sorted(digests)
    for batch in batches:
        assert batch
        assert sum(each.size_bytes for each in batch) <= limit


@pytest.mark.parametrize("size", [1_000, 2_000_000])
@pytest.mark.parametrize("zstd", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"",  # noqa: ARG005
    ],
    ids=["a bit", "shorter", "longer", "nothing"],
)
def test_a_corrupted_blob_is_found_and_not_kept(
    tmp_path: Path, size: int, zstd: bool, change: object
) -> None:
    assert callable(change)
    service = Service(zstd=zstd, corrupt=lambda _digest, data: change(data))
    digest = service.put(random.Random(1).randbytes(size))
    with blobs_of(service, tmp_path) as (blobs, store):
        with pytest.raises(UnusableResultError, match="is something else"):
            blobs.download([digest])
        assert not store.contains(digest)


def test_what_expands_to_more_than_its_digest_says_is_not_expanded_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(256 << 20))
    monkeypatch.setattr(zstandard.ZstdCompressor, "compress", lambda *_: bomb)
    service = Service(zstd=True)
    digest = service.put(random.Random(4).randbytes(2 << 20))
    with blobs_of(service, tmp_path) as (blobs, store):
        blobs.capabilities()
        tracemalloc.start()
        try:
            with pytest.raises(UnusableResultError, match="is something else"):
                blobs.download([digest])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert not store.contains(digest)
    assert len(bomb) < 1 << 20
    assert most < 32 << 20


@pytest.mark.parametrize("size", [1_000, 2_000_000])
def test_a_blob_that_is_gone_is_said_to_be(tmp_path: Path, size: int) -> None:
    with blobs_of(Service(), tmp_path) as (blobs, _), pytest.raises(BlobGoneError):
        blobs.download([Digest("0" * 64, size)])


def test_a_download_goes_on_where_the_connection_broke(tmp_path: Path) -> None:
    broken: list[int] = []

    def fail(method: str, at: int) -> grpc.StatusCode | None:
        if method == "Read at" and at == 1 << 20 and not broken:
            broken.append(at)
            return grpc.StatusCode.UNAVAILABLE
        return None

    service = Service(fail=fail)
    digest = service.put(random.Random(2).randbytes(3 << 20))
    with blobs_of(service, tmp_path) as (blobs, store):
        blobs.download([digest])
        assert store.contains(digest)
    assert broken
    assert service.calls["Read"] == 2


@pytest.mark.parametrize("method", ["FindMissingBlobs", "BatchUpdateBlobs", "Write"])
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_moments_failure_is_tried_again(
    tmp_path: Path, method: str, code: grpc.StatusCode
) -> None:
    service = Service(fail=lambda called, count: code if called == method and count == 1 else None)
    data = [b"small", bytes(2 << 20)]
    with blobs_of(service, tmp_path) as (blobs, store):
        digests = [store.put_bytes(each) for each in data]
        blobs.upload(digests)
    assert set(digests) == set(service.blobs)
    assert service.calls[method] >= 2


@pytest.mark.parametrize("size", [1_000, 2_000_000])
def test_a_full_store_is_no_success(tmp_path: Path, size: int) -> None:
    with blobs_of(Service(capacity_bytes=100), tmp_path) as (blobs, store):
        digest = store.put_bytes(bytes(size))
        with pytest.raises((BlobRefusedError, grpc.RpcError)) as caught:
            blobs.upload([digest])
    error = caught.value
    said = reason_of(error) if isinstance(error, grpc.RpcError) else str(error)
    assert "full" in said


def test_what_is_refused_for_good_is_not_tried_again(tmp_path: Path) -> None:
    service = Service(fail=lambda _m, _c: grpc.StatusCode.INVALID_ARGUMENT)
    with blobs_of(service, tmp_path) as (blobs, _), pytest.raises(grpc.RpcError):
        blobs.missing([Digest("0" * 64, 1)])
    assert service.calls["FindMissingBlobs"] == 1


def test_cancelling_ends_retries(tmp_path: Path) -> None:
    service = Service(fail=lambda _m, _c: grpc.StatusCode.UNAVAILABLE)
    with serving(service) as endpoint:
        connection = Connection(endpoint, Credentials())
        blobs = Blobs(connection, Store(tmp_path))
        connection.cancel()
        with pytest.raises(CancelledError):
            blobs.missing([Digest("0" * 64, 1)])
    assert service.calls["FindMissingBlobs"] == 0


_BEGIN, _END = (f"-----{word} CERTIFICATE-----\n".encode() for word in ("BEGIN", "END"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no certificate",
        b"\x30\x82\x01\x0a",
        _BEGIN + b"AAAA\n" + _END,
        _BEGIN.replace(b"CERTIFICATE", b"PRIVATE KEY") + b"AAAA\n",
    ],
    ids=["nothing", "text", "DER", "damaged", "a key"],
)
def test_a_file_without_certificates_is_known_before_anything_is_sent(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="holds no certificates in PEM"):
        Connection(Endpoint("127.0.0.1", 50051, tls=True), Credentials(ca_file=path))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_token_file_is_a_token_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("token") / "file"
    path.write_bytes(data)
    try:
        token = read_token(path)
    except (UsageError, RemoteRefusedError):
        return
    assert token
    assert token.isprintable()


def test_an_expired_token_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    import jwt

    path = tmp_path / "token"
    path.write_text(jwt.encode({"exp": 2_000_000_000}, "k" * 32, "HS256") + "\n")
    assert read_token(path, now=lambda: 1_999_999_999.0)
    with pytest.raises(RemoteRefusedError) as caught:
        read_token(path, now=lambda: 2_000_000_000.0)
    assert "2033-05-18 03:33 UTC" in caught.value.why
