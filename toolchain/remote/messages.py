"""Between this library's types and the generated classes of the Remote Execution API v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from buildgrid.common.protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api

from toolchain.actions.action_cache import ActionResult
from toolchain.actions.model import Maker
from toolchain.digest import Digest


class UnusableResultError(ValueError):
    """A remote result is not what its action asks for; the text says why."""


def to_digest(message: api.Digest) -> Digest:
    """Return the digest that a message names.

    Raises:
        UnusableResultError: it is not one of sha256.
    """
    text, size = message.hash, message.size_bytes
    if len(text) != 64 or not set(text) <= set("0123456789abcdef") or size < 0:
        raise UnusableResultError(f"{text[:80]!r}/{size} is no digest")
    return Digest(text, size)


def from_digest(digest: Digest) -> api.Digest:
    """Return the message that names a digest."""
    return api.Digest(hash=digest.sha256, size_bytes=digest.size_bytes)


def to_outputs(
    result: api.ActionResult, wanted: Iterable[PurePosixPath]
) -> Mapping[PurePosixPath, Digest]:
    """Return the outputs of a result that came from a service.

    Raises:
        UnusableResultError: they are not the ``wanted`` ones, each a file.
    """
    if result.exit_code != 0:
        raise UnusableResultError(f"it failed with exit code {result.exit_code}")
    outputs = {PurePosixPath(file.path): to_digest(file.digest) for file in result.output_files}
    expected = set(wanted)
    if set(outputs) != expected or len(outputs) != len(result.output_files):
        found = ", ".join(sorted(map(str, outputs))[:5]) or "none"
        raise UnusableResultError(
            f"it has other outputs than the step ({found} instead of "
            f"{', '.join(sorted(map(str, expected))[:5])})"
        )
    return outputs


def seconds_of(result: api.ActionResult) -> float:
    """Return how long the command ran, in seconds; 0 where that is not told."""
    told = result.execution_metadata
    if not (told.HasField("execution_start_timestamp")) or not told.HasField(
        "execution_completed_timestamp"
    ):
        return 0.0
    started, ended = told.execution_start_timestamp, told.execution_completed_timestamp
    return max(0.0, float(ended.ToNanoseconds() - started.ToNanoseconds()) / 1e9)


def to_result(
    message: api.ActionResult, outputs: Mapping[PurePosixPath, Digest], server: str
) -> ActionResult:
    """Return what is kept of a remote result.

    Only results of sandboxes with pinned images are offered to services by this toolchain.
    """
    return ActionResult(
        outputs,
        seconds_of(message),
        Maker(
            "docker",
            isolated=True,
            pinned=True,
            server=server,
            worker=_name(message.execution_metadata.worker),
        ),
    )


def _name(text: str) -> str:
    """Return a worker's name as harmless text: it goes into messages and documents."""
    return "".join(c for c in text[:100] if c.isascii() and (c.isalnum() or c in "._-@:/"))


def from_result(result: ActionResult, worker: str) -> api.ActionResult:
    """Return the message of a result."""
    message = api.ActionResult(
        output_files=[
            api.OutputFile(path=str(path), digest=from_digest(digest))
            for path, digest in sorted(result.outputs.items())
        ]
    )
    message.execution_metadata.worker = worker
    # Only the difference is told: when it was made would be told of a machine to others.
    message.execution_metadata.execution_start_timestamp.FromNanoseconds(0)
    message.execution_metadata.execution_completed_timestamp.FromNanoseconds(
        int(result.seconds * 1e9)
    )
    return message
