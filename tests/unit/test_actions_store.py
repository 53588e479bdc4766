"""The content-addressed store: identity, poisoning, concurrent writers, no space."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions_support import files_under
from toolchain.actions.model import SOURCE_DATE_EPOCH
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.disk import space_checked
from toolchain.errors import CacheCorruptError, DiskFullError


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, reports: list[str]) -> Store:
    return Store(tmp_path / "cas", reports.append)


def _poison(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_what_is_put_is_got(tmp_path_factory: pytest.TempPathFactory, blobs: list[bytes]) -> None:
    store = Store(tmp_path_factory.mktemp("cas"))
    digests = [store.put_bytes(blob) for blob in blobs]
    assert [store.get(digest) for digest in digests] == blobs
    assert digests == [Digest.of_bytes(blob) for blob in blobs]


@pytest.mark.parametrize("take", [False, True])
def test_a_file_is_put(store: Store, tmp_path: Path, take: bool) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    source.chmod(0o4777)
    digest = store.put_file(source, take=take)
    assert store.get(digest) == b"content"
    assert source.exists() != take
    status = store.path(digest).stat()
    assert stat.S_IMODE(status.st_mode) == 0o444
    assert status.st_mtime == SOURCE_DATE_EPOCH


def test_changing_a_source_in_place_does_not_reach_the_store(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    digest = store.put_file(source)
    source.write_bytes(b"CHANGED")
    assert store.get(digest) == b"content"


def test_a_missing_blob(store: Store, reports: list[str], tmp_path: Path) -> None:
    digest = Digest.of_bytes(b"nothing")
    assert not store.contains(digest)
    with pytest.raises(CacheCorruptError, match="has gone"):
        store.get(digest)
    with pytest.raises(CacheCorruptError, match="has gone"):
        store.copy_to(digest, tmp_path / "copy")
    assert reports == []


@pytest.mark.parametrize("poison", [b"CONTENT", b"content and more", b"", b"conten"])
def test_a_poisoned_blob_is_removed_reported_and_can_be_put_again(
    store: Store, reports: list[str], poison: bytes
) -> None:
    digest = store.put_bytes(b"content")
    _poison(store.path(digest), poison)
    assert not store.contains(digest)
    assert len(reports) == 1
    assert str(store.path(digest)) in reports[0]
    assert not store.path(digest).exists()
    assert store.put_bytes(b"content") == digest
    assert store.get(digest) == b"content"


def test_a_poisoned_blob_is_never_handed_out(store: Store, tmp_path: Path) -> None:
    ways: tuple[Callable[[Digest], object], ...] = (
        store.get,
        lambda digest: store.copy_to(digest, tmp_path / "copy"),
        lambda digest: store.lay_out(digest, tmp_path / "link"),
    )
    for number, take_out in enumerate(ways):
        digest = store.put_bytes(b"content %d" % number)
        _poison(store.path(digest), b"CONTENT %d" % number)
        with pytest.raises(CacheCorruptError):
            take_out(digest)
        assert not store.path(digest).exists()
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "link").exists()


def test_putting_repairs_a_poisoned_blob(store: Store) -> None:
    digest = store.put_bytes(b"content")
    _poison(store.path(digest), b"CONTENT")
    store.put_bytes(b"content")
    assert store.get(digest) == b"content"


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_something_else_in_a_blobs_place_is_replaced(
    store: Store, tmp_path: Path, kind: str
) -> None:
    digest = Digest.of_bytes(b"content")
    path = store.path(digest)
    path.parent.mkdir(parents=True)
    if kind == "folder":
        path.mkdir()
        (path / "x").write_bytes(b"")
    else:
        (tmp_path / "elsewhere").write_bytes(b"content")
        path.symlink_to(tmp_path / "elsewhere")
    store.put_bytes(b"content")
    assert path.is_file()
    assert not path.is_symlink()


def test_lay_out_links_plain_files_and_copies_executable_ones(store: Store, tmp_path: Path) -> None:
    digest = store.put_bytes(b"content")
    plain, executable = tmp_path / "plain", tmp_path / "executable"
    store.lay_out(digest, plain)
    store.lay_out(digest, executable, is_executable=True)
    assert plain.samefile(store.path(digest))
    assert stat.S_IMODE(plain.stat().st_mode) == 0o444
    assert stat.S_IMODE(executable.stat().st_mode) == 0o555
    assert executable.read_bytes() == b"content"
    assert not executable.samefile(store.path(digest))
    assert plain.stat().st_mtime == executable.stat().st_mtime == SOURCE_DATE_EPOCH


def _install_again_and_again(folder: Path, data: bytes, ended: Event) -> None:
    while not ended.is_set():
        store = Store(folder)
        for _ in range(50):
            temporary = store._new_name()
            temporary.write_bytes(data)
            store._install(temporary, Digest.of_bytes(data))
            temporary.unlink(missing_ok=True)


def test_lay_out_links_a_blob_that_others_install_at_the_same_time(
    store: Store, tmp_path: Path
) -> None:
    digest = store.put_bytes(b"content")
    ended = multiprocessing.Event()
    writers = [
        multiprocessing.Process(
            target=_install_again_and_again, args=(tmp_path / "cas", b"content", ended)
        )
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    try:
        for number in range(3000):
            store.lay_out(digest, tmp_path / str(number))
            (tmp_path / str(number)).unlink()
    finally:
        ended.set()
        for writer in writers:
            writer.join()


def test_lay_out_says_that_a_blob_which_goes_again_and_again_is_lost(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, "replaced in between")

    digest = store.put_bytes(b"content")
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(CacheCorruptError, match="has gone"):
        store.lay_out(digest, tmp_path / "copy")


def test_lay_out_copies_where_no_link_can_be_made(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, "another device")

    digest = store.put_bytes(b"content")
    monkeypatch.setattr(os, "link", refuse)
    store.lay_out(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o444


def test_a_file_from_another_device_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, "another device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert store.get(store.put_file(source, take=True)) == b"content"


def _put_many(folder: Path, seed: int) -> None:
    store = Store(folder)
    for number in range(100):
        store.put_bytes(b"blob %d" % ((number * 7 + seed) % 100))


def test_concurrent_writers_leave_whole_blobs_and_nothing_else(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_put_many, args=(tmp_path, seed)) for seed in (0, 1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = files_under(tmp_path)
    assert len(found) == 100
    for path, data in found.items():
        assert Digest.of_bytes(data).sha256 == Path(path).name


def test_what_a_killed_writer_left_is_removed_after_a_day(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No process has this number: it is beyond what a kernel gives.
    left = tmp_path / "cas" / "tmp" / "4194305-dead"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    store.put_bytes(b"a")
    assert left.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    Store(tmp_path / "cas").put_bytes(b"b")
    assert not left.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_its_own_error_and_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")

    def refuse(path: Path, _target: Path) -> Path:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(DiskFullError):
        store.put_bytes(b"content")
    with pytest.raises(DiskFullError):
        store.put_file(source)
    assert files_under(tmp_path / "cas") == {}


def test_a_device_that_is_really_full() -> None:
    with pytest.raises(DiskFullError, match="disk is full"), space_checked(Path("/dev")):
        Path("/dev/full").write_bytes(b"x")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), space_checked(tmp_path):
        (tmp_path / "none").read_bytes()


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cas").write_bytes(b"a file in the way")
    with pytest.raises(CacheCorruptError, match="remove it"):
        Store(tmp_path / "cas").put_bytes(b"content")
