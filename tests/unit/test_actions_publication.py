"""Publication: exactly these files, at once, and nothing written when they are there."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.actions_support import P, files_under
from toolchain.actions.model import StepGraphError
from toolchain.actions.publication import publish
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError, DiskFullError, ToolchainError


class _Place:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "cas")
        self.folder = folder / "build" / "board"

    def files(self, **contents: bytes) -> Mapping[PurePosixPath, Digest]:
        return {
            P(name.replace("__", "/")): self.store.put_bytes(data)
            for name, data in contents.items()
        }

    def publish(self, **contents: bytes) -> bool:
        return publish(self.store, self.files(**contents), self.folder)

    def found(self) -> dict[str, bytes]:
        return files_under(self.folder.parent)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


def test_files_appear(place: _Place) -> None:
    assert place.publish(a=b"1", b__c=b"2")
    assert place.found() == {"board/a": b"1", "board/b/c": b"2"}


def test_the_folder_holds_exactly_the_files(place: _Place) -> None:
    place.publish(a=b"1", b=b"2")
    (place.folder / "user").write_bytes(b"x")
    assert place.publish(b=b"3", c__d=b"4")
    assert place.found() == {"board/b": b"3", "board/c/d": b"4"}


def test_a_number_that_no_process_has_is_of_none_that_runs(place: _Place) -> None:
    left = place.folder.with_name(f".{place.folder.name}.{10**20}.new")
    left.mkdir(parents=True)
    assert place.publish(a=b"1")
    assert not left.exists()


def test_nothing_is_written_when_nothing_changed(place: _Place) -> None:
    place.publish(a=b"1", b__c=b"2")
    paths = [place.folder.parent, place.folder, *place.folder.rglob("*")]
    before = [(path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths]
    assert not place.publish(a=b"1", b__c=b"2")
    assert [(path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths] == before


@pytest.mark.parametrize("meddling", ["content", "extra", "missing", "empty folder", "link"])
def test_whatever_differs_is_put_right(place: _Place, tmp_path: Path, meddling: str) -> None:
    place.publish(a=b"1", b=b"2")
    if meddling == "content":
        (place.folder / "a").write_bytes(b"9")
    elif meddling == "extra":
        (place.folder / "c").write_bytes(b"")
    elif meddling == "missing":
        (place.folder / "a").unlink()
    elif meddling == "empty folder":
        (place.folder / "d").mkdir()
    else:
        (tmp_path / "other").write_bytes(b"1")
        (place.folder / "a").unlink()
        (place.folder / "a").symlink_to(tmp_path / "other")
    assert place.publish(a=b"1", b=b"2")
    assert place.found() == {"board/a": b"1", "board/b": b"2"}
    assert not (place.folder / "a").is_symlink()


def test_editing_a_published_file_does_not_reach_the_store(place: _Place) -> None:
    place.publish(a=b"1")
    with (place.folder / "a").open("r+b") as file:
        file.write(b"2")
    assert place.store.get(Digest.of_bytes(b"1")) == b"1"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_something_else_in_the_folders_place_is_replaced(
    place: _Place, tmp_path: Path, kind: str
) -> None:
    place.folder.parent.mkdir()
    if kind == "file":
        place.folder.write_bytes(b"x")
    else:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "precious").write_bytes(b"x")
        place.folder.symlink_to(tmp_path / "real")
    assert place.publish(a=b"1")
    assert place.found() == {"board/a": b"1"}
    if kind == "link":
        assert (tmp_path / "real" / "precious").exists()


def test_without_an_exchanging_rename(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.actions.publication._exchange", lambda _one, _other: False)
    place.publish(a=b"1")
    assert place.publish(a=b"2")
    assert place.found() == {"board/a": b"2"}


def test_a_failing_second_rename_puts_the_old_folder_back(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.publish(a=b"1")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(errno.EIO, "input/output error")
        return rename(path, target)

    monkeypatch.setattr("toolchain.actions.publication._exchange", lambda _one, _other: False)
    files = place.files(a=b"2")
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ToolchainError, match="cannot be written"):
        publish(place.store, files, place.folder)
    assert place.found() == {"board/a": b"1"}


def test_a_poisoned_blob_is_not_published(place: _Place) -> None:
    place.publish(a=b"1")
    files = place.files(a=b"2")
    path = place.store.path(files[P("a")])
    path.chmod(0o600)
    path.write_bytes(b"3")
    with pytest.raises(CacheCorruptError):
        publish(place.store, files, place.folder)
    assert place.found() == {"board/a": b"1"}


def test_no_space_leaves_the_old_folder(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.publish(a=b"1")
    files = place.files(a=b"2")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskFullError):
        publish(place.store, files, place.folder)
    assert place.found() == {"board/a": b"1"}


def test_a_path_that_leaves_the_folder_is_refused(place: _Place) -> None:
    with pytest.raises(StepGraphError):
        publish(place.store, {P("../x"): Digest.of_bytes(b"")}, place.folder)


def test_siblings_of_dead_publishers_are_removed_and_others_left(place: _Place) -> None:
    place.folder.parent.mkdir()
    dead = place.folder.with_name(".board.999999999.new")
    alive = place.folder.with_name(f".board.{os.getppid()}.new")
    foreign = place.folder.with_name(".board.x.new")
    for folder in (dead, alive, foreign):
        folder.mkdir()
    place.publish(a=b"1")
    assert [folder.exists() for folder in (dead, alive, foreign)] == [False, True, True]
