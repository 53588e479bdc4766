"""Keeps the cache within a size: what was of use longest ago goes first.

Bounded are step results with their outputs, the inputs of steps, and downloads. A result was last
of use when its entry was read or written (its modification time, to an hour); a blob, when one of
the results that name it was, or else when it was last laid out (its change time); a download, when
an image was made from it. A time in the future, after the clock was set back, counts as now.

A run that adds nothing costs the reading of one small file; the cache is walked through only when
what was added since the last time may have taken it beyond its bound.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.actions.action_cache import decode_result
from toolchain.actions.lock import only_user
from toolchain.errors import DiskFullError, UsageError
from toolchain.files import write_atomically
from toolchain.layout import Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter

LIMIT_VARIABLE = "TOOLCHAIN_CACHE_LIMIT"
"""Size that the cache is kept within, such as ``10GB`` or ``500 MB``; ``none`` for no bound."""

DEFAULT_LIMIT_BYTES = 10_000_000_000
_BLOCK_BYTES = 512
_TARGET = 0.8
"""What is left of the bound after something had to go, so that not every run has to look."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"([0-9]{1,30}(?:\.[0-9]+)?) ?([KMGT]?B?)", re.IGNORECASE)
_TALLY_SCHEMA = "tinyml-toolchain/cache-tally/1"


def cache_limit(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the bound in bytes; ``None`` for none.

    Raises:
        UsageError: the setting is no size.
    """
    text = environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return DEFAULT_LIMIT_BYTES
    if text.lower() == "none":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{LIMIT_VARIABLE} cannot be '{text}'",
            next_step="give it a size, such as 10GB or 500 MB, or none",
        )
    unit = match[2].upper().removesuffix("B")
    return int(float(match[1]) * _UNITS[unit])


@dataclass(frozen=True)
class Part:
    """A part of the cache.

    Attributes:
        files: how many there are.
        size_bytes: of all of them.
        bounded: whether the bound is about it.
    """

    name: str
    files: int
    size_bytes: int
    bounded: bool


@dataclass(frozen=True)
class Removed:
    """What went to keep the cache within its bound.

    Attributes:
        results: step results.
        files: blobs and downloads.
        size_bytes: of all of them.
        left_bytes: of what is bounded and stayed.
    """

    results: int
    files: int
    size_bytes: int
    left_bytes: int


@dataclass
class _Contents:
    """Everything that is bounded, with its size and when it was last of use."""

    results: dict[Path, tuple[float, int, frozenset[str]]] = field(default_factory=dict)
    blobs: dict[str, tuple[Path, int, float]] = field(default_factory=dict)
    downloads: dict[Path, tuple[float, int]] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return (
            sum(size for _, size, _ in self.results.values())
            + sum(size for _, size, _ in self.blobs.values())
            + sum(size for _, size in self.downloads.values())
        )


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the regular files of a folder and those below it, without what goes meanwhile."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def disk_usage(folder: Path) -> int:
    """Return how many bytes the files of a folder and those below it take on the disk."""
    return sum(status.st_blocks * _BLOCK_BYTES for _, status in _files(folder))


def measure(layout: Layout) -> tuple[Part, ...]:
    """Return the parts of the cache with their sizes; walks through all of it."""
    from toolchain.engine.private import private_paths

    parts = []
    for name, folder, bounded in (
        ("step results", layout.actions, True),
        ("step inputs and outputs", layout.store, True),
        ("downloads", layout.downloads, True),
        ("running steps", layout.sandboxes, False),
        *((folder.name, folder, False) for folder in layout.memos),
        ("private engine", private_paths(layout).folder, False),
    ):
        found = [status for _, status in _files(folder)]
        # An engine has sparse files, which are smaller than they are long.
        size = sum(min(status.st_size, status.st_blocks * _BLOCK_BYTES) for status in found)
        if bounded:
            size = sum(status.st_size for status in found)
        parts.append(Part(name, len(found), size, bounded))
    return tuple(parts)


def _read(layout: Layout, now: float) -> _Contents:
    from toolchain.images.downloads import INCOMING_PREFIX

    found = _Contents()
    for level in sorted(_levels(layout.actions)):
        for path, status in _files(level):
            if path.suffix != ".json":
                continue
            try:
                _, result = decode_result(path.read_bytes())
                named = frozenset(digest.sha256 for digest in result.outputs.values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                named = frozenset()
            found.results[path] = (_aged(path, status, now), status.st_size, named)
    for path, status in _files(layout.store / "sha256"):
        # Inputs can always be read again: whatever the clock did, they are not kept for it.
        used = status.st_ctime if status.st_ctime <= now else 0.0
        found.blobs[path.name] = (path, status.st_size, used)
    for path, status in _files(layout.downloads):
        if path.parent == layout.downloads and not path.name.startswith(INCOMING_PREFIX):
            found.downloads[path] = (_aged(path, status, now), status.st_size)
    return found


def _levels(actions: Path) -> list[Path]:
    try:
        return [path for path in actions.iterdir() if len(path.name) == 2]
    except OSError:
        return []


def _aged(path: Path, status: os.stat_result, now: float) -> float:
    if status.st_mtime <= now:
        return status.st_mtime
    with contextlib.suppress(OSError):
        os.utime(path, (now, now))
    return now


def shrink(layout: Layout, limit_bytes: int, now: float | None = None) -> Removed:
    """Remove what was of use longest ago until the cache is well within its bound.

    Nothing goes while the cache is within it. A result goes before its outputs, and an output when
    no result names it any more. To be called while no command uses the cache (``only_user``).

    Args:
        layout: names the cache.
        limit_bytes: the bound.
        now: seconds since the epoch; the clock's when not given.

    Raises:
        OSError: something cannot be removed.
    """
    found = _read(layout, time.time() if now is None else now)
    left = found.size_bytes
    if left <= limit_bytes:
        return Removed(0, 0, 0, left)
    before, results, files = left, 0, 0
    users = Counter(sha for _, _, named in found.results.values() for sha in named)
    order: list[tuple[float, str, Path]] = [
        *((used, "result", path) for path, (used, _, _) in found.results.items()),
        *((used, "blob", path) for sha, (path, _, used) in found.blobs.items() if not users[sha]),
        *((used, "download", path) for path, (used, _) in found.downloads.items()),
    ]
    for _, kind, path in sorted(order):
        if left <= limit_bytes * _TARGET:
            break
        path.unlink(missing_ok=True)
        if kind == "result":
            _, size, named = found.results[path]
            left, results = left - size, results + 1
            for sha in named:
                users[sha] -= 1
                if not users[sha] and sha in found.blobs:
                    blob, size, _ = found.blobs[sha]
                    blob.unlink(missing_ok=True)
                    left, files = left - size, files + 1
        else:
            size = found.blobs[path.name][1] if kind == "blob" else found.downloads[path][1]
            left, files = left - size, files + 1
    return Removed(results, files, before - left, left)


def keep_within_bound(
    layout: Layout,
    written_bytes: int,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> Removed | None:
    """Keep the cache within its bound, at the end of a command that holds ``project_lock``.

    While another command uses the cache, nothing goes, and the next command sees to it.

    Args:
        layout: names the cache.
        written_bytes: what this command added to the store.
        reporter: told what went.
        environ: has the bound.

    Returns:
        What went; ``None`` when it was not looked for.

    Raises:
        UsageError: the bound is no size.
    """
    limit = cache_limit(environ)
    tally = _read_tally(layout)
    if limit is None or (not written_bytes and (tally is None or tally <= limit)):
        return None
    try:
        downloads = sum(status.st_size for _, status in _files(layout.downloads))
        estimated = (tally or 0) + written_bytes
        if tally is not None and estimated + downloads <= limit:
            _write_tally(layout, estimated)
            return None
        with only_user(layout) as alone:
            if not alone:
                _write_tally(layout, max(estimated, limit + 1))
                return None
            removed = shrink(layout, limit)
            _write_tally(
                layout,
                removed.left_bytes - sum(status.st_size for _, status in _files(layout.downloads)),
            )
    except (OSError, DiskFullError) as error:
        reporter.warning(f"the cache could not be kept within its bound: {error}")
        return None
    if removed.size_bytes:
        reporter.note(
            f"the cache had outgrown {limit / 1e6:,.0f} MB ({LIMIT_VARIABLE}): removed "
            f"{removed.size_bytes / 1e6:,.0f} MB that was of use longest ago"
        )
    return removed


def _tally_path(layout: Layout) -> Path:
    return layout.actions / "tally.json"


def _read_tally(layout: Layout) -> int | None:
    """Return what results and blobs came to at the last count; ``None`` when not known."""
    try:
        document = json.loads(_tally_path(layout).read_bytes())
        size = document["size_bytes"]
        known = document["schema"] == _TALLY_SCHEMA and isinstance(size, int) and size >= 0
        return int(size) if known else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write_tally(layout: Layout, size_bytes: int) -> None:
    document = {"schema": _TALLY_SCHEMA, "size_bytes": max(size_bytes, 0)}
    write_atomically(_tally_path(layout), json.dumps(document).encode() + b"\n")
