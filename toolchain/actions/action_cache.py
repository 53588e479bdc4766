"""Action cache: what an action came to, by the action's digest."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from toolchain.actions.model import IN_DOCKER, Maker
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError
from toolchain.files import write_atomically

SCHEMA = "tinyml-toolchain/action-result/1"
_USE_SECONDS = 3600
_MOST_SECONDS = 10**9


@dataclass(frozen=True)
class ActionResult:
    """What an action came to; only success is ever kept.

    Attributes:
        outputs: content by path relative to ``/out``.
        seconds: wall-clock time of the run.
        made_by: what ran it.
    """

    outputs: Mapping[PurePosixPath, Digest]
    seconds: float
    made_by: Maker = IN_DOCKER


class ActionCache:
    """Results by action.

    Args:
        folder: where the entries are; made when the first one is put.
        store: has the blobs that the entries name.
        report: called with one sentence when an entry cannot be used.
    """

    def __init__(self, folder: Path, store: Store, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._store = store
        self._report = report

    def path(self, action: Digest) -> Path:
        """Return where the entry is, or would be."""
        return self._folder / action.sha256[:2] / f"{action.sha256}.json"

    def get(self, action: Digest, outputs: Iterable[PurePosixPath] | None) -> ActionResult | None:
        """Return the result of ``action`` if it is known and every blob of it is sound.

        The entry's modification time tells, to an hour, when the result was last of use.

        Args:
            action: the key.
            outputs: the paths that the result must have; ``None`` when that is not known.

        Raises:
            CacheCorruptError: a corrupt entry or blob cannot be removed.
        """
        path = self.path(action)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._remove(path, f"cannot be read ({os.strerror(error.errno or 0)})")
            return None
        try:
            named, result = decode_result(data)
            if named != action:
                raise ValueError("another action")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._remove(path, "cannot be understood")
            return None
        if outputs is not None and set(result.outputs) != set(outputs):
            self._remove(path, "names other outputs than its step")
            return None
        sound = True
        for output, digest in result.outputs.items():
            if not self._store.contains(digest):
                self._report(f"the cached {output} ({digest.sha256[:12]}) has to be made again")
                sound = False
        if not sound:
            return None
        _touch(path)
        return result

    def put(self, action: Digest, result: ActionResult) -> None:
        """Keep the result of ``action``.

        Raises:
            DiskFullError: there is no room.
            CacheCorruptError: the cache cannot be written.
        """
        path = self.path(action)
        try:
            write_atomically(path, encode_result(action, result))
        except OSError as error:
            raise _unusable(path, error) from error

    def _remove(self, path: Path, reason: str) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(path, error) from error
        self._report(f"the cache entry {path} {reason}; it was removed and will be made again")


def _touch(path: Path) -> None:
    # A cache that cannot be written is of use, too.
    with contextlib.suppress(OSError):
        if abs(time.time() - path.stat().st_mtime) > _USE_SECONDS:
            os.utime(path)


def encode_result(action: Digest, result: ActionResult) -> bytes:
    """Return the entry of a result."""
    document = {
        "schema": SCHEMA,
        "action": {"sha256": action.sha256, "size_bytes": action.size_bytes},
        "outputs": [
            {"path": str(path), "sha256": digest.sha256, "size_bytes": digest.size_bytes}
            for path, digest in sorted(result.outputs.items())
        ],
        "seconds": round(result.seconds, 3),
        "made_by": asdict(result.made_by),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def decode_result(data: bytes) -> tuple[Digest, ActionResult]:
    """Return the action and the result that an entry tells of.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no entry.
    """
    document = json.loads(data)
    if document["schema"] != SCHEMA:
        raise ValueError("another schema")
    outputs = {PurePosixPath(item["path"]): _digest(item) for item in document["outputs"]}
    made_by = _maker(document["made_by"]) if "made_by" in document else IN_DOCKER
    result = ActionResult(outputs, seconds_of(document["seconds"]), made_by)
    return _digest(document["action"]), result


def seconds_of(value: object) -> float:
    """Return a duration that a document tells.

    Raises:
        ValueError, TypeError: it is none that a run can have taken.
    """
    if not isinstance(value, int | float):
        raise TypeError("not a duration")
    # NaN is in no range, and an integer may be beyond what a float can hold.
    if not 0 <= value <= _MOST_SECONDS:
        raise ValueError("not a duration")
    return float(value)


def _maker(item: Mapping[str, Any]) -> Maker:
    maker = Maker(**item)
    texts = (maker.engine, maker.server, maker.worker)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("not a maker")
    if not isinstance(maker.isolated, bool) or not isinstance(maker.pinned, bool):
        raise TypeError("not a maker")
    return maker


def _digest(item: Mapping[str, object]) -> Digest:
    sha256, size = item["sha256"], item["size_bytes"]
    if not isinstance(sha256, str) or not isinstance(size, int) or isinstance(size, bool):
        raise TypeError("not a digest")
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef") or size < 0:
        raise ValueError("not a digest")
    return Digest(sha256, size)


def _unusable(path: Path, error: OSError) -> CacheCorruptError:
    return CacheCorruptError(
        f"the action cache cannot be used at {path}: {os.strerror(error.errno or 0)}",
        next_step="make it readable and writable, or remove it: everything in it can be made again",
    )
