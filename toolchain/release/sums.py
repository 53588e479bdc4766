"""``SHA256SUMS``: the digest of every other file of a release, as sha256sum checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from toolchain.digest import Digest

_LINE = re.compile(r"^([0-9a-f]{64})  ([^/\x00-\x1f]+)$")


def render_sums(files: Mapping[str, bytes]) -> bytes:
    """Return ``SHA256SUMS`` of ``files``, by name."""
    return _render({name: Digest.of_bytes(data).sha256 for name, data in files.items()})


def read_sums(data: bytes) -> Mapping[str, str]:
    """Return the digests by name.

    Raises:
        ValueError: a line cannot be understood, or the lines are not those that ``render_sums``
            writes; the message is a clause about it.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} cannot be understood")
        found[match[2]] = match[1]
    if _render(found) != data:
        raise ValueError("its lines are not in order, or something else is between them")
    return found


def _render(digests: Mapping[str, str]) -> bytes:
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()
