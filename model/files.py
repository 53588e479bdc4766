"""Writes output files so that each is there complete or not at all, with the same bytes always."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_file(path: Path, content: bytes | str) -> None:
    """Write ``path`` under a temporary name in its own folder, then rename it into place.

    Text is encoded as UTF-8. Missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(fields: Mapping[str, object]) -> str:
    """Return a JSON object with sorted keys, one member a line, numbers in full precision."""
    lines = (
        f"  {json.dumps(name)}: {json.dumps(fields[name], sort_keys=True, allow_nan=False)}"
        for name in sorted(fields)
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed zip archive whose bytes depend on the members alone."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return stream.getvalue()


def unzip(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip archive by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
