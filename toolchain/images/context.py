"""The build context of a Dockerfile as a tar stream, made while it is sent."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError
from toolchain.images.downloads import Downloads

_CHUNK_BYTES = 1 << 20


def context_stream(
    small: Mapping[str, bytes], large: Mapping[str, Digest], downloads: Downloads
) -> Iterator[bytes]:
    """Yield the chunks of a tar archive; the same contents give the same bytes.

    Args:
        small: contents by name.
        large: fetched files by name; each is checked once more while it is read.
        downloads: where the fetched files are.

    Raises:
        CacheCorruptError: a fetched file has changed since it was checked; it is removed.
    """
    for name, content in sorted(small.items()):
        yield _header(name, len(content))
        yield content
        yield _padding(len(content))
    for name, digest in sorted(large.items()):
        yield _header(name, digest.size_bytes)
        yield from _checked(downloads.path(digest), digest)
        yield _padding(digest.size_bytes)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _checked(path: Path, digest: Digest) -> Iterator[bytes]:
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                hasher.update(chunk)
                yield chunk
    except OSError as error:
        raise CacheCorruptError(f"{path} cannot be read", why=str(error)) from error
    if hasher.hexdigest() != digest.sha256:
        path.unlink(missing_ok=True)
        raise CacheCorruptError(
            f"{path} was damaged since it was fetched",
            why="a disk fault, or something wrote into the cache",
            next_step="run the command again: the file was removed and will be fetched anew",
        )
