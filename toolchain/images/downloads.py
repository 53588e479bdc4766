"""Fetched files, kept by their sha256, and lists of which files belong together."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from toolchain.digest import Digest
from toolchain.errors import DigestMismatchError
from toolchain.files import write_atomically

INCOMING_PREFIX = "incoming-"
_CHUNK_BYTES = 1 << 20


class Downloads:
    """A folder of checked files.

    A file gets here by rename only, after its digest was checked; so what is here is good, and what
    turns out wrong never touches it.

    Args:
        folder: made when it is first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: Digest) -> Path:
        """Return where a file of that digest is or would be."""
        return self._folder / digest.sha256

    def has(self, digest: Digest) -> bool:
        """Return whether the file is here, judged by its size."""
        try:
            return self.path(digest).stat().st_size == digest.size_bytes
        except OSError:
            return False

    def is_intact(self, digest: Digest) -> bool:
        """Return whether the file is here with the right content; a damaged one is removed."""
        path = self.path(digest)
        try:
            if Digest.of_file(path) == digest:
                self._touch(digest)
                return True
        except OSError:
            return False
        path.unlink(missing_ok=True)
        return False

    def add(self, source: Path, name: str, accepted: frozenset[str] | None = None) -> Digest:
        """Check a file and take a copy of it.

        Args:
            source: the fetched file.
            name: what to call it in messages.
            accepted: the sha256 values it may have; None when its client has checked it already.

        Raises:
            DigestMismatchError: it has another one; nothing is kept.
            OSError: it cannot be read, or there is no space.
        """
        with source.open("rb") as stream:
            return self.add_stream(stream, name, accepted)

    def add_stream(
        self, stream: IO[bytes], name: str, accepted: frozenset[str] | None = None
    ) -> Digest:
        """Check what a stream gives and take a copy of it; else as ``add``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=INCOMING_PREFIX)
        path = Path(temporary)
        try:
            with os.fdopen(handle, "wb") as target:
                while chunk := stream.read(_CHUNK_BYTES):
                    target.write(chunk)
            digest = Digest.of_file(path)
            if accepted is not None and digest.sha256 not in accepted:
                raise mismatch(name, accepted, digest.sha256)
            path.chmod(0o644)
            path.replace(self.path(digest))
        finally:
            path.unlink(missing_ok=True)
        return digest

    def write_list(self, key: str, files: Mapping[str, Digest]) -> None:
        """Remember under ``key`` which files belong together, by name."""
        content = {name: [digest.sha256, digest.size_bytes] for name, digest in files.items()}
        text = json.dumps(content, indent=1, sort_keys=True)
        write_atomically(self._list_path(key), text.encode())

    def read_list(self, key: str) -> dict[str, Digest] | None:
        """Return the files remembered under ``key``; None when unknown or incomplete."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            content = json.loads(self._list_path(key).read_text(encoding="utf-8"))
            files = {
                str(name): Digest(str(sha), int(size)) for name, (sha, size) in content.items()
            }
            if all(self.has(digest) for digest in files.values()):
                for digest in files.values():
                    self._touch(digest)
                return files
        return None

    def _touch(self, digest: Digest) -> None:
        # The bound of the cache looks at it: what images are made from is of use.
        with contextlib.suppress(OSError):
            os.utime(self.path(digest))

    def _list_path(self, key: str) -> Path:
        return self._folder / "lists" / f"{key}.json"


def mismatch(name: str, accepted: frozenset[str], got: str) -> DigestMismatchError:
    """Return the error for a file that is not what was pinned."""
    expected = " or ".join(sorted(accepted)[:2]) + (" or others" if len(accepted) > 2 else "")
    return DigestMismatchError(
        f"{name} is not what was pinned: expected sha256 {expected}, got {got}",
        why="the mirror or a proxy on the way gave another file, or the pin is wrong; "
        "nothing of it was used and the cache is as it was",
        next_step="try again; if it stays, compare with another mirror before changing pins.toml",
    )
