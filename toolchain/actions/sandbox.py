"""The host's side of a sandbox: a scratch folder with the input tree and a place for outputs.

Each folder has a lock file beside it that its process holds (``flock``) for as long as it lives. A
folder whose lock is free was left behind by a process that was killed, and may be removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType

from toolchain.actions.action import PreparedAction
from toolchain.actions.model import SOURCE_DATE_EPOCH
from toolchain.actions.store import Store
from toolchain.actions.tree import InputTree, TreeFile
from toolchain.digest import Digest
from toolchain.disk import MINIMUM_FREE_BYTES, require_space, space_checked
from toolchain.errors import StepFailedError
from toolchain.files import remove_tree
from toolchain.flock import is_still, try_exclusive

_FOLDER_MODE = 0o555
_LOCK_SUFFIX = ".lock"


@dataclass(frozen=True)
class Owner:
    """The user that the command runs as: numbers of user and group, as the kernel knows them."""

    uid: int
    gid: int


class Sandbox:
    """A scratch folder, removed at the end of its ``with`` block.

    Attributes:
        identity: unique name.
        folder: holds everything below.
        project: the input tree.
        out: empty, writable by the command only.
        log: where the command's output goes.
    """

    def __init__(self, parent: Path) -> None:
        """Make the folder.

        Args:
            parent: folder of all sandboxes.

        Raises:
            DiskFullError: there is no room.
            OSError: it cannot be made.
        """
        with space_checked(parent):
            parent.mkdir(parents=True, exist_ok=True)
            self.identity, self._lock = _locked_name(parent)
            self.folder = parent / self.identity
            self.project = self.folder / "project"
            self.out = self.folder / "out"
            self.log = self.folder / "log"
            try:
                self.folder.mkdir(mode=0o700)
                self.out.mkdir(mode=0o700)
            except BaseException:
                self.remove()
                raise

    def __enter__(self) -> Sandbox:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove everything."""
        self.remove()

    def lay_out(self, tree: InputTree, store: Store, owner: Owner) -> None:
        """Put ``tree`` into ``project``, and give ``out`` to ``owner``.

        Every file goes through the store, whose blobs carry normalised modes and times.

        Raises:
            StepFailedError: a file of the host changed since it was read.
            CacheCorruptError: a blob is missing or corrupt.
            DiskFullError: there is no room.
        """
        needed = sum(file.digest.size_bytes for file in tree.files.values())
        require_space([self.folder], needed + MINIMUM_FREE_BYTES, "the step")
        with space_checked(self.folder):
            if (os.geteuid(), os.getegid()) != (owner.uid, owner.gid):
                os.chown(self.out, owner.uid, owner.gid)
            folders = {self.project}
            for path, file in tree.files.items():
                fill_store(path, file, store)
                target = self.project / path
                folders.update(self.project / parent for parent in path.parents)
                target.parent.mkdir(parents=True, exist_ok=True)
                store.lay_out(file.digest, target, is_executable=file.is_executable)
            for folder in sorted(folders, reverse=True):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(_FOLDER_MODE)
                os.utime(folder, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))

    def collect(self, action: PreparedAction, store: Store) -> Mapping[PurePosixPath, Digest]:
        """Move the declared outputs into ``store``; whatever else was written is left.

        To be called when no process of the command is alive any more.

        Raises:
            StepFailedError: an output is missing, or is not a regular file under real folders.
            DiskFullError: there is no room.
        """
        name, outputs = action.step.name, sorted(action.step.outputs)
        for path in outputs:
            self._check_output(name, path)
        return {path: store.put_file(self.out / path, take=True) for path in outputs}

    def _check_output(self, name: str, output: PurePosixPath) -> None:
        place = self.out
        for position, part in enumerate(output.parts, start=1):
            place /= part
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise StepFailedError(
                    f"step '{name}' did not make its output {output}",
                    why="its command ended without an error, but the file is not there",
                    next_step="this is a mistake of the toolchain: please report it",
                ) from None
            last = position == len(output.parts)
            if not (stat.S_ISREG(mode) if last else stat.S_ISDIR(mode)):
                raise StepFailedError(
                    f"step '{name}' made its output {output} as something else than a regular file",
                    why=f"/out/{place.relative_to(self.out)} is {_kind(mode)}, which is refused",
                    next_step="this is a mistake of the toolchain: please report it",
                )

    def remove(self) -> None:
        """Remove the folder and its lock; may be called again."""
        remove_tree(self.folder)
        if self._lock >= 0:
            self.folder.with_name(self.identity + _LOCK_SUFFIX).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def fill_store(path: PurePosixPath, file: TreeFile, store: Store) -> None:
    """Put the content of an input into the store.

    Raises:
        StepFailedError: a file of the host changed since it was read, or cannot be read.
        DiskFullError: there is no room.
    """
    if file.source is None:
        return
    if isinstance(file.source, bytes):
        store.put_bytes(file.source)
        return
    try:
        digest = store.put_file(file.source)
    except OSError as error:
        raise StepFailedError(
            f"{file.source} cannot be read: {os.strerror(error.errno or 0)}",
            next_step="put the file back or make it readable, and run the command again",
        ) from error
    if digest != file.digest:
        raise StepFailedError(
            f"{file.source} changed while the command ran",
            why=f"it is the input {path} of a step, whose key is made of its former content",
            next_step="run the command again",
        )


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISREG, "a file"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for is_kind, text in kinds if is_kind(mode)), "a device")


def _locked_name(parent: Path) -> tuple[str, int]:
    while True:
        identity = f"{os.getpid()}-{os.urandom(6).hex()}"
        descriptor = _try_lock(parent / (identity + _LOCK_SUFFIX), create=True)
        if descriptor is not None:
            return identity, descriptor


def _try_lock(path: Path, *, create: bool) -> int | None:
    """Return a descriptor that holds the lock, or ``None`` when another process has it."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        # A sweep may have taken the new file for a dead one and removed it.
        if try_exclusive(descriptor) and is_still(path, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def remove_abandoned(parent: Path, before_removal: Callable[[str], None]) -> tuple[str, ...]:
    """Remove the sandboxes of processes that were killed.

    Args:
        parent: folder of all sandboxes.
        before_removal: called with each one's identity, to end what still uses it.

    Returns:
        Their identities.

    Raises:
        OSError: one cannot be removed.
    """
    removed: list[str] = []
    for identity in sorted(_identities(parent)):
        lock = parent / (identity + _LOCK_SUFFIX)
        try:
            descriptor = _try_lock(lock, create=False)
        except FileNotFoundError:
            # Made and removed in the meantime, or its lock went first.
            descriptor = -1
        if descriptor is None:
            continue
        try:
            before_removal(identity)
            remove_tree(parent / identity)
            lock.unlink(missing_ok=True)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        removed.append(identity)
    return tuple(removed)


def _identities(parent: Path) -> Iterable[str]:
    try:
        return {path.name.removesuffix(_LOCK_SUFFIX) for path in parent.iterdir()}
    except FileNotFoundError:
        return ()
