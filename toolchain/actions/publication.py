"""Puts finished files where the user looks for them, all at once."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from toolchain.actions.store import Store
from toolchain.actions.tree import check_relative
from toolchain.digest import Digest
from toolchain.disk import space_checked
from toolchain.errors import ToolchainError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def publish(
    store: Store,
    files: Mapping[PurePosixPath, Digest],
    folder: Path,
    *,
    reports: Collection[PurePosixPath] = (),
) -> bool:
    """Make ``folder`` hold exactly ``files``, and ``reports`` about them if there are any.

    The files are written into a sibling, synced to the disk, and the sibling takes the folder's
    place in one rename. Where the system can exchange two folders (Linux) there is no moment
    without the folder; elsewhere there is a short one. A process that is killed leaves the old
    folder or the new one, and perhaps a sibling that the next publication removes. When the folder
    holds the files already, nothing is written.

    Args:
        store: holds the blobs.
        files: content by path relative to the folder.
        folder: what to replace; its parents are made.
        reports: files that others write into the folder about what is in it: they stay while
            ``files`` are there already, and go when the folder is replaced.

    Returns:
        Whether anything was written.

    Raises:
        CacheCorruptError: a blob is missing or corrupt.
        DiskFullError: there is no room; the folder is as it was.
        StepGraphError: a path that leaves the folder.
        ToolchainError: the folder may not be written.
    """
    for path in files:
        check_relative(path)
    if _holds_exactly(folder, files, frozenset(reports)):
        return False
    try:
        with space_checked(folder.parent):
            _replace(store, files, folder)
    except OSError as error:
        raise ToolchainError(
            f"{folder} cannot be written: {os.strerror(error.errno or 0)}",
            why="it, or something in it, may belong to another user",
            next_step=f"make {folder.parent} and what is in it writable for you",
        ) from error
    return True


def _replace(store: Store, files: Mapping[PurePosixPath, Digest], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    sibling = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        sibling.mkdir()
        for path in sorted(files):
            target = sibling / path
            target.parent.mkdir(parents=True, exist_ok=True)
            store.copy_to(files[path], target)
        _take_the_place(sibling, folder)
    finally:
        _remove(sibling)


def _holds_exactly(
    folder: Path, files: Mapping[PurePosixPath, Digest], reports: frozenset[PurePosixPath]
) -> bool:
    expected_folders = {parent for path in {*files, *reports} for parent in path.parents}
    found: set[PurePosixPath] = set()
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return False
        waiting = [(folder, PurePosixPath())]
        while waiting:
            place, relative = waiting.pop()
            with os.scandir(place) as entries:
                for entry in entries:
                    path = relative / entry.name
                    if entry.is_dir(follow_symlinks=False) and path in expected_folders:
                        waiting.append((place / entry.name, path))
                    elif (
                        path in files
                        and entry.is_file(follow_symlinks=False)
                        and entry.stat(follow_symlinks=False).st_size == files[path].size_bytes
                    ):
                        found.add(path)
                    elif path in reports and entry.is_file(follow_symlinks=False):
                        continue
                    else:
                        return False
        return found == set(files) and all(
            Digest.of_file(folder / path) == digest for path, digest in files.items()
        )
    except OSError:
        return False


def _take_the_place(sibling: Path, folder: Path) -> None:
    if not os.path.lexists(folder):
        sibling.rename(folder)
    elif not _exchange(sibling, folder):
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        folder.rename(old)
        try:
            sibling.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        _remove(old)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    import ctypes  # costs 9 ms, and most builds publish nothing

    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    if not function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _remove_leftovers(folder: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)\.(?:new|old)")
    for path in folder.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            _remove(path)


def _is_running(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
