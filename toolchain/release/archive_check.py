"""Checks one archive of a release: its files, its images, its reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.errors import (
    FirmwareDoesNotFitError,
    FirmwareInvalidError,
    ImageRefusedError,
    ReleaseInvalidError,
    VerificationError,
)
from toolchain.firmware.formats import FormatError, file_name
from toolchain.firmware.formats.stored_zip import read_stored_zip
from toolchain.release.junit import render_junit, verdicts
from toolchain.release.manifest import (
    MANIFEST,
    Archive,
    Manifest,
)
from toolchain.release.members import JUNIT, LICENCES, REFERENCE, junit_suite

_FETCH_AGAIN = "fetch the release again, or make it again with ./invoke package"


def invalid(what: str, why: str = "") -> ReleaseInvalidError:
    """Return the error for a release that is not what it says."""
    return ReleaseInvalidError(f"the release is not valid: {what}", why=why, next_step=_FETCH_AGAIN)


@dataclass(frozen=True)
class ArchiveCheck:
    """What is in one archive, against each other and against its board.

    Attributes:
        manifest: of the release.
        archive: what it says of this one.
        board: that the archive is for.
        members: content by name.
    """

    manifest: Manifest
    archive: Archive
    board: Board
    members: Mapping[str, bytes]

    def run(self) -> None:
        """Check everything.

        Raises:
            ReleaseInvalidError: something is missing or disagrees; the message names the file.
        """
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
        return invalid(f"{self.archive.path}: {name}: {problem}", why)

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
            junit = render_junit(junit_suite(self.board.name, model.name), found)
        except (VerificationError, ValueError, LookupError, TypeError) as error:
            raise self._invalid(
                "simulation.json", f"it cannot be compared with {REFERENCE}", str(error)
            ) from error
        for each in found:
            if each.failure:
                raise self._invalid("simulation.json", f"{each.name}: {each.failure}")
        if self.members[JUNIT] != junit:
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
