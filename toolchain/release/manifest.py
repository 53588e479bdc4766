"""``manifest.json``: what a release holds, and everything that it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolchain.digest import Digest

PROJECT: Final = "tinyml-toolchain"

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
SBOM = "sbom.cdx.json"
PROVENANCE = "provenance.json"
SIDECARS = frozenset({MANIFEST, SUMS, SBOM, PROVENANCE})
"""Files beside the archives."""

VERSION_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
FileName = Annotated[str, Field(pattern=r"^[^/\x00-\x1f]+$")]
ProjectPath = Annotated[str, Field(pattern=r"^[^/\x00-\x1f][^\x00-\x1f]*$")]
Size = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileRecord(_Table):
    """A file by its content; ``size_bytes`` in bytes."""

    path: FileName
    sha256: Sha256
    size_bytes: Size

    @property
    def digest(self) -> Digest:
        """Identity of the file."""
        return Digest(self.sha256, self.size_bytes)


class GivenFile(_Table):
    """A file of the user's that a given model was made from; its name without a folder."""

    option: Literal["model", "representative", "inputs"]
    name: FileName
    sha256: Sha256


class ReleasedModel(_Table):
    """The model of all archives.

    Attributes:
        application: the program that runs it.
        sha256: of the ``.tflite`` file.
        given: the user's files; empty for a model of the project.
    """

    name: Name
    application: Name
    sha256: Sha256
    given: tuple[GivenFile, ...]


class ImageRecord(_Table):
    """A container image in which steps ran.

    Attributes:
        kind: such as ``cross``.
        name: its content name, as steps name it.
        content_sha256: over everything that makes it, of which the name has the beginning.
        pins: the sections of ``pins.toml`` that are in it.
    """

    kind: Name
    name: Annotated[str, Field(pattern=r"^[a-z-]+/[a-z]+:[0-9a-f]+$")]
    content_sha256: Sha256
    pins: tuple[Name, ...]


class StepRecord(_Table):
    """A step that led to the release.

    Attributes:
        action_sha256: of the encoded action, the key in the action cache; and its size in bytes.
        image: content name.
        engine: where it ran: ``docker`` or ``host``.
        isolated: whether it could reach its inputs and its image only.
        pinned: whether its tools were the pinned ones.
        server: address of the remote service that its result came from; empty when it ran on the
            machine that made the release.
        worker: name of that service's worker that ran it, where it is known.
        outputs: sha256 by path below ``/out``.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+. -]+$")]
    action_sha256: Sha256
    action_size_bytes: Size
    image: str
    engine: Literal["docker", "host"]
    isolated: bool
    pinned: bool
    server: Annotated[str, Field(pattern=r"^(grpcs?://[A-Za-z0-9._:\[\]/-]+)?$")] = ""
    worker: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@:/-]*$")] = ""
    outputs: Mapping[ProjectPath, Sha256]


class Archive(_Table):
    """The archive of one board.

    Attributes:
        path: its file's name.
        image_sha256: of the ``.bin`` file in it, which was simulated and verified.
        files: everything in it, by name below the archive's only folder.
    """

    path: FileName
    board: Name
    sha256: Sha256
    size_bytes: Size
    image_sha256: Sha256
    files: Annotated[tuple[FileRecord, ...], Field(min_length=1)]

    @property
    def digest(self) -> Digest:
        """Identity of the archive."""
        return Digest(self.sha256, self.size_bytes)


class Manifest(_Table):
    """Everything in ``manifest.json``.

    Attributes:
        pins: sha256 of each section of ``pins.toml`` that the release was made by.
        sources: sha256 of each of the project's files that it was made from.
        steps: sorted by name.
        archives: sorted by board.
        sbom: the list of components beside the archives.
    """

    schema_: Literal["tinyml-toolchain/manifest/1"] = Field(alias="schema")
    project: Literal["tinyml-toolchain"]
    version: Annotated[str, Field(pattern=VERSION_PATTERN)]
    build_type: Name
    model: ReleasedModel
    pins: Mapping[Name, Sha256]
    images: tuple[ImageRecord, ...]
    sources: Mapping[ProjectPath, Sha256]
    steps: tuple[StepRecord, ...]
    archives: Annotated[tuple[Archive, ...], Field(min_length=1)]
    sbom: FileRecord


def archive_stem(version: str, board: str) -> str:
    """Return the name of a board's archive without its end, and of the folder in it."""
    return f"{PROJECT}-{version}-{board}"


def canonical(document: object) -> bytes:
    """Return the one way in which a document is written: two spaces, in ASCII, keys as given."""
    return (json.dumps(document, indent=2) + "\n").encode("ascii")


def render_manifest(manifest: Manifest) -> bytes:
    """Return ``manifest.json``."""
    return canonical(manifest.model_dump(mode="json", by_alias=True))


def read_manifest(data: bytes) -> Manifest:
    """Read ``manifest.json``.

    Raises:
        ValueError: it is no manifest, or not written as ``render_manifest`` does; the message is a
            clause about it.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error
    if render_manifest(manifest) != data:
        raise ValueError("it is not written as manifests are; its text was edited")
    return manifest
