"""What each image is made of, and its name, which is a digest of all that.

Imports nothing heavy: every build asks for names, also when nothing is to be done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolchain.errors import PinsError, UsageError
from toolchain.layout import Layout
from toolchain.pins import (
    NOTEBOOK_LOCK,
    PINS_FILE,
    SERVICE_LOCK,
    TRAIN_LOCK,
    Pins,
    PythonImagePins,
    load_pins,
)

Kind = Literal["base", "train", "cross", "host", "notebook", "service"]
KINDS: tuple[Kind, ...] = ("base", "train", "cross", "host", "notebook", "service")
STEP_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "service")
"""The images in which steps run, with those that they stand on, and the notebook."""

PARENTS: Mapping[Kind, Kind | None] = {
    "base": None,
    "train": "base",
    "cross": "base",
    "host": "cross",
    "notebook": "train",
    "service": "base",
}
"""The kind of the image that each one stands on."""

REPOSITORY = "tinyml-toolchain"
KIND_LABEL = "org.tinyml-toolchain.kind"
CONTENT_LABEL = "org.tinyml-toolchain.content"
WORK_LABEL = "org.tinyml-toolchain.work"
RECORD_FOLDER = "/usr/share/tinyml-toolchain"
"""Folder in the train, cross and host images with ``packages.txt`` and ``content.sha256``."""

BASE_EPOCH = 1735689600
"""Modification time given to a bootstrapped base's files: 2025-01-01T00:00:00Z."""

BASE_EXCLUDES = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
"""dpkg options of the bootstrapped base; later installations obey them too. Licences stay."""

_NAME_DIGITS = 24


@dataclass(frozen=True)
class ImageDefinition:
    """Inputs of one image.

    Attributes:
        parent: kind of the image below it; one of ``PARENTS``.
        dockerfile: path in the project; empty for the base, which has none.
        files: further project files that go into the image.
        pins: the part of the pins that it uses, as JSON-ready values.
    """

    kind: Kind
    parent: Kind | None
    dockerfile: str
    files: tuple[str, ...]
    pins: Any


def image_definition(kind: Kind, pins: Pins) -> ImageDefinition:
    """Return the definition of an image.

    Raises:
        UsageError: there is no such kind.
    """
    if kind == "base":
        system = [pins.debian.model_dump(mode="json"), {"epoch": BASE_EPOCH, "dpkg": BASE_EXCLUDES}]
        return ImageDefinition(kind, PARENTS[kind], "", (), system)
    if kind in {"train", "service"}:
        image = python_image(kind, pins)
        packages = {
            "python": image.python,
            "system": image.system_packages,
            "build": image.build_packages,
        }
        return ImageDefinition(
            kind, PARENTS[kind], f"docker/{kind}.Dockerfile", (PYTHON_LOCKS[kind],), packages
        )
    if kind == "cross":
        used = [pins.cross.model_dump(mode="json"), pins.tflm.model_dump(mode="json")]
        files = ("tflm/image/Makefile",)
        return ImageDefinition(kind, PARENTS[kind], "docker/cross.Dockerfile", files, used)
    if kind == "host":
        compiler = pins.host_compiler.model_dump(mode="json")
        return ImageDefinition(kind, PARENTS[kind], "docker/host.Dockerfile", (), compiler)
    if kind == "notebook":
        packages = {"python": pins.train.python, "build": pins.train.build_packages}
        dockerfile = "docker/notebook.Dockerfile"
        return ImageDefinition(kind, PARENTS[kind], dockerfile, (NOTEBOOK_LOCK,), packages)
    raise UsageError(f"there is no image {kind!r}", next_step=f"one of {', '.join(KINDS)}")


PYTHON_LOCKS: Mapping[Kind, str] = {
    "train": TRAIN_LOCK,
    "notebook": NOTEBOOK_LOCK,
    "service": SERVICE_LOCK,
}
"""The lock of the wheels of each image with Python."""


def python_image(kind: Kind, pins: Pins) -> PythonImagePins:
    """Return which Python and packages an image with Python has; the notebook's are the train's."""
    return pins.service if kind == "service" else pins.train


def image_content(kind: Kind, pins: Pins, layout: Layout) -> str:
    """Return the sha256, in hexadecimal, over everything that makes the image.

    Raises:
        PinsError: a file of the definition cannot be read.
        UsageError: there is no such kind.
    """
    definition = image_definition(kind, pins)
    paths = [path for path in (definition.dockerfile, *definition.files) if path]
    described = {
        "kind": kind,
        "parent": image_name(definition.parent, pins, layout) if definition.parent else "",
        "pins": definition.pins,
        "files": {path: _sha256(layout.project / path) for path in paths},
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PinsError(
            f"{path} cannot be read",
            why=str(error),
            next_step="an image is made from it: restore it from git",
        ) from error


def image_name(kind: Kind, pins: Pins, layout: Layout) -> str:
    """Return the image's name, such as ``tinyml-toolchain/cross:0123456789abcdef01234567``.

    The tag is the start of the sha256 over Dockerfile, locks, the pins used and the parent's name;
    no engine is asked.

    Raises:
        PinsError: a file of the definition cannot be read.
        UsageError: there is no such kind.
    """
    return name_by_content(kind, image_content(kind, pins, layout))


def name_by_content(kind: str, sha256: str, repository: str = REPOSITORY) -> str:
    """Return the name of what stands for a kind of image and has this content."""
    return f"{repository}/{kind}:{sha256[:_NAME_DIGITS]}"


def kind_of(name: str, pins: Pins, layout: Layout) -> Kind:
    """Return the kind that a kind or a full image name of this checkout means.

    Raises:
        UsageError: it is neither.
    """
    for kind in KINDS:
        if name in {kind, image_name(kind, pins, layout)}:
            return kind
    raise UsageError(
        f"{name} is no image of this checkout",
        why="its Dockerfile, locks or pins have changed since the name was made"
        if name.startswith(REPOSITORY)
        else "",
        next_step=f"name one of {', '.join(KINDS)}",
    )


def project_pins(layout: Layout) -> Pins:
    """Read the pins of the checkout.

    Raises:
        PinsError: the file is missing or malformed.
    """
    return load_pins(layout.project / PINS_FILE)
