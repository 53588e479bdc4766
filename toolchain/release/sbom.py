"""``sbom.cdx.json``: the components of a release, as CycloneDX 1.6 lists them.

What is linked into a firmware has the scope ``required``, what only takes part in making it
``excluded``. There is no time in it, and the serial number follows from the content.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolchain.images.definition import REPOSITORY
from toolchain.pins import FilePin, LockedRequirement, Pins
from toolchain.release.manifest import PROJECT, ImageRecord, ReleasedModel, Sha256, canonical

_SERIALS = uuid.UUID("5f2b0c1e-6c0a-5d0e-9a53-7c1c2f0d6f11")
"""Namespace of the serial numbers; any number that nobody else uses."""

_LINKED = frozenset(
    {"gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "libstdc++-arm-none-eabi-newlib"}
)
"""Packages of which parts are in every firmware: libgcc, the C library, the C++ library."""

_PACKAGE_LINE = re.compile(r"^([a-z0-9][a-z0-9+.-]*) (\S+) ([a-z0-9-]+)$")
_SERIAL = r"^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class _Element(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Hash(_Element):
    """A digest."""

    alg: Literal["SHA-256"] = "SHA-256"
    content: Sha256


class Commit(_Element):
    """A commit of a component's own repository."""

    uid: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class Pedigree(_Element):
    """Where a component comes from."""

    commits: tuple[Commit, ...]


class Property(_Element):
    """A name and a value that CycloneDX has no word for."""

    name: Annotated[str, Field(pattern=rf"^{PROJECT}:[a-z-]+$")]
    value: str


class Component(_Element):
    """A component.

    Attributes:
        reference: its name inside this document.
        hashes: of a wheel those of every file that the lock allows.
        properties: in which images it is.
    """

    type: Literal["firmware", "machine-learning-model", "library", "application", "container"]
    reference: Annotated[str, Field(alias="bom-ref", min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    scope: Literal["required", "excluded"] | None = None
    hashes: tuple[Hash, ...] | None = None
    purl: Annotated[str, Field(pattern=r"^pkg:[a-z]+/[^\s]+@[^\s]+$")] | None = None
    pedigree: Pedigree | None = None
    properties: tuple[Property, ...] | None = None


class Metadata(_Element):
    """What the list is of."""

    component: Component


class Dependency(_Element):
    """What a component has in it, by ``bom-ref``."""

    ref: str
    depends_on: Annotated[tuple[str, ...], Field(alias="dependsOn")]


class Bom(_Element):
    """The document."""

    format: Annotated[Literal["CycloneDX"], Field(alias="bomFormat")] = "CycloneDX"
    spec_version: Annotated[Literal["1.6"], Field(alias="specVersion")] = "1.6"
    serial_number: Annotated[str, Field(alias="serialNumber", pattern=_SERIAL)]
    version: Literal[1] = 1
    metadata: Metadata
    components: tuple[Component, ...]
    dependencies: tuple[Dependency, ...]


def make_sbom(
    version: str,
    model: ReleasedModel,
    *,
    images: Iterable[ImageRecord],
    pins: Pins,
    packages: Mapping[str, str],
    wheels: Iterable[LockedRequirement],
) -> bytes:
    """Return ``sbom.cdx.json``.

    Args:
        version: of the release.
        model: what is in all of its archives.
        images: in which steps ran.
        pins: what compilers and the tree are pinned to.
        packages: ``packages.txt`` of each image, by its kind.
        wheels: lines of the lock of the train image.

    Raises:
        ValueError: a line of ``packages.txt`` cannot be understood.
    """
    images = tuple(images)
    kinds = {image.kind for image in images}
    pinned = {**pins.cross.packages, **(pins.host_compiler.packages if "host" in kinds else {})}
    components = [
        _model(model),
        *_tree(pins),
        *_debian(pins, pinned, packages),
        *(_wheel(each) for each in wheels),
        *(_container(each) for each in images),
    ]
    components.sort(key=lambda each: each.reference)
    root = Component(type="firmware", reference=PROJECT, name=PROJECT, version=version)
    linked = tuple(each.reference for each in components if each.scope == "required")
    bom = Bom(
        serial_number=f"urn:uuid:{uuid.UUID(int=0)}",
        metadata=Metadata(component=root),
        components=tuple(components),
        dependencies=(Dependency(ref=PROJECT, depends_on=linked),),
    )
    return _render(bom.model_copy(update={"serial_number": _serial(bom)}))


def check_sbom(
    data: bytes, version: str, model: ReleasedModel, images: Iterable[ImageRecord]
) -> None:
    """Check a ``sbom.cdx.json`` against itself and the manifest.

    Args:
        data: the file.
        version: that the manifest says.
        model: likewise.
        images: likewise.

    Raises:
        ValueError: something is wrong; the message is a clause about it.
    """
    try:
        bom = Bom.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error
    if _render(bom) != data:
        raise ValueError("it is not written as this toolchain writes it; its text was edited")
    if bom.serial_number != _serial(bom):
        raise ValueError("its serial number does not follow from its content; a field was changed")
    root = bom.metadata.component
    if (root.name, root.version) != (PROJECT, version):
        raise ValueError(f"it is of {root.name} {root.version}")
    references = [each.reference for each in bom.components]
    if len(set(references)) != len(references):
        raise ValueError("a component is there twice")
    for wanted in (_model(model), *map(_container, images)):
        if wanted not in bom.components:
            raise ValueError(
                f"it does not list {wanted.name} {wanted.version}, which the manifest names"
            )
    if not {ref for each in bom.dependencies for ref in each.depends_on} <= set(references):
        raise ValueError("a dependency is no component")


def _render(bom: Bom) -> bytes:
    return canonical(bom.model_dump(mode="json", by_alias=True, exclude_none=True))


def _serial(bom: Bom) -> str:
    rest = bom.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"serial_number"})
    return f"urn:uuid:{uuid.uuid5(_SERIALS, json.dumps(rest, sort_keys=True))}"


def _model(model: ReleasedModel) -> Component:
    return Component(
        type="machine-learning-model",
        reference=f"model:{model.name}",
        name=model.name,
        version=model.sha256,
        scope="required",
        hashes=(Hash(content=model.sha256),),
    )


def _tree(pins: Pins) -> Iterable[Component]:
    crate = pins.tflm
    commit = Pedigree(commits=(Commit(uid=crate.commit),))
    purl = f"pkg:cargo/{crate.crate}@{crate.version}"
    yield Component(
        type="library",
        reference="tensorflow-lite-micro",
        name="TensorFlow Lite Micro",
        version=crate.commit,
        scope="required",
        purl=f"pkg:generic/tensorflow@{crate.commit}",
        pedigree=commit,
    )
    yield Component(
        type="library",
        reference=purl,
        name=crate.crate,
        version=crate.version,
        scope="required",
        hashes=(Hash(content=crate.sha256),),
        purl=purl,
        pedigree=commit,
    )


def _debian(
    pins: Pins, pinned: Mapping[str, FilePin], packages: Mapping[str, str]
) -> Iterable[Component]:
    places: dict[tuple[str, str, str], set[str]] = {}
    for kind, text in packages.items():
        for line in text.splitlines():
            # Wheels follow in the train image's record; they are taken from the lock.
            if "==" in line:
                continue
            match = _PACKAGE_LINE.match(line)
            if match is None:
                raise ValueError(f"packages.txt of the image {kind} has the line {line[:80]!r}")
            places.setdefault((match[1], match[2], match[3]), set()).add(kind)
    found = {(name, version) for name, version, _ in places}
    for name, pin in pinned.items():
        # What was only unpacked, or purged after it was used, is in no record.
        if (name, pin.version) not in found:
            places[name, pin.version, pins.debian.architecture] = set()
    for (name, version, architecture), kinds in places.items():
        known = pinned.get(name)
        quoted = version.replace(":", "%3A").replace("+", "%2B")
        purl = f"pkg:deb/debian/{name.replace('+', '%2B')}@{quoted}?arch={architecture}"
        yield Component(
            type="application" if known else "library",
            reference=purl,
            name=name,
            version=version,
            scope="required" if name in _LINKED else "excluded",
            hashes=(Hash(content=known.sha256),) if known and known.version == version else None,
            purl=purl,
            properties=tuple(
                Property(name=f"{PROJECT}:image", value=kind) for kind in sorted(kinds)
            )
            or None,
        )


def _wheel(wheel: LockedRequirement) -> Component:
    purl = f"pkg:pypi/{wheel.name}@{wheel.version}"
    return Component(
        type="library",
        reference=purl,
        name=wheel.name,
        version=wheel.version,
        scope="excluded",
        hashes=tuple(Hash(content=each) for each in sorted(wheel.hashes)),
        purl=purl,
        properties=(Property(name=f"{PROJECT}:image", value="train"),),
    )


def _container(image: ImageRecord) -> Component:
    return Component(
        type="container",
        reference=image.name,
        name=f"{REPOSITORY}/{image.kind}",
        version=image.content_sha256,
        scope="excluded",
        hashes=(Hash(content=image.content_sha256),),
    )
