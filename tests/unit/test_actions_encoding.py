"""The hand-written encoding against the protobuf runtime."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from hypothesis import given
from hypothesis import strategies as st

from toolchain.actions.encoding import (
    encode_action,
    encode_command,
    encode_digest,
    encode_directory,
    encode_platform,
    encode_varint,
)
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

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "build.bazel.remote.execution.v2"

# Field numbers and types as in remote_execution.proto of the Remote Execution API v2, compared with
# the descriptor that the PyPI package buildgrid 0.4.4 carries. A name with a dot is a message's.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Digest": {"hash": (1, "string", False), "size_bytes": (2, "int64", False)},
    "Duration": {"seconds": (1, "int64", False), "nanos": (2, "int32", False)},
    "Pair": {"name": (1, "string", False), "value": (2, "string", False)},
    "Platform": {"properties": (1, ".Pair", True)},
    "Command": {
        "arguments": (1, "string", True),
        "environment_variables": (2, ".Pair", True),
        "output_files": (3, "string", True),
        "output_directories": (4, "string", True),
        "platform": (5, ".Platform", False),
        "working_directory": (6, "string", False),
        "output_paths": (7, "string", True),
        "output_node_properties": (8, "string", True),
    },
    "FileNode": {
        "name": (1, "string", False),
        "digest": (2, ".Digest", False),
        "is_executable": (4, "bool", False),
    },
    "DirectoryNode": {"name": (1, "string", False), "digest": (2, ".Digest", False)},
    "SymlinkNode": {"name": (1, "string", False), "target": (2, "string", False)},
    "Directory": {
        "files": (1, ".FileNode", True),
        "directories": (2, ".DirectoryNode", True),
        "symlinks": (3, ".SymlinkNode", True),
    },
    "Action": {
        "command_digest": (1, ".Digest", False),
        "input_root_digest": (2, ".Digest", False),
        "timeout": (6, ".Duration", False),
        "do_not_cache": (7, "bool", False),
        "salt": (9, "bytes", False),
        "platform": (10, ".Platform", False),
    },
}


def _make_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="remote_execution_test.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind, repeated) in fields.items():
            field = message.field.add(
                name=field_name,
                number=number,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
            )
            if kind.startswith("."):
                field.type = _FIELD.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}{kind}"
            else:
                field.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _make_classes()


def _digest(digest: Digest) -> Any:
    return _CLASSES["Digest"](hash=digest.sha256, size_bytes=digest.size_bytes)


def _pairs(pairs: dict[str, str]) -> list[Any]:
    return [_CLASSES["Pair"](name=name, value=pairs[name]) for name in sorted(pairs)]


def _wire(message: Any) -> bytes:
    encoded = message.SerializeToString(deterministic=True)
    assert isinstance(encoded, bytes)
    return encoded


_text = st.text(st.characters(codec="utf-8"), max_size=12)
_name = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
_pair_maps = st.dictionaries(_text, _text, max_size=5)
_digests = st.builds(
    Digest,
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1)),
)
_platforms = st.none() | st.builds(Platform, _pair_maps)


@given(_digests)
def test_digest(digest: Digest) -> None:
    assert encode_digest(digest) == _wire(_digest(digest))


@given(
    arguments=st.lists(_text, max_size=5),
    environment=_pair_maps,
    platform=_platforms,
    folder=_text,
    outputs=st.lists(_text, max_size=5),
)
def test_command(
    arguments: list[str],
    environment: dict[str, str],
    platform: Platform | None,
    folder: str,
    outputs: list[str],
) -> None:
    ours = encode_command(Command(tuple(arguments), environment, platform, folder, tuple(outputs)))
    theirs = _CLASSES["Command"](
        arguments=arguments,
        environment_variables=_pairs(environment),
        working_directory=folder,
        output_paths=sorted(set(outputs)),
    )
    if platform is not None:
        theirs.platform.SetInParent()
        theirs.platform.properties.extend(_pairs(dict(platform.properties)))
        assert encode_platform(platform) == _wire(theirs.platform)
    assert ours == _wire(theirs)


@given(
    command=_digests,
    root=_digests,
    seconds=st.none() | st.integers(0, 1 << 40),
    do_not_cache=st.booleans(),
    salt=st.binary(max_size=200),
    platform=_platforms,
)
def test_action(
    command: Digest,
    root: Digest,
    seconds: int | None,
    do_not_cache: bool,
    salt: bytes,
    platform: Platform | None,
) -> None:
    ours = encode_action(Action(command, root, seconds, do_not_cache, salt, platform))
    theirs = _CLASSES["Action"](
        command_digest=_digest(command),
        input_root_digest=_digest(root),
        do_not_cache=do_not_cache,
        salt=salt,
    )
    if seconds is not None:
        theirs.timeout.SetInParent()
        theirs.timeout.seconds = seconds
    if platform is not None:
        theirs.platform.SetInParent()
        theirs.platform.properties.extend(_pairs(dict(platform.properties)))
    assert ours == _wire(theirs)


@given(
    names=st.lists(_name, unique=True, max_size=9),
    digest=_digests,
    executable=st.booleans(),
    target=_text,
)
def test_directory(names: list[str], digest: Digest, executable: bool, target: str) -> None:
    files, folders, links = names[0::3], names[1::3], names[2::3]
    ours = encode_directory(
        Directory(
            tuple(FileNode(name, digest, executable) for name in files),
            tuple(DirectoryNode(name, digest) for name in folders),
            tuple(SymlinkNode(name, target) for name in links),
        )
    )
    theirs = _CLASSES["Directory"](
        files=[
            {"name": name, "digest": _digest(digest), "is_executable": executable}
            for name in sorted(files)
        ],
        directories=[{"name": name, "digest": _digest(digest)} for name in sorted(folders)],
        symlinks=[{"name": name, "target": target} for name in sorted(links)],
    )
    assert ours == _wire(theirs)


def test_names_sort_as_their_bytes_do() -> None:
    # U+FF5E sorts before U+1F600 by code point and in UTF-8, but after it in UTF-16.
    names = ["\U0001f600", "\uff5e", "a"]
    nodes = tuple(FileNode(name, Digest.of_bytes(b"")) for name in names)
    encoded = encode_directory(Directory(nodes))
    positions = [encoded.index(name.encode()) for name in sorted(names, key=str.encode)]
    assert positions == sorted(positions)


def test_an_empty_directory_is_the_empty_blob() -> None:
    assert encode_directory(Directory()) == b""


def test_two_entries_of_one_name_are_refused() -> None:
    digest = Digest.of_bytes(b"")
    with pytest.raises(ValueError, match="same name"):
        encode_directory(Directory((FileNode("a", digest),), (DirectoryNode("a", digest),)))


@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_numbers_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="cannot be encoded"):
        encode_varint(value)
