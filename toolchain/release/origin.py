"""What of a checkout a release is made of: pins, images, and the project's own files by content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import simulator
import toolchain
from toolchain.actions import Step
from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.errors import PinsError
from toolchain.images.definition import (
    KINDS,
    Kind,
    image_content,
    image_definition,
    image_name,
)
from toolchain.models import BuildType, Model
from toolchain.pins import HOST_LOCK
from toolchain.release.manifest import ImageRecord, Manifest
from toolchain.release.members import LICENCES
from toolchain.session import Session

_PINS: Mapping[Kind, tuple[str, ...]] = {
    "train": ("debian", "train"),
    "cross": ("cross", "debian", "tflm"),
    "host": ("cross", "debian", "host_compiler", "tflm"),
}
"""Sections of ``pins.toml`` by the image that has them in it, also by way of the one below."""


@dataclass(frozen=True)
class Origin:
    """What a release is made of.

    Attributes:
        pins: sha256 of each section of ``pins.toml`` that has a part in it.
        images: in which its steps ran.
        sources: sha256 of each file of the project that has a part in it.
    """

    pins: Mapping[str, str]
    images: tuple[ImageRecord, ...]
    sources: Mapping[str, str]


def origin(
    session: Session, boards: Sequence[Board], model: Model, build_type: BuildType
) -> Origin:
    """Return what a release of this checkout is made of.

    Raises:
        PinsError: a file of the checkout cannot be read.
    """
    steps = session.pipeline.firmware_steps(boards, [model], build_type, tests=True)
    kinds = image_kinds(session, steps)
    sections = {section for kind in kinds for section in _PINS[kind]}
    pins = session.pins.model_dump(mode="json")
    paths = {**_inputs(session, boards, model, build_type), **_others(session, boards, kinds)}
    return Origin(
        pins={name: _section_sha256(pins[name]) for name in sorted(sections)},
        images=tuple(_image(session, kind) for kind in kinds),
        sources={name: _sha256(paths[name]) for name in sorted(paths)},
    )


def image_kinds(session: Session, steps: Sequence[Step]) -> tuple[Kind, ...]:
    """Return the kinds of the images in which ``steps`` run."""
    used = {step.image for step in steps}
    return tuple(
        kind
        for kind in KINDS
        if kind in _PINS and image_name(kind, session.pins, session.layout) in used
    )


def changed_parts(manifest: Manifest, today: Origin) -> tuple[str, ...]:
    """Return the names of pins, images and files in which a checkout differs from a release's."""
    images = [
        {each.name: each.content_sha256 for each in made}
        for made in (manifest.images, today.images)
    ]
    return (
        *(f"[{name}] of pins.toml" for name in _different(manifest.pins, today.pins)),
        *(f"the image {name}" for name in _different(*images)),
        *_different(manifest.sources, today.sources),
    )


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _image(session: Session, kind: Kind) -> ImageRecord:
    return ImageRecord(
        kind=kind,
        name=image_name(kind, session.pins, session.layout),
        content_sha256=image_content(kind, session.pins, session.layout),
        pins=_PINS[kind],
    )


def _section_sha256(section: object) -> str:
    return Digest.of_bytes(json.dumps(section, sort_keys=True).encode()).sha256


def _inputs(
    session: Session, boards: Sequence[Board], model: Model, build_type: BuildType
) -> dict[str, Path]:
    """Return the project's files that steps, or the files for flashing, are made from."""
    pipeline, project = session.pipeline, session.layout.project
    given = model.given
    theirs = {given.file, given.representative, given.inputs} if given else set()
    sources = [
        source
        for step in pipeline.firmware_steps(boards, [model], build_type, tests=True)
        for source in step.inputs.values()
    ]
    for board in boards:
        for name in board.package.formats:
            sources += pipeline.firmwares.format_inputs(board, model, build_type, name).values()
    return {
        source.relative_to(project).as_posix(): source
        for source in sources
        if isinstance(source, Path) and source not in theirs
    }


def _others(session: Session, boards: Sequence[Board], kinds: Sequence[Kind]) -> dict[str, Path]:
    """Return what images, checks and simulation are made of, and what is packaged as it is."""
    project = session.layout.project
    names = {*LICENCES, *(f"boards/{board.name}/board.toml" for board in boards)}
    for kind in kinds:
        definition = image_definition(kind, session.pins)
        names |= {definition.dockerfile, *definition.files}
    found = {name: project / name for name in names}
    # The code that runs is the checkout's own, except in a test.
    code = Path(toolchain.__file__).parent.parent
    found[HOST_LOCK] = code / HOST_LOCK
    for package in (toolchain, simulator):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            found[path.relative_to(code).as_posix()] = path
    return found


def _sha256(path: Path) -> str:
    try:
        return Digest.of_file(path).sha256
    except OSError as error:
        raise PinsError(
            f"{path} cannot be read",
            why=str(error),
            next_step="a release is made from it: restore it from git",
        ) from error
