"""Content-addressed store: blobs in a folder, each named by its sha256.

A blob appears by rename, so that a reader sees all of it or nothing, and two writers of the same
blob do not disturb each other. Nothing is synced to the disk: whatever a power cut leaves behind is
found by its digest when it is read, which is every time, and is then made again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.actions.model import SOURCE_DATE_EPOCH
from toolchain.digest import Digest
from toolchain.disk import space_checked
from toolchain.errors import CacheCorruptError

_CHUNK_BYTES = 1 << 20
_READ_ONLY = 0o444
_READ_ONLY_EXECUTABLE = 0o555
_STALE_SECONDS = 24 * 3600
_LINK_REFUSALS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP}
)

_LINK_ATTEMPTS = 5


def _say_nothing(_text: str) -> None:
    pass


class Store:
    """Blobs by digest.

    Args:
        folder: where the blobs are; made when the first one is put.
        report: called with one sentence when a corrupt blob was found and removed.

    Attributes:
        temporary: where blobs are written before they get their names.
        written_bytes: how much was added through this object; what was added twice at once, twice.
    """

    def __init__(self, folder: Path, report: Callable[[str], None] = _say_nothing) -> None:
        self._folder = folder
        self.temporary = folder / "tmp"
        self.written_bytes = 0
        self._report = report
        self._ready = False

    def path(self, digest: Digest) -> Path:
        """Return where the blob is, or would be; its content is not checked."""
        return self._folder / "sha256" / digest.sha256[:2] / digest.sha256

    def contains(self, digest: Digest) -> bool:
        """Return whether the blob is there and is what its digest says.

        A corrupt one is removed and reported, and counts as missing.

        Raises:
            CacheCorruptError: a corrupt one cannot be removed.
        """
        path = self.path(digest)
        try:
            if self._holds(path, digest):
                return True
            self._discard(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unusable(path, error) from error
        self._report(f"{path} was not what its name says; it was removed and will be made again")
        return False

    def get(self, digest: Digest) -> bytes:
        """Return the blob, checked.

        Raises:
            CacheCorruptError: it is missing, or was corrupt and is therefore removed.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise _lost(path) from error
        except OSError as error:
            raise _unusable(path, error) from error
        if Digest.of_bytes(data) != digest:
            self.contains(digest)
            raise _lost(path)
        return data

    def put_bytes(self, data: bytes) -> Digest:
        """Keep ``data`` and return its digest.

        Raises:
            DiskFullError: there is no room.
            CacheCorruptError: the store cannot be written.
        """
        digest = Digest.of_bytes(data)
        if not self.contains(digest):
            with self._writing():
                temporary = self._new_name()
                try:
                    temporary.write_bytes(data)
                    self._install(temporary, digest)
                finally:
                    temporary.unlink(missing_ok=True)
        return digest

    @contextmanager
    def scratch_file(self) -> Iterator[Path]:
        """Yield the path of a file to write, which is removed after the block.

        Raises:
            DiskFullError: there is no room.
            CacheCorruptError: the store cannot be written.
        """
        with self._writing():
            path = self._new_name()
        with space_checked(self._folder):
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    def put_file(
        self, source: Path, *, take: bool = False, expected: Digest | None = None
    ) -> Digest:
        """Keep the content of the regular file ``source`` and return its digest.

        Args:
            source: a file of the host.
            take: the file is the caller's scratch and may be moved away instead of being copied.
            expected: what the content must be; checked before the blob gets its name.

        Raises:
            OSError: ``source`` cannot be opened.
            ValueError: it is not what was expected; nothing is kept.
            DiskFullError: there is no room.
            CacheCorruptError: the store cannot be written.
        """
        if take:
            digest = Digest.of_file(source)
            if self.contains(digest):
                return digest
            with self._writing():
                if self._try_to_move(source, digest):
                    return digest
        with source.open("rb") as stream, self._writing():
            temporary = self._new_name()
            hasher = hashlib.sha256()
            size = 0
            try:
                with temporary.open("xb") as target:
                    while chunk := stream.read(_CHUNK_BYTES):
                        hasher.update(chunk)
                        target.write(chunk)
                        size += len(chunk)
                digest = Digest(hasher.hexdigest(), size)
                if expected is not None and digest != expected:
                    raise ValueError(f"{source.name} is {digest} and should be {expected}")
                if not self.contains(digest):
                    self._install(temporary, digest)
            finally:
                temporary.unlink(missing_ok=True)
        return digest

    def lay_out(self, digest: Digest, destination: Path, *, is_executable: bool = False) -> None:
        """Make ``destination`` a read-only file with the blob's content, sharing its disk blocks.

        An executable file is a copy, because a hard link shares the mode too.

        Raises:
            CacheCorruptError: the blob is missing or corrupt.
            DiskFullError: there is no room.
        """
        for _ in range(_LINK_ATTEMPTS):
            if not self.contains(digest):
                raise _lost(self.path(digest))
            if is_executable:
                break
            try:
                os.link(self.path(digest), destination)
            except FileNotFoundError:
                # Somebody put the blob there anew since it was checked.
                continue
            except OSError as error:
                if error.errno not in _LINK_REFUSALS:
                    raise
                break
            else:
                return
        else:
            raise _lost(self.path(digest))
        with space_checked(destination.parent):
            try:
                shutil.copyfile(self.path(digest), destination)
                _normalise(destination, _READ_ONLY_EXECUTABLE if is_executable else _READ_ONLY)
            except BaseException:
                destination.unlink(missing_ok=True)
                raise

    def copy_to(self, digest: Digest, destination: Path) -> None:
        """Write the blob, checked on the way, to the new file ``destination``.

        The copy has the mode that the user's umask gives, and is on the disk when this returns.

        Raises:
            CacheCorruptError: the blob is missing or corrupt; no file is left.
            DiskFullError: there is no room; no file is left.
        """
        path = self.path(digest)
        try:
            stream = path.open("rb")
        except FileNotFoundError as error:
            raise _lost(path) from error
        except OSError as error:
            raise _unusable(path, error) from error
        hasher = hashlib.sha256()
        finished = False
        with stream, space_checked(destination.parent):
            try:
                with destination.open("xb") as target:
                    while chunk := stream.read(_CHUNK_BYTES):
                        hasher.update(chunk)
                        target.write(chunk)
                    target.flush()
                    os.fsync(target.fileno())
                finished = hasher.hexdigest() == digest.sha256
            finally:
                if not finished:
                    destination.unlink(missing_ok=True)
        if not finished:
            self.contains(digest)
            raise _lost(path)

    @staticmethod
    def _holds(path: Path, digest: Digest) -> bool:
        status = path.lstat()
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_size == digest.size_bytes
            and Digest.of_file(path) == digest
        )

    @staticmethod
    def _discard(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with space_checked(self._folder):
                self._make_ready()
                yield
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _new_name(self) -> Path:
        return self.temporary / f"{os.getpid()}-{os.urandom(8).hex()}"

    def _make_ready(self) -> None:
        # Also removes what writers that were killed left a day ago or earlier. A clock that jumps
        # must not take a file from a writer that is alive.
        if self._ready:
            return
        self.temporary.mkdir(parents=True, exist_ok=True)
        stale = time.time() - _STALE_SECONDS
        for path in self.temporary.iterdir():
            try:
                # Not the modification time, which is normalised just before the rename.
                if path.lstat().st_ctime < stale and not _is_alive(path.name.partition("-")[0]):
                    path.unlink()
            except FileNotFoundError:
                continue
        self._ready = True

    def _try_to_move(self, source: Path, digest: Digest) -> bool:
        temporary = self._new_name()
        try:
            source.rename(temporary)
        except OSError as error:
            if error.errno in _LINK_REFUSALS:
                return False
            raise
        try:
            status = temporary.lstat()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(temporary, os.geteuid(), os.getegid())
            self._install(temporary, digest)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _install(self, temporary: Path, digest: Digest) -> None:
        path = self.path(digest)
        _normalise(temporary, _READ_ONLY)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = temporary.stat().st_size
        try:
            # Not a rename: it would take the blob from under a link that is being made of it.
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in _LINK_REFUSALS:
                raise
            temporary.rename(path)
        self.written_bytes += size


def _is_alive(process: str) -> bool:
    # Where another user has the number now, and we may not ask, the file waits for another day.
    return process.isdecimal() and Path("/proc", process).exists()


def _normalise(path: Path, mode: int) -> None:
    path.chmod(mode)
    os.utime(path, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))


def _unusable(path: Path, error: OSError) -> CacheCorruptError:
    return CacheCorruptError(
        f"the cache cannot be used at {path}: {os.strerror(error.errno or 0)}",
        next_step="make it readable and writable, or remove it: everything in it can be made again",
    )


def _lost(path: Path) -> CacheCorruptError:
    return CacheCorruptError(
        f"{path} is not what its name says, or has gone",
        why="something beside the toolchain changed the cache, or the disk did",
        next_step="run the command again: what is missing is made again",
    )
