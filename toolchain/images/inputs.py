"""What each image is built from, fetched now where it is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toolchain.digest import Digest
from toolchain.images.definition import PYTHON_LOCKS, Kind, python_image
from toolchain.images.fetch import Fetcher
from toolchain.layout import Layout
from toolchain.pins import Pins, parse_lock

FETCH_BYTES: Mapping[Kind, int] = {
    "base": 40_000_000,
    "train": 400_000_000,
    "cross": 600_000_000,
    "host": 60_000_000,
    "notebook": 60_000_000,
    "service": 140_000_000,
}
"""About how much is fetched for each image, as it was measured; told while it is."""


@dataclass(frozen=True)
class BuildInputs:
    """What a Dockerfile is given.

    Attributes:
        small: contents of context files by name, ``Dockerfile`` among them.
        large: fetched context files by name.
        arguments: build arguments; ``BASE`` and ``WORK`` are added.
    """

    small: Mapping[str, bytes]
    large: Mapping[str, Digest]
    arguments: Mapping[str, str] = field(default_factory=dict)


def image_inputs(fetcher: Fetcher, kind: Kind, layout: Layout, pins: Pins) -> BuildInputs:
    """Return what the image of a kind other than the base is built from, without its Dockerfile.

    Raises:
        ToolchainError: something has to be fetched and cannot; see ``Fetcher``.
    """
    if kind == "cross":
        return _cross(fetcher, layout, pins)
    if kind == "host":
        return _host(fetcher, pins)
    return _python(fetcher, kind, layout, pins)


def _cross(fetcher: Fetcher, layout: Layout, pins: Pins) -> BuildInputs:
    debs = fetcher.pinned_packages(pins.cross.packages)
    crate = fetcher.crate(pins.tflm)
    makefile = (layout.project / "tflm/image/Makefile").read_bytes()
    large = {f"debs/{name}": digest for name, digest in debs.items()}
    return BuildInputs({"Makefile": makefile}, {**large, "tflm.crate": crate})


def _host(fetcher: Fetcher, pins: Pins) -> BuildInputs:
    debs = fetcher.pinned_packages(pins.host_compiler.packages)
    # The cross image, on which it stands, has some of what the compiler needs.
    there = pins.cross.packages
    large = {
        f"debs/{name}": digest
        for name, digest in debs.items()
        if name.partition("_")[0] not in there
    }
    return BuildInputs({}, large)


def _python(fetcher: Fetcher, kind: Kind, layout: Layout, pins: Pins) -> BuildInputs:
    name, image = PYTHON_LOCKS[kind], python_image(kind, pins)
    lock = (layout.project / name).read_bytes()
    locked = parse_lock(lock.decode("utf-8"), name)
    parts = fetcher.python_files(image, lock, locked, expected_bytes=FETCH_BYTES[kind])
    large = {
        f"{folder}/{file}": digest
        for folder, files in parts.items()
        for file, digest in files.items()
        # The notebook image stands on the train image, which has them.
        if kind != "notebook" or folder != "system"
    }
    small = {f"{kind}.lock": lock}
    return BuildInputs(small, large, {"PYTHON": image.python})
