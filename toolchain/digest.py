"""Content digests: sha256 and size, as in the Remote Execution API v2."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, order=True)
class Digest:
    """Identity of a blob.

    Attributes:
        sha256: 64 lower-case hexadecimal digits.
        size_bytes: length of the blob, at least 0.
    """

    sha256: str
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.sha256}/{self.size_bytes}"

    @classmethod
    def of_bytes(cls, data: bytes) -> Digest:
        """Return the digest of ``data``."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        """Return the digest of the file at ``path``.

        Raises:
            OSError: the file cannot be read.
        """
        hasher = hashlib.sha256()
        size = 0
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
        return cls(hasher.hexdigest(), size)
