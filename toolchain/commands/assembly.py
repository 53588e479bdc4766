"""Builds, simulates and verifies, and puts together the release of what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from toolchain.actions import Maker, OutputOf, RunRecord, Step, StepResult
from toolchain.boards import Board
from toolchain.commands.simulate import SimulatedRun, simulate_all
from toolchain.commands.verify import Verified, verify
from toolchain.digest import Digest
from toolchain.errors import VerificationError
from toolchain.firmware.formats.stored_zip import stored_zip
from toolchain.images.definition import RECORD_FOLDER, image_name
from toolchain.models import DEFAULT_BUILD_TYPE, BuildType, Model, find_build_type
from toolchain.pins import TRAIN_LOCK, read_lock
from toolchain.pipeline.model_steps import tflite_source
from toolchain.release.junit import render_junit, verdicts
from toolchain.release.manifest import (
    MANIFEST,
    PROJECT,
    PROVENANCE,
    SBOM,
    SUMS,
    Archive,
    FileRecord,
    GivenFile,
    Manifest,
    ReleasedModel,
    StepRecord,
    archive_stem,
    render_manifest,
)
from toolchain.release.members import JUNIT, LICENCES, REFERENCE, junit_suite
from toolchain.release.origin import image_kinds, origin
from toolchain.release.provenance import render_provenance
from toolchain.release.sbom import make_sbom
from toolchain.release.sums import render_sums
from toolchain.session import Session

_PACKAGES = PurePosixPath("packages.txt")


@dataclass(frozen=True)
class Release:
    """A release that is not yet published.

    Attributes:
        manifest: what it holds.
        files: content by the file's name.
    """

    manifest: Manifest
    files: Mapping[str, bytes]


def assemble(
    session: Session,
    boards: Sequence[Board],
    model: Model,
    version: str,
    places: Mapping[str, StepRecord] | None = None,
) -> Release:
    """Build, simulate, verify, and return the release of it; see ``package``.

    Args:
        session: the open command.
        boards: of its archives.
        model: of its firmwares.
        version: its version.
        places: by the step's name what another release of the same says of where it ran, which is
            then said here too; None for what is so.
    """
    build_type = find_build_type(DEFAULT_BUILD_TYPE)
    verified = verify(session, boards, [model], build_type)
    runs = simulate_all([each.firmware for each in verified])
    results, records = _results(session, boards, model, build_type, verified)
    made_of = origin(session, boards, model, build_type)
    tflite = _tflite(session, model, results)
    released = ReleasedModel(
        name=model.name,
        application=model.application,
        sha256=Digest.of_bytes(tflite).sha256,
        given=_given(model),
    )
    common = {f"{model.name}.tflite": tflite} | {
        name: (session.layout.project / name).read_bytes() for name in LICENCES
    }
    reference = results[f"reference {model.name}"].outputs[PurePosixPath(REFERENCE)]
    common[REFERENCE] = session.runner.store.get(reference)
    files: dict[str, bytes] = {}
    archives = []
    for each, run in zip(verified, runs, strict=True):
        members = _members(session, each, run, common)
        stem = archive_stem(version, each.firmware.board.name)
        data = stored_zip({f"{stem}/{name}": content for name, content in members.items()})
        files[f"{stem}.zip"] = data
        archives.append(
            Archive(
                path=f"{stem}.zip",
                board=each.firmware.board.name,
                sha256=Digest.of_bytes(data).sha256,
                size_bytes=len(data),
                image_sha256=each.image_sha256,
                files=tuple(_record(name, members[name]) for name in sorted(members)),
            )
        )
    packages = {
        image.kind: results[_packages_name(image.kind)].outputs[_PACKAGES]
        for image in made_of.images
    }
    files[SBOM] = make_sbom(
        version,
        released,
        images=made_of.images,
        pins=session.pins,
        packages={kind: session.runner.store.get(each).decode() for kind, each in packages.items()},
        wheels=read_lock(session.layout.project / TRAIN_LOCK),
    )
    manifest = Manifest(
        schema="tinyml-toolchain/manifest/1",
        project=PROJECT,
        version=version,
        build_type=build_type,
        model=released,
        pins=made_of.pins,
        images=made_of.images,
        sources=made_of.sources,
        steps=_steps(records, results, places or {}),
        archives=tuple(sorted(archives, key=lambda archive: archive.board)),
        sbom=_record(SBOM, files[SBOM]),
    )
    files[MANIFEST] = render_manifest(manifest)
    files[PROVENANCE] = render_provenance(manifest)
    files[SUMS] = render_sums(files)
    return Release(manifest, files)


def _results(
    session: Session,
    boards: Sequence[Board],
    model: Model,
    build_type: BuildType,
    verified: Sequence[Verified],
) -> tuple[Mapping[str, StepResult], Sequence[RunRecord]]:
    """Return what every step came to and what ran it, and the lists of the images' packages.

    The steps have been run by ``verify``; only the lists may be missing yet.
    """
    arenas = {
        (each.firmware.board.name, model.name): each.firmware.arena.size_bytes
        for each in verified
        if each.firmware.arena
    }
    steps = session.pipeline.firmware_steps(boards, [model], build_type, tests=True, arenas=arenas)
    lists = package_lists(session, steps)
    results = session.runner.run([*steps, *lists])
    return results, session.runner.records


def package_lists(session: Session, steps: Sequence[Step]) -> list[Step]:
    """Return steps that hand out which Debian packages are in the images of ``steps``."""
    return [
        Step(
            name=_packages_name(kind),
            image=image_name(kind, session.pins, session.layout),
            arguments=("cp", f"{RECORD_FOLDER}/{_PACKAGES}", f"/out/{_PACKAGES}"),
            inputs={},
            outputs=(_PACKAGES,),
        )
        for kind in image_kinds(session, steps)
    ]


def _packages_name(kind: str) -> str:
    return f"packages {kind}"


def _tflite(session: Session, model: Model, results: Mapping[str, StepResult]) -> bytes:
    source = tflite_source(model)
    if isinstance(source, OutputOf):
        return session.runner.store.get(results[source.step].outputs[source.path])
    return source.read_bytes()


def _given(model: Model) -> tuple[GivenFile, ...]:
    given = model.given
    if given is None:
        return ()
    files = (
        ("model", given.file),
        ("representative", given.representative),
        ("inputs", given.inputs),
    )
    return tuple(
        GivenFile.model_validate(
            {"option": option, "name": path.name, "sha256": Digest.of_file(path).sha256}
        )
        for option, path in files
        if path is not None
    )


def _members(
    session: Session, verified: Verified, run: SimulatedRun, common: Mapping[str, bytes]
) -> Mapping[str, bytes]:
    firmware = verified.firmware
    members = {
        **common,
        **{
            artifact.path.name: session.runner.store.get(artifact.digest)
            for artifact in firmware.artifacts
        },
        run.report.name: run.report.read_bytes(),
        verified.report.name: verified.report.read_bytes(),
    }
    image = Digest.of_bytes(members[firmware.image.name]).sha256
    if {image} != {verified.image_sha256, run.image_sha256}:
        raise VerificationError(
            f"{firmware.image} is not the image that was simulated and verified",
            why="something else wrote to the folder build/ meanwhile",
            next_step="run the command again, and nothing else in this checkout",
        )
    found = verdicts(members[verified.report.name], members[run.report.name], members[REFERENCE])
    wrong = [each for each in found if each.failure]
    if wrong:
        raise VerificationError(
            f"{firmware.board.title}: {wrong[0].name}: {wrong[0].failure}",
            why="the simulated image does not compute what the model computes",
            next_step="run ./invoke verify",
        )
    members[JUNIT] = render_junit(junit_suite(firmware.board.name, firmware.model.name), found)
    return members


def _record(name: str, data: bytes) -> FileRecord:
    digest = Digest.of_bytes(data)
    return FileRecord(path=name, sha256=digest.sha256, size_bytes=digest.size_bytes)


def _steps(
    records: Sequence[RunRecord],
    results: Mapping[str, StepResult],
    places: Mapping[str, StepRecord],
) -> tuple[StepRecord, ...]:
    def place(record: RunRecord) -> StepRecord | Maker:
        return places.get(record.name, record.made_by)

    return tuple(
        StepRecord.model_validate(
            {
                "name": record.name,
                "action_sha256": record.action.sha256,
                "action_size_bytes": record.action.size_bytes,
                "image": record.image,
                "engine": record.made_by.engine,
                "isolated": record.made_by.isolated,
                "pinned": record.made_by.pinned,
                "server": place(record).server,
                "worker": place(record).worker,
                "outputs": {
                    str(path): digest.sha256
                    for path, digest in sorted(results[record.name].outputs.items())
                },
            }
        )
        for record in sorted(records, key=lambda record: record.name)
    )
