"""Step results in a folder that can be copied to another machine, and back into a cache.

The folder is laid out as the cache is, and as the Remote Execution API v2 keeps things: results by
the digest of their action, and blobs by their own::

    format.json
    ac/01/0123....json       what the action came to: paths and digests of its outputs
    cas/sha256/ab/abcd...    the outputs

Nothing in it says when, where or how fast it was made: the same results give the same bytes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain.actions.action_cache import (
    ActionCache,
    ActionResult,
    decode_result,
    encode_result,
)
from toolchain.actions.model import SOURCE_DATE_EPOCH
from toolchain.actions.store import Store
from toolchain.actions.tree import check_relative
from toolchain.digest import Digest
from toolchain.disk import space_checked
from toolchain.errors import CacheCorruptError, UsageError
from toolchain.files import remove_tree, write_atomically

FORMAT = b'{"schema": "tinyml-toolchain/step-cache/1"}\n'
_FORMAT_FILE = "format.json"
_LARGEST_RESULT_BYTES = 1 << 20

Say = Callable[[str], None]


class _RefusedError(Exception):
    """A result cannot be used; the text says why."""


@dataclass(frozen=True)
class Exchanged:
    """What an export or import came to.

    Attributes:
        results: results that were copied.
        known: results that were there already.
        refused: results that could not be used; each one was reported.
        copied_bytes: of the outputs that were copied.
    """

    results: int
    known: int
    refused: int
    copied_bytes: int


def export_results(
    actions: Path,
    store: Store,
    folder: Path,
    report: Say,
    chosen: Collection[Digest] | None = None,
) -> Exchanged:
    """Write results and their outputs to ``folder``.

    A new folder appears by rename when it is complete. To one that an export made before, what it
    lacks is added, each file by rename and a result after its outputs.

    Args:
        actions: folder of the action cache.
        store: has the outputs; each is checked while it is copied.
        folder: where to; missing, or made by an earlier export.
        report: called with a sentence for each result that is left out.
        chosen: the actions whose results are wanted; all when not given.

    Raises:
        UsageError: ``folder`` is something else.
        DiskFullError: there is no room.
        CacheCorruptError, OSError: it cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not _is_export(folder)):
        raise UsageError(
            f"{folder} is there already and no export of ours",
            next_step="name a folder that does not exist yet",
        )
    if folder.exists():
        return _write(actions, store, folder, report, chosen)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}-{os.urandom(4).hex()}")
    with space_checked(folder.parent):
        try:
            partial.mkdir(parents=True)
            done = _write(actions, store, partial, report, chosen)
            partial.rename(folder)
        finally:
            remove_tree(partial)
    return done


def _is_export(folder: Path) -> bool:
    try:
        return (folder / _FORMAT_FILE).read_bytes() == FORMAT
    except OSError:
        return False


def _write(
    actions: Path, store: Store, folder: Path, report: Say, chosen: Collection[Digest] | None
) -> Exchanged:
    results = known = refused = copied = 0
    target = Store(folder / "cas")
    wanted = None if chosen is None else {digest.sha256 for digest in chosen}
    for path in _entries(actions):
        if wanted is not None and path.stem not in wanted:
            continue
        action, result, problem = _read_entry(path)
        destination = folder / "ac" / path.parent.name / path.name
        if result is None:
            report(f"{path} was left out: {problem}")
            refused += 1
            continue
        data = encode_result(action, ActionResult(result.outputs, 0.0))
        lacking = [each for each in result.outputs.values() if not target.contains(each)]
        if not lacking and _holds(destination, data):
            known += 1
            continue
        problem = _unusable_output(store, lacking)
        if problem:
            report(f"{path} was left out: {problem}")
            refused += 1
            continue
        for digest in lacking:
            target.put_file(store.path(digest))
            copied += digest.size_bytes
        write_atomically(destination, data)
        os.utime(destination, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))
        results += 1
    if not _is_export(folder):
        write_atomically(folder / _FORMAT_FILE, FORMAT)
        os.utime(folder / _FORMAT_FILE, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))
    remove_tree(target.temporary)
    return Exchanged(results, known, refused, copied)


def _unusable_output(store: Store, outputs: Collection[Digest]) -> str:
    """Return which output the cache does not have; empty when it has all."""
    try:
        for digest in outputs:
            if not store.contains(digest):
                return f"its output {digest} is not in the cache"
    except CacheCorruptError as error:
        return error.what
    return ""


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def import_results(folder: Path, cache: ActionCache, store: Store, report: Say) -> Exchanged:
    """Take the results of an export into a cache.

    A result counts when it can be understood, is kept under its action's digest, and each of its
    outputs is a regular file with the size and sha256 that it names. What is not is refused, alone.
    A result that the cache has already stays as it is; where the two differ, that is reported.

    Args:
        folder: made by ``export_results``.
        cache: where results go.
        store: where outputs go.
        report: called with a sentence for each result that is refused.

    Raises:
        UsageError: ``folder`` is no export.
        DiskFullError: there is no room; what was taken so far is complete.
        CacheCorruptError: the cache cannot be written.
    """
    if not _is_export(folder):
        raise UsageError(
            f"{folder} is no export of a step cache",
            why=f"it has no {_FORMAT_FILE}, or one of another version",
            next_step="make one with ./invoke cache export FOLDER",
        )
    results = known = refused = copied = 0
    for path in _entries(folder / "ac"):
        action, result, problem = _read_entry(path)
        if result is None:
            report(f"{path} was refused: {problem}")
            refused += 1
            continue
        there = cache.get(action, None)
        if there is not None:
            known += 1
            if there.outputs != result.outputs:
                report(
                    f"{path} differs from what this cache has for the same action, which is kept: "
                    "the step does not give the same bytes everywhere"
                )
            continue
        try:
            copied += _take(folder / "cas", result, store)
        except (OSError, ValueError) as error:
            report(f"{path} was refused: {_reason(error)}")
            refused += 1
            continue
        cache.put(action, result)
        results += 1
    return Exchanged(results, known, refused, copied)


def _take(blobs: Path, result: ActionResult, store: Store) -> int:
    """Copy the outputs of a result; return how many bytes that were.

    Raises:
        ValueError: one is not what the result says.
        OSError: one cannot be read.
    """
    source, copied = Store(blobs), 0
    for output, digest in result.outputs.items():
        if store.contains(digest):
            continue
        path = source.path(digest)
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"its output {output} is no regular file")
        # Looked at first, so that no file fills the disk before it is found to be another one.
        if status.st_size != digest.size_bytes:
            raise ValueError(
                f"{path.name} has {status.st_size} bytes and should be {digest.size_bytes} long"
            )
        store.put_file(path, expected=digest)
        copied += digest.size_bytes
    return copied


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"its output {Path(str(error.filename)).name} is missing"
    if isinstance(error, OSError):
        return f"{error.filename}: {os.strerror(error.errno or 0)}"
    return str(error)


def _entries(folder: Path) -> Iterator[Path]:
    """Yield what may be results, in an order that depends on their names only."""
    for level in sorted(_children(folder)):
        if len(level.name) == 2 and not level.is_symlink():
            yield from sorted(path for path in _children(level) if not path.name.startswith("."))


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_entry(path: Path) -> tuple[Digest, ActionResult | None, str]:
    """Return the action, its result, and what is wrong where there is none."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _RefusedError("it is no regular file")
        if status.st_size > _LARGEST_RESULT_BYTES:
            raise _RefusedError("it is too long for a result")
        action, result = decode_result(path.read_bytes())
        for output in result.outputs:
            check_relative(output)
        if path.name != f"{action.sha256}.json" or path.parent.name != action.sha256[:2]:
            raise _RefusedError("it is the result of another action than its name says")
        if not result.outputs:
            raise _RefusedError("it has no outputs")
    except _RefusedError as error:
        problem = str(error)
    except OSError as error:
        problem = os.strerror(error.errno or 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Among them is what check_relative says of a path that leaves its folder.
        problem = "it cannot be understood"
    else:
        return action, result, ""
    return Digest(path.stem, 0), None, problem
