"""Brings images into the engine: by name when they are there, else fetched for and built."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.disk import require_space
from toolchain.engine.connection import Engine
from toolchain.images.base import make_base
from toolchain.images.build import build_image
from toolchain.images.bundle import (
    Bundle,
    chosen_bundle,
    import_downloads,
    load_base,
    read_bundle,
)
from toolchain.images.cancellation import Cancellation
from toolchain.images.definition import (
    CONTENT_LABEL,
    KIND_LABEL,
    KINDS,
    Kind,
    image_content,
    image_definition,
    image_name,
    kind_of,
)
from toolchain.images.fetch import Fetcher
from toolchain.images.inputs import FETCH_BYTES, BuildInputs, image_inputs
from toolchain.images.making import engine_faults, making_images
from toolchain.images.sharing import REGISTRY_VARIABLE, check_registry, pull_image
from toolchain.images.side_by_side import in_order_of_parents
from toolchain.images.site import site_settings
from toolchain.layout import Layout
from toolchain.pins import Pins

NEEDED_BYTES: Mapping[Kind, int] = {
    "base": 1_000_000_000,
    "cross": 4_000_000_000,
    "host": 1_000_000_000,
    "train": 6_000_000_000,
    "notebook": 1_000_000_000,
    "service": 1_500_000_000,
}
"""Free space asked for before an image is made: downloads, the build's stages, the image itself."""

PURPOSES: Mapping[Kind, str] = {
    "base": "Debian, which the others stand on",
    "train": "Python with TensorFlow",
    "cross": "the Arm compiler and TensorFlow Lite Micro",
    "host": "a compiler for this computer, which judges your own model's firmware",
    "notebook": "Jupyter",
    "service": "BuildGrid and PostgreSQL, for remote execution",
}
"""What each image is for, told when it is made."""


def ensure_image(
    engine: Engine,
    name: str,
    *,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the full name of an image that is in the engine; ``ensure_images`` of one."""
    names = ensure_images(
        engine, [name], layout=layout, pins=pins, reporter=reporter, environ=environ
    )
    return names[0]


def ensure_images(
    engine: Engine,
    names: Collection[str],
    *,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """Return the full names of images that are in the engine, made now if they were not.

    Those that do not stand on each other are made side by side.

    Args:
        engine: where they have to be.
        names: kinds (``cross``) or full names (``tinyml-toolchain/cross:...``) of this checkout.
        layout: checkout and cache.
        pins: the checkout's pins.
        reporter: told what goes on.
        environ: the site's certificates, proxies and index settings.

    Raises:
        UsageError: a name is not one of this checkout.
        PinsError: a lock is malformed.
        NetworkError: something has to be fetched and cannot.
        DigestMismatchError: something fetched is not what was pinned.
        PinnedPackageGoneError: a pinned version is no longer offered.
        DiskFullError: there is too little space.
        ImageBuildError: a build failed.
        EngineUnavailableError: the engine stopped answering.
    """
    kinds = [kind_of(name, pins, layout) for name in names]
    full = tuple(image_name(kind, pins, layout) for kind in kinds)
    with engine_faults(layout):
        contents = [image_content(kind, pins, layout) for kind in kinds]
        if all(is_present(engine, *each) for each in zip(full, contents, strict=True)):
            return full
    with making_images(engine, layout, reporter):
        path = chosen_bundle(environ)
        bundle = read_bundle(path) if path else None
        if bundle is not None:
            import_downloads(bundle, layout, reporter)
        _Maker(engine, layout, pins, reporter, environ, bundle).ensure(kinds)
    return full


def fetch_inputs(
    engine: Engine,
    base: str,
    *,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> tuple[dict[str, Mapping[str, Digest]], frozenset[Digest]]:
    """Bring what all images are built from into the downloads.

    To be called inside ``making_images``; ``base`` is the base image, present in the engine.

    Returns:
        Lists of files that belong together, by the key of each; and all files.

    Raises:
        ToolchainError: as ``ensure_image``.
    """
    maker = _Maker(engine, layout, pins, reporter, environ)
    fetcher = maker.fetcher(base)
    files: set[Digest] = set()
    for kind in KINDS:
        if kind != "base":
            files.update(image_inputs(fetcher, kind, layout, pins).large.values())
    return fetcher.lists, frozenset(files)


def is_present(engine: Engine, name: str, content: str) -> bool:
    """Return whether the engine has the image with that content."""
    from docker.errors import ImageNotFound

    try:
        about = engine.client.api.inspect_image(name)
    except ImageNotFound:
        return False
    labels = (about.get("Config") or {}).get("Labels") or {}
    return bool(labels.get(CONTENT_LABEL) == content)


@dataclass(frozen=True)
class _Maker:
    engine: Engine
    layout: Layout
    pins: Pins
    reporter: Reporter
    environ: Mapping[str, str]
    bundle: Bundle | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)

    def ensure(self, kinds: Sequence[Kind]) -> None:
        missing: dict[Kind, Kind | None] = {}
        for kind in kinds:
            self._find_missing(kind, missing)
        # All others stand on the base, or fetch with it.
        if "base" in missing:
            self._make_base()
        others: dict[Kind, Kind | None] = {
            kind: parent for kind, parent in missing.items() if kind != "base"
        }
        for kind in others:
            self.reporter.note(
                f"the {kind} image is made now, once: {PURPOSES[kind]}, about "
                f"{FETCH_BYTES[kind] / 1e6:.0f} MB to fetch"
            )
        in_order_of_parents(others, self._make, self.cancellation)

    def _find_missing(self, kind: Kind, missing: dict[Kind, Kind | None]) -> None:
        """Add an image that has to be made, with all that it needs, to what is missing."""
        if kind in missing:
            return
        name = image_name(kind, self.pins, self.layout)
        content = image_content(kind, self.pins, self.layout)
        if is_present(self.engine, name, content) or self._pull(kind, name, content):
            return
        parent = image_definition(kind, self.pins).parent
        if parent is not None:
            self._find_missing(parent, missing)
            self._find_missing("base", missing)
        missing[kind] = parent

    def _make_base(self) -> None:
        name = image_name("base", self.pins, self.layout)
        content = image_content("base", self.pins, self.layout)
        self._require_space("base")
        if self.bundle is not None:
            load_base(self.bundle, self.engine, name, content, layout=self.layout)
            self.reporter.step(f"base: loaded from {self.bundle.path.name}")
            return
        make_base(
            self.engine,
            name,
            content,
            debian=self.pins.debian,
            layout=self.layout,
            reporter=self.reporter,
            environ=self.environ,
        )

    def _make(self, kind: Kind) -> None:
        """Make an image other than the base, whose parent is there."""
        self._require_space(kind)
        definition = image_definition(kind, self.pins)
        assert definition.parent is not None
        started = time.monotonic()
        fetcher = self.fetcher(image_name("base", self.pins, self.layout))
        inputs = image_inputs(fetcher, kind, self.layout, self.pins)
        dockerfile = (self.layout.project / definition.dockerfile).read_bytes()
        fetched = time.monotonic()
        build_image(
            self.engine,
            image_name(kind, self.pins, self.layout),
            BuildInputs({**inputs.small, "Dockerfile": dockerfile}, inputs.large, inputs.arguments),
            labels={
                KIND_LABEL: kind,
                CONTENT_LABEL: image_content(kind, self.pins, self.layout),
            },
            parent=image_name(definition.parent, self.pins, self.layout),
            layout=self.layout,
            reporter=self.reporter,
            cancellation=self.cancellation,
        )
        self.reporter.step(
            f"{kind} image: fetched in {fetched - started:.0f} s, "
            f"built in {time.monotonic() - fetched:.0f} s"
        )

    def fetcher(self, base: str) -> Fetcher:
        return Fetcher(
            self.engine,
            base,
            pins=self.pins,
            layout=self.layout,
            reporter=self.reporter,
            site=site_settings(self.environ),
            cancellation=self.cancellation,
        )

    def _require_space(self, kind: Kind) -> None:
        # The engine's folder is only looked at where it is on this machine's own disks.
        folders = [self.layout.cache]
        if self.engine.data_root.is_dir():
            folders.append(self.engine.data_root)
        require_space(folders, NEEDED_BYTES[kind], f"making the {kind} image")

    def _pull(self, kind: Kind, name: str, content: str) -> bool:
        """Return whether a registry that the user named had the image."""
        registry = self.environ.get(REGISTRY_VARIABLE, "")
        if not registry:
            return False
        self._require_space(kind)
        return pull_image(
            self.engine,
            check_registry(registry),
            name,
            content,
            kind=kind,
            layout=self.layout,
            reporter=self.reporter,
        )
