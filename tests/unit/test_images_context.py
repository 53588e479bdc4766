"""The build context that is sent to the engine."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError
from toolchain.images.context import context_stream
from toolchain.images.downloads import Downloads

NAMES = st.text("abcxyz0123._-+", min_size=1, max_size=150).map(lambda name: f"f/{name}")


def add(downloads: Downloads, folder: Path, content: bytes) -> Digest:
    source = folder / "source"
    source.write_bytes(content)
    return downloads.add(source, "source")


@settings(max_examples=40)
@given(
    small=st.dictionaries(NAMES, st.binary(max_size=1100), max_size=4),
    large=st.dictionaries(NAMES.map("large/{}".format), st.binary(max_size=1100), max_size=4),
)
def test_the_context_is_a_tar_of_the_contents_and_nothing_else(
    small: dict[str, bytes], large: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    downloads = Downloads(folder / "downloads")
    digests = {name: add(downloads, folder, content) for name, content in large.items()}
    data = b"".join(context_stream(small, digests, downloads))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = archive.getmembers()
        read = {entry.name: archive.extractfile(entry) for entry in entries}
        assert {name: file.read() for name, file in read.items() if file} == small | large
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} <= {
        (0, 0, 0, "", "", 0o644)
    }
    backwards = [dict(reversed(files.items())) for files in (small, digests)]
    assert b"".join(context_stream(backwards[0], backwards[1], downloads)) == data  # type: ignore[arg-type]


@pytest.mark.parametrize("damaged", [b"", b"other", b"contents and more", b"content"])
def test_a_damaged_download_ends_the_context_and_is_removed(tmp_path: Path, damaged: bytes) -> None:
    downloads = Downloads(tmp_path / "downloads")
    good = add(downloads, tmp_path, b"good")
    bad = add(downloads, tmp_path, b"contents")
    downloads.path(bad).write_bytes(damaged)
    with pytest.raises(CacheCorruptError) as caught:
        list(context_stream({}, {"a": bad, "b": good}, downloads))
    assert "fetched anew" in caught.value.next_step
    assert not downloads.path(bad).exists()
    assert downloads.is_intact(good)


def test_a_missing_download_is_told(tmp_path: Path) -> None:
    with pytest.raises(CacheCorruptError, match="cannot be read"):
        list(context_stream({}, {"a": Digest.of_bytes(b"x")}, Downloads(tmp_path)))
