"""Files: written complete or not at all, and removed whatever their modes are."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.disk import space_checked


def write_atomically(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``: a reader sees the old content or the new one.

    Raises:
        DiskFullError: there is no room.
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    with space_checked(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` and all in it, whatever its modes are; nothing happens if it is not there.

    Symbolic links are removed, never followed, nor is ``folder`` if it is one.

    Raises:
        OSError: something in it belongs to another user, or ``folder`` is a file.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        folder.chmod(0o700)
    except FileNotFoundError:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_tree(folder / entry.name)
            else:
                (folder / entry.name).unlink()
    folder.rmdir()
