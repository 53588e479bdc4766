"""Builds, simulates, verifies, and packs what came out into a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from toolchain.actions import publish
from toolchain.boards import Board
from toolchain.commands.assembly import assemble
from toolchain.digest import Digest
from toolchain.errors import UsageError
from toolchain.models import Model
from toolchain.remote.settings import RemoteChoice
from toolchain.session import EngineChoice, Session, chosen_engine


@dataclass(frozen=True)
class Packaged:
    """A published release.

    Attributes:
        folder: what holds it, and nothing else.
        files: digests by the file's name.
    """

    version: str
    folder: Path
    files: Mapping[str, Digest]


def release_engine(name: str, remote: RemoteChoice | None = None) -> EngineChoice:
    """Return what the steps of a release run in: Docker, whatever else there is.

    Args:
        name: as ``--engine`` has it.
        remote: services that are used too; what the environment says when not given.

    Raises:
        UsageError: it is another one.
    """
    chosen = chosen_engine(name, remote=remote)
    if chosen.name == "host":
        raise UsageError(
            "a release is not made with --engine host",
            why="its provenance says that every step ran in a pinned image, without network; on "
            "this machine's own tools that is not so",
            next_step="leave --engine out where Docker can be had; elsewhere ./invoke build and "
            "./invoke verify take --engine host, and ./invoke verify-release needs no engine",
        )
    return replace(chosen, name="docker")


def package(session: Session, boards: Sequence[Board], model: Model, version: str) -> Packaged:
    """Build, simulate and verify, and put the release of it into ``dist/`` by a rename.

    Args:
        session: the open command.
        boards: what to release for.
        model: what to release.
        version: of the release, see ``chosen_version``.

    Raises:
        VerificationError: a firmware computes something else than its model; ``dist/`` is as it
            was.
        ToolchainError: a step or a simulation failed, or ``dist/`` cannot be written.
    """
    release = assemble(session, boards, model, version)
    store = session.runner.store
    files = {name: store.put_bytes(data) for name, data in sorted(release.files.items())}
    folder = session.layout.dist
    publish(store, {PurePosixPath(name): digest for name, digest in files.items()}, folder)
    return Packaged(version, folder, files)
