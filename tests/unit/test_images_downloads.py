"""Fetched files: only what was pinned gets in, and what is in stays good."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.digest import Digest
from toolchain.errors import DigestMismatchError
from toolchain.images.downloads import Downloads, mismatch
from toolchain.layout import project_layout

_ADD = """
import sys
from pathlib import Path
from toolchain.images.downloads import Downloads
downloads = Downloads(Path(sys.argv[1]))
sys.stdin.readline()
for _ in range(6):
    digest = downloads.add(Path(sys.argv[2]), "file")
    downloads.write_list("key", {"file": digest})
    assert downloads.read_list("key") == {"file": digest}, "the list was not whole"
    assert downloads.is_intact(digest), "the file was not whole"
"""


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path / "downloads")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "make_1_amd64.deb"
    path.write_bytes(b"contents" * 300_000)
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_file_is_kept_under_its_digest(downloads: Downloads, source: Path) -> None:
    expected = Digest.of_file(source)
    assert downloads.add(source, source.name, frozenset({expected.sha256})) == expected
    assert downloads.path(expected).read_bytes() == source.read_bytes()
    assert downloads.path(expected).stat().st_mode & 0o777 == 0o644
    assert downloads.has(expected)
    assert downloads.is_intact(expected)
    assert source.exists()


def test_a_wrong_file_is_refused_with_both_digests_and_nothing_is_kept(
    downloads: Downloads, source: Path, tmp_path: Path
) -> None:
    good = downloads.add(source, source.name)
    downloads.write_list("key", {"good": good})
    before = everything(tmp_path)
    source.write_bytes(b"something else")
    with pytest.raises(DigestMismatchError) as caught:
        downloads.add(source, source.name, frozenset({good.sha256}))
    assert source.name in caught.value.what
    assert good.sha256 in caught.value.what
    assert Digest.of_file(source).sha256 in caught.value.what
    assert "cache is as it was" in caught.value.why
    assert everything(tmp_path) == before | {source.name: b"something else"}
    assert downloads.read_list("key") == {"good": good}


def test_an_unreadable_file_leaves_nothing(downloads: Downloads, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        downloads.add(tmp_path / "absent", "absent")
    assert everything(tmp_path) == {}


def test_a_damaged_file_is_noticed_removed_and_replaced(downloads: Downloads, source: Path) -> None:
    digest = downloads.add(source, source.name)
    path = downloads.path(digest)
    path.write_bytes(bytes(digest.size_bytes))
    assert downloads.has(digest)
    assert not downloads.is_intact(digest)
    assert not path.exists()
    assert not downloads.is_intact(digest)
    downloads.add(source, source.name)
    assert downloads.is_intact(digest)


@settings(max_examples=30)
@given(contents=st.dictionaries(st.text(min_size=1), st.binary(max_size=20)))
def test_a_list_is_read_as_it_was_written(
    contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    downloads = Downloads(folder / "listed")
    files = {}
    for name, content in contents.items():
        (folder / "one").write_bytes(content)
        files[name] = downloads.add(folder / "one", name)
    downloads.write_list("key", files)
    assert downloads.read_list("key") == files


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"a": 1}', '{"a": ["x"]}', '{"a": ["x", "y"]}', '{"a": null}']
)
def test_a_damaged_list_is_unknown(downloads: Downloads, tmp_path: Path, text: str) -> None:
    downloads.write_list("key", {})
    (path,) = tmp_path.rglob("key.json")
    path.write_text(text)
    assert downloads.read_list("key") is None


def test_a_list_with_a_missing_or_shortened_file_is_unknown(
    downloads: Downloads, source: Path
) -> None:
    assert downloads.read_list("key") is None
    digest = downloads.add(source, source.name)
    downloads.write_list("key", {"a": digest})
    downloads.path(digest).write_bytes(b"short")
    assert downloads.read_list("key") is None
    downloads.path(digest).unlink()
    assert downloads.read_list("key") is None


def test_processes_may_add_the_same_file_at_once(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    command = [sys.executable, "-c", _ADD, str(folder), str(source)]
    adders = [
        subprocess.Popen(
            command,
            cwd=project_layout().project,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for adder in adders:
        assert adder.stdin is not None
        adder.stdin.write("\n")
        adder.stdin.flush()
    said = [adder.communicate()[1] for adder in adders]
    assert [adder.returncode for adder in adders] == [0, 0, 0], said
    digest = Digest.of_file(source)
    kept = everything(folder)
    assert set(kept) == {digest.sha256, "lists/key.json"}
    assert json.loads(kept["lists/key.json"]) == {"file": [digest.sha256, digest.size_bytes]}


@pytest.mark.parametrize(("count", "text"), [(1, "aa,"), (2, "aa or bb,"), (3, "aa or bb or oth")])
def test_a_refusal_names_at_most_two_digests(count: int, text: str) -> None:
    error = mismatch("x", frozenset(["aa", "bb", "cc"][:count]), "ff")
    assert f"expected sha256 {text}" in error.what
    assert error.exit_code == 14
