"""The offline bundle: what goes in comes out, and nothing that was changed does."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.actions_support import RecordingReporter, files_under
from tests.unit.registry_support import sha256
from toolchain.digest import Digest
from toolchain.environment import EnvironmentSetupError, extract_wheels
from toolchain.errors import DigestMismatchError, UsageError
from toolchain.images.bundle import BASE, import_downloads, read_bundle, write_bundle
from toolchain.images.downloads import Downloads
from toolchain.images.fetch import agree_with_lock, agree_with_pins
from toolchain.layout import Layout
from toolchain.pins import FilePin, LockedRequirement

KEY = "a" * 64
CONTENTS = {"one.deb": b"one" * 999, "two.whl": b"two" * 5000, "three.crate": b"three"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    downloads, digests = Downloads(tmp_path / "source"), {}
    for name, data in CONTENTS.items():
        (tmp_path / name).write_bytes(data)
        digests[name] = downloads.add(tmp_path / name, name)
    (tmp_path / "base.tar").write_bytes(b"base" * 3000)
    (tmp_path / "x.whl").write_bytes(b"wheel")
    listed = {name: digests[name] for name in ("one.deb", "two.whl")}
    path = tmp_path / "new folder" / "bundle.tar"
    write_bundle(
        path,
        base="tinyml-toolchain/base:1",
        base_archive=tmp_path / "base.tar",
        downloads=downloads,
        lists={KEY: listed},
        others=[digests["three.crate"]],
        wheels=[tmp_path / "x.whl"],
    )
    return path


@pytest.fixture
def own(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "project", tmp_path / "cache")


def take(path: Path, own: Layout) -> int:
    return import_downloads(read_bundle(path), own, RecordingReporter())


def test_what_went_in_comes_out(bundle: Path, own: Layout) -> None:
    assert take(bundle, own) == 3
    downloads = Downloads(own.downloads)
    for data in CONTENTS.values():
        assert downloads.is_intact(Digest.of_bytes(data))
    assert downloads.read_list(KEY) == {
        name: Digest.of_bytes(CONTENTS[name]) for name in ("one.deb", "two.whl")
    }
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle.tar"]


def test_the_same_contents_give_the_same_bundle(bundle: Path, own: Layout, tmp_path: Path) -> None:
    take(bundle, own)
    again = tmp_path / "again.tar"
    known = read_bundle(bundle)
    write_bundle(
        again,
        base=known.base,
        base_archive=tmp_path / "base.tar",
        downloads=Downloads(own.downloads),
        lists=known.lists,
        others=known.files,
        wheels=[tmp_path / "x.whl"],
    )
    assert again.read_bytes() == bundle.read_bytes()


def test_what_is_there_is_not_read_again(bundle: Path, own: Layout) -> None:
    known = read_bundle(bundle)
    take(bundle, own)
    bundle.unlink()
    before = files_under(own.cache)
    assert import_downloads(known, own, RecordingReporter()) == 3
    assert files_under(own.cache) == before


@pytest.mark.parametrize("part", range(1, 40, 3))
def test_a_bundle_that_was_cut_off_is_told(bundle: Path, own: Layout, part: int) -> None:
    data = bundle.read_bytes()
    # The end of an archive is zeros, which nobody misses.
    end = data.rstrip(b"\0")
    cut = end[: len(end) * part // 40]
    bundle.write_bytes(cut)
    # Of the last member, a wheel, nothing is taken here.
    complete = all(content in cut for content in CONTENTS.values())
    expected = pytest.raises((DigestMismatchError, UsageError), match="next: ")
    with contextlib.nullcontext() if complete else expected:
        take(bundle, own)
    taken = {name for name in files_under(own.downloads) if "/" not in name}
    assert taken <= {sha256(content) for content in CONTENTS.values()}
    assert len(taken) == len(CONTENTS) or not complete


@pytest.mark.parametrize("name", list(CONTENTS))
def test_a_file_that_was_changed_is_refused(bundle: Path, own: Layout, name: str) -> None:
    data = bytearray(bundle.read_bytes())
    place = data.index(CONTENTS[name])
    data[place] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(DigestMismatchError, match="is not what was pinned"):
        take(bundle, own)
    assert not Downloads(own.downloads).has(Digest.of_bytes(CONTENTS[name]))
    assert not list(own.downloads.glob("incoming-*"))
    # Its list is not believed either.
    assert Downloads(own.downloads).read_list(KEY) is None


Change = Callable[[dict[str, object]], object]


def rewritten(bundle: Path, change: Change) -> Path:
    """Make the bundle anew with another ``bundle.json``."""
    path = bundle.with_name("changed.tar")
    with tarfile.open(bundle) as old, tarfile.open(path, "w") as new:
        for entry in old:
            data = old.extractfile(entry)
            assert data is not None
            content = data.read()
            if entry.name == "bundle.json":
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
                entry.size = len(content)
            new.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema="tinyml-toolchain/bundle/2"),
        lambda document: document.pop("schema"),
        lambda document: document.pop("base"),
        lambda document: document.update(files=[["x", 1]]),
        lambda document: document.update(files=[["a" * 64, -1]]),
        lambda document: document.update(files=[["a" * 64, True]]),
        lambda document: document.update(files=[["../../etc/passwd", 1]]),
        lambda document: document.update(files={"a": 1}),
        lambda document: document.update(lists={"../../x": {}}),
        lambda document: document.update(lists=[]),
    ],
)
def test_a_table_of_contents_that_cannot_be_understood_is_told(
    bundle: Path, change: Change
) -> None:
    with pytest.raises(UsageError, match="no bundle that can be used"):
        read_bundle(rewritten(bundle, change))


def test_a_file_that_the_table_names_and_that_is_not_there_is_told(
    bundle: Path, own: Layout
) -> None:
    path = rewritten(bundle, lambda document: document.update(files=[["a" * 64, 5]]))
    with pytest.raises(DigestMismatchError) as caught:
        take(path, own)
    assert "is not in it" in caught.value.why


@pytest.mark.parametrize("content", [b"", b"x", bytes(4096), b"\x1f\x8b" + bytes(100)])
def test_what_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UsageError, match="no bundle that can be used"):
        read_bundle(tmp_path / "x.tar")


def test_a_bundle_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle"):
        read_bundle(tmp_path / "x.tar")


def test_a_size_that_no_file_has_is_damage(bundle: Path, own: Layout, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    place = data.index(BASE.encode() + bytes(50))
    entry = tarfile.TarInfo(BASE)
    entry.size = 1 << 70
    bundle.write_bytes(data[:place] + entry.tobuf(tarfile.GNU_FORMAT) + data[place + 512 :])
    with pytest.raises(DigestMismatchError, match="is damaged"):
        import_downloads(read_bundle(bundle), own, RecordingReporter())
    with pytest.raises(EnvironmentSetupError, match="cannot be read"):
        extract_wheels(bundle, tmp_path)


def test_a_damaged_download_goes_into_no_bundle(bundle: Path, own: Layout, tmp_path: Path) -> None:
    take(bundle, own)
    known = read_bundle(bundle)
    path = Downloads(own.downloads).path(Digest.of_bytes(CONTENTS["one.deb"]))
    path.write_bytes(b"?")
    with pytest.raises(DigestMismatchError, match="damaged"):
        write_bundle(
            tmp_path / "out.tar",
            base="b",
            base_archive=tmp_path / "base.tar",
            downloads=Downloads(own.downloads),
            lists=known.lists,
            others=(),
            wheels=(),
        )
    assert not list(tmp_path.glob("*out.tar*"))


def pin(data: bytes, version: str = "1:2-3") -> FilePin:
    return FilePin(version=version, sha256=sha256(data), size=len(data))


def test_a_list_of_packages_is_believed_only_where_it_agrees_with_the_pins() -> None:
    good, evil = Digest.of_bytes(b"good"), Digest.of_bytes(b"evil")
    packages = {"make": pin(b"good")}
    name = "make_1%3a2-3_amd64.deb"
    assert agree_with_pins({name: good, "libc_1_amd64.deb": evil}, packages)
    assert not agree_with_pins({name: evil}, packages)
    assert not agree_with_pins({}, packages)
    assert not agree_with_pins({name: good, "make_1%3a2-3_all.deb": evil}, packages)
    assert not agree_with_pins({"make_4_amd64.deb": good}, packages)


def test_a_list_of_wheels_is_believed_only_where_the_lock_has_them() -> None:
    good, evil = Digest.of_bytes(b"good"), Digest.of_bytes(b"evil")
    lock = (LockedRequirement("a-b", "1", "", frozenset({good.sha256})),)
    assert agree_with_lock({"a_b-1-py3-none-any.whl": good}, lock)
    assert not agree_with_lock({"a_b-1-py3-none-any.whl": evil}, lock)
    assert not agree_with_lock({"other-1-py3-none-any.whl": good}, lock)
    # Of what is locked for other systems there is no wheel; all others have to be there.
    elsewhere = LockedRequirement("c", "1", "sys_platform == 'win32'", frozenset({evil.sha256}))
    assert agree_with_lock({"a_b-1-py3-none-any.whl": good}, (*lock, elsewhere))
    assert not agree_with_lock({}, lock)
