"""Checks that a release is what it says it is, with nothing but its files and the boards.

Every file and every field is said at least twice: SHA256SUMS and the manifest have the digests, the
provenance follows from the manifest, the serial number of the list of components from its content,
junit.xml from the reports, and the images name their boards and are named by the reports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.boards import find_board
from toolchain.digest import Digest
from toolchain.errors import (
    ReleaseInvalidError,
    UnknownTargetError,
    UsageError,
)
from toolchain.firmware.formats import FormatError
from toolchain.firmware.formats.stored_zip import read_stored_zip
from toolchain.images.definition import name_by_content
from toolchain.release.archive_check import ArchiveCheck, invalid
from toolchain.release.manifest import (
    MANIFEST,
    PROVENANCE,
    SBOM,
    SIDECARS,
    SUMS,
    Archive,
    Manifest,
    archive_stem,
    read_manifest,
)
from toolchain.release.provenance import render_provenance
from toolchain.release.sbom import check_sbom
from toolchain.release.sums import read_sums


@dataclass(frozen=True)
class CheckedRelease:
    """A release in which everything agrees.

    Attributes:
        folder: where it is.
        archives: names of the archives that were checked.
        files: content by name.
    """

    folder: Path
    manifest: Manifest
    archives: tuple[str, ...]
    files: Mapping[str, bytes]


def check_release(place: Path, boards: Path) -> CheckedRelease:
    """Check a whole release, or one archive of it.

    Args:
        place: the folder, or an archive in it whose siblings may be missing; the other files of
            the release must be there.
        boards: descriptions of the boards.

    Raises:
        UsageError: there is no such file or folder.
        ReleaseInvalidError: something is missing, damaged or disagrees; the message names the file.
    """
    folder, only = _folder(place)
    files = _read(folder, only)
    sums = _sums(files[SUMS])
    _check_names(files, sums, folder, only)
    for name in sorted(files.keys() - {SUMS}):
        if Digest.of_bytes(files[name]).sha256 != sums[name]:
            raise invalid(f"{name} is not what {SUMS} says", _detail(name, files))
    manifest = _manifest(files[MANIFEST])
    _check_manifest(manifest, files, sums)
    _check_sidecars(manifest, files)
    checked = [each for each in manifest.archives if each.path in files]
    for archive in checked:
        _check_archive(manifest, archive, files[archive.path], boards)
    return CheckedRelease(folder, manifest, tuple(each.path for each in checked), files)


def members_of(archive: Archive, data: bytes) -> Mapping[str, bytes]:
    """Return what is in an archive, by name below its only folder.

    Raises:
        FormatError: it cannot be read, or something is outside the folder.
    """
    prefix = archive.path.removesuffix(".zip") + "/"
    members = read_stored_zip(data)
    for name in members:
        if not name.startswith(prefix):
            raise FormatError(f"'{name}' is outside the folder {prefix}")
    return {name.removeprefix(prefix): content for name, content in members.items()}


def _folder(place: Path) -> tuple[Path, str]:
    if place.is_dir():
        return place, ""
    if not place.is_file():
        raise UsageError(
            f"there is no release at {place}",
            next_step="name a folder that ./invoke package made, or an archive in it",
        )
    return place.parent, place.name if place.name not in SIDECARS else ""


def _read(folder: Path, only: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    wanted = {*SIDECARS, only} if only else {path.name for path in folder.iterdir()} | SIDECARS
    for name in sorted(wanted):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problem = "is no regular file" if path.exists() else "is missing"
            raise invalid(f"{name} {problem} in {folder}")
        files[name] = path.read_bytes()
    return files


def _sums(data: bytes) -> Mapping[str, str]:
    try:
        return read_sums(data)
    except ValueError as error:
        raise invalid(f"{SUMS}: {error}") from error


def _check_names(
    files: Mapping[str, bytes], sums: Mapping[str, str], folder: Path, only: str
) -> None:
    for name in sorted(files.keys() - sums.keys() - {SUMS}):
        raise invalid(f"{SUMS} does not name {name}")
    missing = sums.keys() - files.keys()
    if SUMS in sums:
        raise invalid(f"{SUMS} names itself")
    for name in sorted(missing):
        if not only:
            raise invalid(f"{name} is missing in {folder}, and {SUMS} names it")


def _detail(name: str, files: Mapping[str, bytes]) -> str:
    """Return which part of an archive is another one, where that can be told."""
    try:
        manifest = read_manifest(files[MANIFEST])
        (archive,) = (each for each in manifest.archives if each.path == name)
        if archive.digest == Digest.of_bytes(files[name]):
            return f"{MANIFEST} says what it is, so that {SUMS} is wrong"
        members = members_of(archive, files[name])
    except FormatError as error:
        return str(error)
    except ValueError:
        return ""
    recorded = {each.path: each.digest for each in archive.files}
    found = {path: Digest.of_bytes(data) for path, data in members.items()}
    wrong = [path for path in sorted({*recorded, *found}) if recorded.get(path) != found.get(path)]
    return f"it differs in {', '.join(wrong)}" if wrong else ""


def _manifest(data: bytes) -> Manifest:
    try:
        return read_manifest(data)
    except ValueError as error:
        raise invalid(f"{MANIFEST}: {error}") from error


def _check_manifest(
    manifest: Manifest, files: Mapping[str, bytes], sums: Mapping[str, str]
) -> None:
    def refuse(problem: str) -> ReleaseInvalidError:
        return invalid(f"{MANIFEST}: {problem}")

    boards = [each.board for each in manifest.archives]
    if boards != sorted(set(boards)):
        raise refuse("its boards are not in order, or one is there twice")
    for archive in manifest.archives:
        if archive.path != f"{archive_stem(manifest.version, archive.board)}.zip":
            raise refuse(
                f"{archive.path} is not what the archive of {archive.board} in the version "
                f"{manifest.version} is called"
            )
        paths = [each.path for each in archive.files]
        if paths != sorted(set(paths)):
            raise refuse(f"the files of {archive.path} are not in order, or one is there twice")
    if manifest.sbom.path != SBOM:
        raise refuse(f"the list of components is called {manifest.sbom.path}, not {SBOM}")
    named = {each.path for each in manifest.archives} | (SIDECARS - {SUMS})
    for name in sorted(named ^ sums.keys()):
        raise invalid(f"{MANIFEST} and {SUMS} do not agree on whether {name} is in the release")
    recorded = {each.path: each.digest for each in manifest.archives}
    recorded[SBOM] = manifest.sbom.digest
    for name, digest in recorded.items():
        if name in files and Digest.of_bytes(files[name]) != digest:
            raise invalid(f"{name} is not what {MANIFEST} says", _detail(name, files))
    _check_images(manifest)


def _check_images(manifest: Manifest) -> None:
    names = [image.name for image in manifest.images]
    for image in manifest.images:
        if image.name != name_by_content(image.kind, image.content_sha256):
            raise invalid(f"{MANIFEST}: {image.name} is not named by its content")
        for section in image.pins:
            if section not in manifest.pins:
                raise invalid(f"{MANIFEST}: the pins '{section}' of {image.name} are missing")
    if len(set(names)) != len(names):
        raise invalid(f"{MANIFEST}: an image is there twice")
    steps = [step.name for step in manifest.steps]
    if steps != sorted(set(steps)):
        raise invalid(f"{MANIFEST}: its steps are not in order, or one is there twice")
    for step in manifest.steps:
        if step.image not in names:
            raise invalid(f"{MANIFEST}: the image of the step '{step.name}' is not listed")


def _check_sidecars(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    expected = render_provenance(manifest)
    if files[PROVENANCE] != expected:
        try:
            place = first_difference(json.loads(expected), json.loads(files[PROVENANCE]))
        except (ValueError, RecursionError):
            place = ""
        raise invalid(
            f"{PROVENANCE} and {MANIFEST} do not say the same",
            f"they differ in {place}" if place else "",
        )
    try:
        check_sbom(files[SBOM], manifest.version, manifest.model, manifest.images)
    except ValueError as error:
        raise invalid(f"{SBOM}: {error}") from error


def first_difference(one: Any, other: Any, place: str = "") -> str:
    """Return the path of the first field in which two JSON documents differ; empty for none."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other:
                return f"{place}.{key}".lstrip(".")
            found = first_difference(one[key], other[key], f"{place}.{key}")
            if found:
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list):
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            found = first_difference(left, right, f"{place}[{number}]")
            if found:
                return found
        return "" if len(one) == len(other) else f"the length of {place.lstrip('.')}"
    return "" if (type(one), one) == (type(other), other) else place.lstrip(".")


def _check_archive(manifest: Manifest, archive: Archive, data: bytes, boards: Path) -> None:
    try:
        members = members_of(archive, data)
    except FormatError as error:
        raise invalid(f"{archive.path}: {error}") from error
    recorded = {each.path: each.digest for each in archive.files}
    for name in sorted(recorded.keys() | members.keys()):
        if name not in members or name not in recorded:
            where = MANIFEST if name in recorded else archive.path
            raise invalid(f"{archive.path}: only {where} has {name}")
        if Digest.of_bytes(members[name]) != recorded[name]:
            raise invalid(f"{archive.path}: {name} is not what {MANIFEST} says")
    try:
        board = find_board(boards, archive.board)
    except UnknownTargetError as error:
        raise invalid(
            f"{archive.path} is for a board that this checkout does not have", str(error.what)
        ) from error
    ArchiveCheck(manifest, archive, board, members).run()
