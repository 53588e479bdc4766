"""Makes a release again and compares every byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.boards import find_targets
from toolchain.commands.assembly import assemble
from toolchain.digest import Digest
from toolchain.errors import NotReproducibleError, UsageError
from toolchain.firmware.formats import FormatError
from toolchain.model_choice import chosen_model
from toolchain.models import Model, find_build_type, find_model
from toolchain.paths import user_path
from toolchain.release.checks import CheckedRelease, first_difference, members_of
from toolchain.release.manifest import PROVENANCE, SUMS, Archive, Manifest
from toolchain.release.origin import changed_parts, origin
from toolchain.session import Session

_MOST_NAMED = 8


@dataclass(frozen=True)
class Reproduced:
    """A release that was made again with the same bytes.

    Attributes:
        files: digests of the compared files, by name.
    """

    version: str
    files: Mapping[str, Digest]


@dataclass(frozen=True)
class GivenPaths:
    """Where the user's files are that a given model was made from; empty for none."""

    model: str = ""
    representative: str = ""
    inputs: str = ""


def reproduce(
    session: Session, release: CheckedRelease, given: GivenPaths | None = None
) -> Reproduced:
    """Build, simulate, verify and pack again what ``release`` holds, and compare.

    Nothing is written to ``dist/``. Of one archive, the other boards' archives are made again too,
    because the manifest tells of all.

    Args:
        session: the open command.
        release: has passed ``check_release``.
        given: the user's files, where the release does not have them.

    Raises:
        UsageError: pins, images or sources of this checkout are not the recorded ones, or the
            user's files are not; the message names which.
        NotReproducibleError: other bytes came out; the message names the files.
        ToolchainError: see ``assemble``.
    """
    manifest = release.manifest
    boards = tuple(
        board
        for archive in manifest.archives
        for board in find_targets(session.layout.boards, archive.board)
    )
    build_type = find_build_type(manifest.build_type)
    with _model(release, given or GivenPaths()) as model:
        changed = changed_parts(manifest, origin(session, boards, model, build_type))
        if changed:
            raise UsageError(
                f"this checkout is not what the release {manifest.version} was made of: "
                f"{_some(changed)}",
                next_step="check out the commit that it was made from",
            )
        # Another worker, or none, is no other release: what is compared is what came out.
        places = {step.name: step for step in manifest.steps}
        again = assemble(session, boards, model, manifest.version, places)
    different = [
        name
        for name, data in sorted(release.files.items())
        if name != SUMS and again.files.get(name) != data
    ]
    if different:
        raise NotReproducibleError(
            f"the release {manifest.version} was not reproduced: {_some(different)} differ",
            why="; ".join(_why(name, release, again.files) for name in different[:_MOST_NAMED]),
            next_step="compare what ran the steps, and the packages of the images, in the two "
            f"{PROVENANCE}; ./invoke repro says whether the firmwares are reproducible here",
        )
    return Reproduced(
        manifest.version, {name: Digest.of_bytes(data) for name, data in release.files.items()}
    )


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _why(name: str, release: CheckedRelease, again: Mapping[str, bytes]) -> str:
    data, made = release.files[name], again.get(name, b"")
    try:
        for archive in release.manifest.archives:
            if archive.path == name:
                return f"{name} differs in {_members(archive, data, made)}"
        return f"{name} differs in {first_difference(json.loads(data), json.loads(made))}"
    except (FormatError, ValueError):
        return f"{name} has {len(made):,} bytes instead of {len(data):,}"


def _members(archive: Archive, data: bytes, made: bytes) -> str:
    one, other = members_of(archive, data), members_of(archive, made)
    names = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return ", ".join(names)


@contextmanager
def _model(release: CheckedRelease, given: GivenPaths) -> Iterator[Model]:
    """Yield the model that a release was made with.

    A given ``.tflite`` file is taken from the release itself, where it is the only given file.
    """
    manifest = release.manifest
    if not manifest.model.given:
        yield find_model(manifest.model.name)
        return
    paths = {"model": given.model, "representative": given.representative, "inputs": given.inputs}
    recorded = {each.option: each for each in manifest.model.given}
    with tempfile.TemporaryDirectory() as folder:
        if not given.model and recorded["model"].sha256 == manifest.model.sha256:
            archive = next(each for each in manifest.archives if each.path in release.files)
            members = members_of(archive, release.files[archive.path])
            path = Path(folder) / recorded["model"].name
            path.write_bytes(members[f"{manifest.model.name}.tflite"])
            paths["model"] = str(path)
        for option, path_text in paths.items():
            _check_given(manifest, option, path_text)
        yield chosen_model(paths["model"], paths["representative"], paths["inputs"])


def _check_given(manifest: Manifest, option: str, path: str) -> None:
    recorded = {each.option: each for each in manifest.model.given}
    wanted = next((each for each in recorded.values() if each.option == option), None)
    if wanted is None:
        if path:
            raise UsageError(f"the release was made without --{option}", next_step="leave it out")
        return
    if not path:
        raise UsageError(
            f"the release was made from a file {wanted.name} that it does not hold",
            next_step=f"give it with --{option}",
        )
    file = user_path(path)
    if not file.is_file():
        raise UsageError(f"--{option}: there is no file {path}", next_step="look at the path")
    if file.name != wanted.name or Digest.of_file(file).sha256 != wanted.sha256:
        raise UsageError(
            f"--{option}: {path} is not the file that the release was made from",
            why=f"that is called {wanted.name} and has the sha256 {wanted.sha256}",
            next_step="give that one",
        )
