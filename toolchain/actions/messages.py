"""The messages of the Remote Execution API v2 that make up an action.

Names, fields and meaning are those of ``build.bazel.remote.execution.v2``; fields that nothing here
sets are left out. ``encoding.py`` writes them in their canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolchain.digest import Digest


@dataclass(frozen=True)
class Platform:
    """Requirements on the place of execution, by name."""

    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """What is executed.

    Attributes:
        working_directory: relative to the input root; empty for the root itself.
        output_paths: what is collected afterwards.
    """

    arguments: tuple[str, ...]
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    working_directory: str = ""
    output_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileNode:
    """A file in a directory."""

    name: str
    digest: Digest
    is_executable: bool = False


@dataclass(frozen=True)
class DirectoryNode:
    """A directory in a directory, by the digest of its encoded ``Directory``."""

    name: str
    digest: Digest


@dataclass(frozen=True)
class SymlinkNode:
    """A symbolic link in a directory."""

    name: str
    target: str


@dataclass(frozen=True)
class Directory:
    """One level of an input tree."""

    files: tuple[FileNode, ...] = ()
    directories: tuple[DirectoryNode, ...] = ()
    symlinks: tuple[SymlinkNode, ...] = ()


@dataclass(frozen=True)
class Action:
    """A command over an input tree; the digest of its encoding is the action's key.

    Attributes:
        timeout_seconds: whole seconds; ``None`` for no limit.
        salt: distinguishes actions that are otherwise equal.
    """

    command_digest: Digest
    input_root_digest: Digest
    timeout_seconds: int | None = None
    do_not_cache: bool = False
    salt: bytes = b""
    platform: Platform | None = None
