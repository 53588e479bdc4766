"""Canonical protobuf encoding of the Remote Execution API v2 messages.

The wire form is written by hand: it is small, it is the identity of every cached result, and a
build with nothing to do need not load a protobuf runtime. Canonical means what the API asks of
clients: fields in the order of their numbers, defaults left out, repeated entries sorted by name.

Field numbers: ``remote_execution.proto`` of the Remote Execution API v2, and ``duration.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toolchain.actions.messages import (
    Action,
    Command,
    Directory,
    DirectoryNode,
    FileNode,
    Platform,
    SymlinkNode,
)
from toolchain.digest import Digest

_VARINT = 0
_LENGTH_DELIMITED = 2
_INT64_LIMIT = 1 << 63


def encode_varint(value: int) -> bytes:
    """Return ``value``, 0 to 2**63 - 1, as a base-128 varint.

    Raises:
        ValueError: out of that range; a negative length or duration is always a mistake.
    """
    if not 0 <= value < _INT64_LIMIT:
        raise ValueError(f"{value} cannot be encoded: it must be at least 0 and below 2**63")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _length_delimited(number: int, payload: bytes) -> bytes:
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(len(payload)) + payload


def _string(number: int, text: str) -> bytes:
    return _length_delimited(number, text.encode()) if text else b""


def _strings(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(_length_delimited(number, text.encode()) for text in texts)


def _integer(number: int, value: int) -> bytes:
    return encode_varint(number << 3 | _VARINT) + encode_varint(value) if value else b""


def _names_and_values(number: int, pairs: Mapping[str, str]) -> bytes:
    return b"".join(
        _length_delimited(number, _string(1, name) + _string(2, pairs[name]))
        for name in sorted(pairs)
    )


def encode_digest(digest: Digest) -> bytes:
    """Return the encoded ``Digest``."""
    return _string(1, digest.sha256) + _integer(2, digest.size_bytes)


def encode_platform(platform: Platform) -> bytes:
    """Return the encoded ``Platform``."""
    return _names_and_values(1, platform.properties)


def encode_command(command: Command) -> bytes:
    """Return the encoded ``Command``, its output paths sorted and without repetition."""
    platform = command.platform
    return b"".join(
        (
            _strings(1, command.arguments),
            _names_and_values(2, command.environment_variables),
            b"" if platform is None else _length_delimited(5, encode_platform(platform)),
            _string(6, command.working_directory),
            _strings(7, sorted(set(command.output_paths))),
        )
    )


def encode_action(action: Action) -> bytes:
    """Return the encoded ``Action``."""
    seconds, platform = action.timeout_seconds, action.platform
    return b"".join(
        (
            _length_delimited(1, encode_digest(action.command_digest)),
            _length_delimited(2, encode_digest(action.input_root_digest)),
            b"" if seconds is None else _length_delimited(6, _integer(1, seconds)),
            _integer(7, action.do_not_cache),
            _length_delimited(9, action.salt) if action.salt else b"",
            b"" if platform is None else _length_delimited(10, encode_platform(platform)),
        )
    )


def _file(node: FileNode) -> bytes:
    return (
        _string(1, node.name)
        + _length_delimited(2, encode_digest(node.digest))
        + _integer(4, node.is_executable)
    )


def _directory(node: DirectoryNode) -> bytes:
    return _string(1, node.name) + _length_delimited(2, encode_digest(node.digest))


def _symlink(node: SymlinkNode) -> bytes:
    return _string(1, node.name) + _string(2, node.target)


def encode_directory(directory: Directory) -> bytes:
    """Return the encoded ``Directory``.

    Raises:
        ValueError: two entries have the same name.
    """
    names = [
        *(node.name for node in directory.files),
        *(node.name for node in directory.directories),
        *(node.name for node in directory.symlinks),
    ]
    if len(set(names)) != len(names):
        raise ValueError("two entries of a directory have the same name")
    files = sorted(directory.files, key=lambda node: node.name)
    directories = sorted(directory.directories, key=lambda node: node.name)
    symlinks = sorted(directory.symlinks, key=lambda node: node.name)
    return b"".join(
        (
            *(_length_delimited(1, _file(node)) for node in files),
            *(_length_delimited(2, _directory(node)) for node in directories),
            *(_length_delimited(3, _symlink(node)) for node in symlinks),
        )
    )
