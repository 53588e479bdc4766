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
from typing import Any, cast

from toolchain.boards import Board, find_board
from toolchain.digest import Digest
from toolchain.errors import (
    FirmwareDoesNotFitError,
    FirmwareInvalidError,
    ImageRefusedError,
    ReleaseInvalidError,
    UnknownTargetError,
    UsageError,
    VerificationError,
)
from toolchain.firmware.formats import FormatError, file_name
from toolchain.firmware.formats.stored_zip import read_stored_zip
from toolchain.images.definition import name_by_content
from toolchain.release.junit import render_junit, verdicts
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
from toolchain.release.members import JUNIT, LICENCES, REFERENCE, junit_suite
from toolchain.release.provenance import render_provenance
from toolchain.release.sbom import check_sbom
from toolchain.release.sums import read_sums

_FETCH_AGAIN = "fetch the release again, or make it again with ./invoke package"


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
            raise _invalid(f"{name} is not what {SUMS} says", _detail(name, files))
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


def _invalid(what: str, why: str = "") -> ReleaseInvalidError:
    return ReleaseInvalidError(f"the release is not valid: {what}", why=why, next_step=_FETCH_AGAIN)


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
            raise _invalid(f"{name} {problem} in {folder}")
        files[name] = path.read_bytes()
    return files


def _sums(data: bytes) -> Mapping[str, str]:
    try:
        return read_sums(data)
    except ValueError as error:
        raise _invalid(f"{SUMS}: {error}") from error


def _check_names(
    files: Mapping[str, bytes], sums: Mapping[str, str], folder: Path, only: str
) -> None:
    for name in sorted(files.keys() - sums.keys() - {SUMS}):
        raise _invalid(f"{SUMS} does not name {name}")
    missing = sums.keys() - files.keys()
    if SUMS in sums:
        raise _invalid(f"{SUMS} names itself")
    for name in sorted(missing):
        if not only:
            raise _invalid(f"{name} is missing in {folder}, and {SUMS} names it")


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
        raise _invalid(f"{MANIFEST}: {error}") from error


def _check_manifest(
    manifest: Manifest, files: Mapping[str, bytes], sums: Mapping[str, str]
) -> None:
    def refuse(problem: str) -> ReleaseInvalidError:
        return _invalid(f"{MANIFEST}: {problem}")

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
        raise _invalid(f"{MANIFEST} and {SUMS} do not agree on whether {name} is in the release")
    recorded = {each.path: each.digest for each in manifest.archives}
    recorded[SBOM] = manifest.sbom.digest
    for name, digest in recorded.items():
        if name in files and Digest.of_bytes(files[name]) != digest:
            raise _invalid(f"{name} is not what {MANIFEST} says", _detail(name, files))
    _check_images(manifest)


def _check_images(manifest: Manifest) -> None:
    names = [image.name for image in manifest.images]
    for image in manifest.images:
        if image.name != name_by_content(image.kind, image.content_sha256):
            raise _invalid(f"{MANIFEST}: {image.name} is not named by its content")
        for section in image.pins:
            if section not in manifest.pins:
                raise _invalid(f"{MANIFEST}: the pins '{section}' of {image.name} are missing")
    if len(set(names)) != len(names):
        raise _invalid(f"{MANIFEST}: an image is there twice")
    steps = [step.name for step in manifest.steps]
    if steps != sorted(set(steps)):
        raise _invalid(f"{MANIFEST}: its steps are not in order, or one is there twice")
    for step in manifest.steps:
        if step.image not in names:
            raise _invalid(f"{MANIFEST}: the image of the step '{step.name}' is not listed")


def _check_sidecars(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    expected = render_provenance(manifest)
    if files[PROVENANCE] != expected:
        try:
            place = first_difference(json.loads(expected), json.loads(files[PROVENANCE]))
        except (ValueError, RecursionError):
            place = ""
        raise _invalid(
            f"{PROVENANCE} and {MANIFEST} do not say the same",
            f"they differ in {place}" if place else "",
        )
    try:
        check_sbom(files[SBOM], manifest.version, manifest.model, manifest.images)
    except ValueError as error:
        raise _invalid(f"{SBOM}: {error}") from error


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
        raise _invalid(f"{archive.path}: {error}") from error
    recorded = {each.path: each.digest for each in archive.files}
    for name in sorted(recorded.keys() | members.keys()):
        if name not in members or name not in recorded:
            where = MANIFEST if name in recorded else archive.path
            raise _invalid(f"{archive.path}: only {where} has {name}")
        if Digest.of_bytes(members[name]) != recorded[name]:
            raise _invalid(f"{archive.path}: {name} is not what {MANIFEST} says")
    try:
        board = find_board(boards, archive.board)
    except UnknownTargetError as error:
        raise _invalid(
            f"{archive.path} is for a board that this checkout does not have", str(error.what)
        ) from error
    _ArchiveCheck(manifest, archive, board, members).run()


@dataclass(frozen=True)
class _ArchiveCheck:
    """What is in one archive, against each other and against its board."""

    manifest: Manifest
    archive: Archive
    board: Board
    members: Mapping[str, bytes]

    def run(self) -> None:
        application = self.manifest.model.application
        formats = {file_name(application, name): name for name in self.board.package.formats}
        wanted = {
            *(*formats, f"{application}.bin", f"{application}.elf", f"{application}.map"),
            *(f"{self.manifest.model.name}.tflite", REFERENCE, JUNIT, "FLASHING.md", *LICENCES),
            *("size.json", "simulation.json", "verify.json"),
        }
        for name in sorted(wanted - self.members.keys()):
            raise self._invalid(name, "it is missing")
        self._check_image(application)
        self._check_origin(application)
        self._check_reports(application)

    def _invalid(self, name: str, problem: str, why: str = "") -> ReleaseInvalidError:
        return _invalid(f"{self.archive.path}: {name}: {problem}", why)

    def _check_image(self, application: str) -> None:
        from toolchain.firmware.elf import check_firmware, read_firmware_elf
        from toolchain.firmware.formats.arduino_library import check_library, read_archive
        from toolchain.flashing.image_check import check_image

        image = self.members[f"{application}.bin"]
        if Digest.of_bytes(image).sha256 != self.archive.image_sha256:
            raise self._invalid(f"{application}.bin", f"it is not the image that {MANIFEST} names")
        for kind in self.board.package.formats:
            name = file_name(application, kind)
            try:
                if kind == "arduino_library":
                    read_stored_zip(self.members[name])
                    check_library(read_archive(self.members[name]))
                elif check_image(self.board, kind, self.members[name], name) != image:
                    raise FormatError(f"it holds another image than {application}.bin")
            except (ValueError, LookupError) as error:
                raise self._invalid(name, str(error)) from error
            except ImageRefusedError as error:
                raise self._invalid(name, error.what, error.why) from error
        name = f"{application}.elf"
        try:
            check_firmware(self.board, read_firmware_elf(self.members[name]), image)
        except (FirmwareInvalidError, FirmwareDoesNotFitError) as error:
            raise self._invalid(name, error.what, error.why) from error

    def _check_origin(self, application: str) -> None:
        """Check that the files are what the steps made, and the licences the project's."""
        model, digests = self.manifest.model, self._digests()
        tflite = f"{model.name}.tflite"
        if digests[tflite] != model.sha256:
            raise self._invalid(tflite, f"it is not the model that {MANIFEST} names")
        made = {step.name: step.outputs for step in self.manifest.steps}
        linked = f"firmware {application} {self.board.name} {model.name} {self.manifest.build_type}"
        sources = {
            **{
                f"{application}{end or '.elf'}": (linked, f"bin/{application}{end}")
                for end in ("", ".bin", ".map")
            },
            REFERENCE: (f"reference {model.name}", REFERENCE),
        }
        for name, (step, output) in sources.items():
            if made.get(step, {}).get(output) != digests[name]:
                raise self._invalid(
                    name, f"it is not what the step '{step}' made, as {MANIFEST} tells of it"
                )
        for name in LICENCES:
            if self.manifest.sources.get(name) != digests[name]:
                raise self._invalid(name, f"it is not the project's that {MANIFEST} names")

    def _check_reports(self, application: str) -> None:
        model, digests = self.manifest.model, self._digests()
        common = {"target": self.board.name, "image_sha256": self.archive.image_sha256}
        run = {"model": model.name, "build_type": self.manifest.build_type}
        wanted: Mapping[str, Mapping[str, object]] = {
            "size.json": {**common, "elf_sha256": digests[f"{application}.elf"]},
            "simulation.json": common | run,
            "verify.json": {**common, **run, "passed": True},
            REFERENCE: {"model": model.name, "model_sha256": model.sha256},
        }
        for name, fields in wanted.items():
            report = self._json(name)
            for field, value in fields.items():
                if (type(report.get(field)), report.get(field)) != (type(value), value):
                    raise self._invalid(name, f"'{field}' is {report.get(field)!r}, not {value!r}")
        try:
            found = verdicts(
                self.members["verify.json"],
                self.members["simulation.json"],
                self.members[REFERENCE],
            )
        except (VerificationError, ValueError, LookupError, TypeError) as error:
            raise self._invalid(
                "simulation.json", f"it cannot be compared with {REFERENCE}", str(error)
            ) from error
        for each in found:
            if each.failure:
                raise self._invalid("simulation.json", f"{each.name}: {each.failure}")
        if self.members[JUNIT] != render_junit(junit_suite(self.board.name, model.name), found):
            raise self._invalid(JUNIT, "it does not follow from the reports")

    def _json(self, name: str) -> Mapping[str, object]:
        try:
            document = json.loads(self.members[name])
        except (ValueError, RecursionError) as error:
            raise self._invalid(name, "it is no JSON", str(error)) from error
        if not isinstance(document, dict):
            raise self._invalid(name, "it is no report")
        return cast(Mapping[str, object], document)

    def _digests(self) -> Mapping[str, str]:
        return {each.path: each.sha256 for each in self.archive.files}
