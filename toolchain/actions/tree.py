"""Input trees: files by path, as a Merkle tree of ``Directory`` messages.

A tree has no owner, time or absolute path in it, so its digest depends on names, contents and
executable bits only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from toolchain.actions.encoding import encode_directory
from toolchain.actions.messages import Directory, DirectoryNode, FileNode
from toolchain.actions.model import StepGraphError
from toolchain.digest import Digest
from toolchain.errors import StepFailedError


@dataclass(frozen=True)
class TreeFile:
    """A file of a tree.

    Attributes:
        source: where the content comes from: a file of the host, the content itself, or ``None``
            when it is in the store already.
    """

    digest: Digest
    is_executable: bool
    source: Path | bytes | None


@dataclass(frozen=True)
class InputTree:
    """A tree and its encoding.

    Attributes:
        root: digest of the root ``Directory``.
        files: every file by its path relative to the root.
        directories: the encoded ``Directory`` messages by their digests, the root's included.
    """

    root: Digest
    files: Mapping[PurePosixPath, TreeFile]
    directories: Mapping[Digest, bytes]


@dataclass
class _Level:
    files: dict[str, TreeFile] = field(default_factory=dict)
    levels: dict[str, _Level] = field(default_factory=dict)


def check_relative(path: PurePosixPath) -> None:
    """Refuse a path that could name something outside its folder.

    Raises:
        StepGraphError: absolute, empty, with ``..`` or a NUL, or not encodable as UTF-8.
    """
    text = str(path)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in text:
        raise StepGraphError(f"'{text}' is not a relative path inside its folder")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StepGraphError(f"{text!r} is not UTF-8") from error


def _tree_file(path: PurePosixPath, source: Path | bytes | Digest) -> TreeFile:
    if isinstance(source, Digest):
        return TreeFile(source, is_executable=False, source=None)
    if isinstance(source, bytes):
        return TreeFile(Digest.of_bytes(source), is_executable=False, source=source)
    try:
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StepFailedError(
                f"{source} is not a regular file",
                why=f"a step needs it as its input {path}",
                next_step="put a file in its place",
            )
        digest = Digest.of_file(source)
    except OSError as error:
        raise StepFailedError(
            f"{source} cannot be read: {os.strerror(error.errno or 0)}",
            why=f"a step needs it as its input {path}",
            next_step="put the file back or make it readable",
        ) from error
    return TreeFile(digest, bool(status.st_mode & stat.S_IXUSR), source)


def build_tree(inputs: Mapping[PurePosixPath, Path | bytes | Digest]) -> InputTree:
    """Return the tree of ``inputs``; nothing is written.

    Args:
        inputs: content by path relative to the root. A ``Path`` is read, through a symbolic link
            if it is one, and passes its executable bit on; a ``Digest`` is a blob of the store.

    Raises:
        StepGraphError: a path that leaves the root, or that is a file and a folder at once.
        StepFailedError: a file of the host is missing, unreadable or not regular.
    """
    root = _Level()
    files: dict[PurePosixPath, TreeFile] = {}
    # Sorted, a file always comes before what would have to lie in it.
    for path in sorted(inputs):
        check_relative(path)
        level = root
        for part in path.parts[:-1]:
            if part in level.files:
                raise StepGraphError(f"'{path}': '{part}' is a file and a folder at once")
            level = level.levels.setdefault(part, _Level())
        level.files[path.name] = files[path] = _tree_file(path, inputs[path])
    directories: dict[Digest, bytes] = {}
    return InputTree(_encode(root, directories), files, directories)


def _encode(level: _Level, directories: dict[Digest, bytes]) -> Digest:
    encoded = encode_directory(
        Directory(
            files=tuple(
                FileNode(name, file.digest, file.is_executable)
                for name, file in level.files.items()
            ),
            directories=tuple(
                DirectoryNode(name, _encode(inner, directories))
                for name, inner in level.levels.items()
            ),
        )
    )
    digest = Digest.of_bytes(encoded)
    directories[digest] = encoded
    return digest
