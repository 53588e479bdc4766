"""Brings an image into the engine: by name when it is there, else fetched for and built."""

from __future__ import annotations

import errno
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.engine.connection import Engine
from toolchain.errors import DiskFullError, EngineUnavailableError, ImageBuildError
from toolchain.images.base import make_base
from toolchain.images.bundle import (
    Bundle,
    chosen_bundle,
    import_downloads,
    load_base,
    read_bundle,
)
from toolchain.images.context import context_stream
from toolchain.images.definition import (
    CONTENT_LABEL,
    KIND_LABEL,
    KINDS,
    PYTHON_LOCKS,
    Kind,
    image_content,
    image_definition,
    image_name,
    kind_of,
    python_image,
)
from toolchain.images.disk import is_disk_full, require_space
from toolchain.images.downloads import Downloads
from toolchain.images.fetch import Fetcher
from toolchain.images.leftovers import remove_leftovers, remove_stages, work_identity
from toolchain.images.sharing import REGISTRY_VARIABLE, check_registry, pull_image
from toolchain.images.site import site_settings
from toolchain.layout import Layout
from toolchain.pins import Pins, parse_lock

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
    "train": "Python with TensorFlow, 400 MB to fetch",
    "cross": "the Arm compiler and TensorFlow Lite Micro, 600 MB to fetch",
    "host": "a compiler for this computer, which judges your own model's firmware, 60 MB to fetch",
    "notebook": "Jupyter, 60 MB to fetch",
    "service": "BuildGrid and PostgreSQL, for remote execution, 140 MB to fetch",
}
"""What each image is for, told when it is made; fetched is only what is not there yet."""

_LOG_LINES = 400
_SHOWN_LINES = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_ECHOED_COMMAND = re.compile(r"^The command '.*' returned a non-zero code: (\d+)$", re.DOTALL)


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


def ensure_image(
    engine: Engine,
    name: str,
    *,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the full name of an image that is in the engine, made now if it was not.

    Args:
        engine: where it has to be.
        name: a kind (``cross``) or a full name (``tinyml-toolchain/cross:...``) of this checkout.
        layout: checkout and cache.
        pins: the checkout's pins.
        reporter: told what goes on.
        environ: the site's certificates, proxies and index settings.

    Raises:
        UsageError: the name is not one of this checkout.
        PinsError: a lock is malformed.
        NetworkError: something has to be fetched and cannot.
        DigestMismatchError: something fetched is not what was pinned.
        PinnedPackageGoneError: a pinned version is no longer offered.
        DiskFullError: there is too little space.
        ImageBuildError: the build failed.
        EngineUnavailableError: the engine stopped answering.
    """
    kind = kind_of(name, pins, layout)
    full = image_name(kind, pins, layout)
    with _expected_errors(layout):
        if is_present(engine, full, image_content(kind, pins, layout)):
            return full
    with making_images(engine, layout, reporter):
        path = chosen_bundle(environ)
        bundle = read_bundle(path) if path else None
        if bundle is not None:
            import_downloads(bundle, layout, reporter)
        _Maker(engine, layout, pins, reporter, environ, bundle).ensure(kind)
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
            files.update(maker.inputs(fetcher, kind).large.values())
    return fetcher.lists, frozenset(files)


@contextmanager
def making_images(engine: Engine, layout: Layout, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of the cache's images, with what a killed command left behind removed.

    Raises:
        DiskFullError: the block found no space or no quota left.
        EngineUnavailableError: the engine stopped answering during the block.
        ImageBuildError: the engine refused something in the block.
    """
    from filelock import FileLock, Timeout

    with _expected_errors(layout):
        layout.cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(layout.cache / "images.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with reporter.activity("another command is making images"):
                lock.acquire()
        try:
            remove_leftovers(engine, layout)
            yield
        finally:
            lock.release()


@contextmanager
def _expected_errors(layout: Layout) -> Iterator[None]:
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        why = str(error.explanation or error)
        if is_disk_full(why):
            raise _engine_disk_full("images were made", why) from error
        raise ImageBuildError(
            "the Docker Engine refused what making an image needs",
            why=why,
            next_step="look at the engine with: docker info",
        ) from error
    except (DockerException, RequestException) as error:
        raise EngineUnavailableError(
            "the Docker Engine stopped answering while images were made",
            why=str(error),
            next_step="see that the engine runs (docker info), then run the command again",
        ) from error
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFullError(
            f"the disk of {layout.cache} is full, or the user's quota is used up",
            next_step="free some space, or put the cache elsewhere with TOOLCHAIN_CACHE; "
            "what was fetched and checked is kept",
        ) from error


def _engine_disk_full(when: str, why: str) -> DiskFullError:
    return DiskFullError(
        f"the engine's disk filled up while {when}",
        why=why,
        next_step="free some space: docker system df shows what is on the engine's disk",
    )


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

    def ensure(self, kind: Kind) -> str:
        name = image_name(kind, self.pins, self.layout)
        content = image_content(kind, self.pins, self.layout)
        if is_present(self.engine, name, content):
            return name
        if self._pull(kind, name, content):
            return name
        if kind != "base":
            self.reporter.note(f"the {kind} image is made now, once: {PURPOSES[kind]}")
        definition = image_definition(kind, self.pins)
        parent = self.ensure(definition.parent) if definition.parent else ""
        self._require_space(kind)
        started = time.monotonic()
        if kind == "base" and self.bundle is not None:
            load_base(self.bundle, self.engine, name, content, layout=self.layout)
            self.reporter.step(f"base: loaded from {self.bundle.path.name}")
            return name
        if kind == "base":
            make_base(
                self.engine,
                name,
                content,
                debian=self.pins.debian,
                layout=self.layout,
                reporter=self.reporter,
                environ=self.environ,
            )
            return name
        inputs = self.inputs(self.fetcher(self.ensure("base")), kind)
        dockerfile = (self.layout.project / definition.dockerfile).read_bytes()
        fetched = time.monotonic()
        build_image(
            self.engine,
            name,
            BuildInputs({**inputs.small, "Dockerfile": dockerfile}, inputs.large, inputs.arguments),
            labels={KIND_LABEL: kind, CONTENT_LABEL: content},
            parent=parent,
            layout=self.layout,
            reporter=self.reporter,
        )
        self.reporter.step(
            f"{kind} image: fetched in {fetched - started:.0f} s, "
            f"built in {time.monotonic() - fetched:.0f} s"
        )
        return name

    def fetcher(self, base: str) -> Fetcher:
        return Fetcher(
            self.engine,
            base,
            pins=self.pins,
            layout=self.layout,
            reporter=self.reporter,
            site=site_settings(self.environ),
        )

    def inputs(self, fetcher: Fetcher, kind: Kind) -> BuildInputs:
        """Return what the image of a kind other than the base is built from, fetched now."""
        if kind == "cross":
            return self._cross(fetcher)
        if kind == "host":
            return self._host(fetcher)
        return self._python(fetcher, kind)

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

    def _cross(self, fetcher: Fetcher) -> BuildInputs:
        debs = fetcher.pinned_packages(self.pins.cross.packages)
        crate = fetcher.crate(self.pins.tflm)
        makefile = (self.layout.project / "tflm/image/Makefile").read_bytes()
        large = {f"debs/{name}": digest for name, digest in debs.items()}
        return BuildInputs({"Makefile": makefile}, {**large, "tflm.crate": crate})

    def _host(self, fetcher: Fetcher) -> BuildInputs:
        debs = fetcher.pinned_packages(self.pins.host_compiler.packages)
        # The cross image, on which it stands, has some of what the compiler needs.
        there = self.pins.cross.packages
        large = {
            f"debs/{name}": digest
            for name, digest in debs.items()
            if name.partition("_")[0] not in there
        }
        return BuildInputs({}, large)

    def _python(self, fetcher: Fetcher, kind: Kind) -> BuildInputs:
        name, image = PYTHON_LOCKS[kind], python_image(kind, self.pins)
        lock = (self.layout.project / name).read_bytes()
        parts = fetcher.python_files(image, lock, parse_lock(lock.decode("utf-8"), name))
        large = {
            f"{folder}/{file}": digest
            for folder, files in parts.items()
            for file, digest in files.items()
            # The notebook image stands on the train image, which has them.
            if kind != "notebook" or folder != "system"
        }
        small = {f"{kind}.lock": lock}
        return BuildInputs(small, large, {"PYTHON": image.python})


def build_image(
    engine: Engine,
    name: str,
    inputs: BuildInputs,
    *,
    labels: Mapping[str, str],
    parent: str,
    layout: Layout,
    reporter: Reporter,
) -> None:
    """Build an image without network and name it when it is complete.

    Args:
        engine: where it is built.
        name: what to call it.
        inputs: Dockerfile, context and arguments.
        labels: of the image; its kind is told to the reporter.
        parent: name of the image below it.
        layout: its downloads hold the large context files.
        reporter: told what goes on.

    Raises:
        ImageBuildError: a command of the Dockerfile failed; the message has the log's last lines.
        DiskFullError: the engine's disk filled up.
        CacheCorruptError: a fetched file was damaged since it was checked.
    """
    work = work_identity(layout)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    identifier = ""
    # The tag's last part is a digest; the reader knows the image by its kind.
    title = f"building the {labels[KIND_LABEL]} image"
    try:
        with reporter.activity(title) as activity:
            arguments = {"BASE": parent, "WORK": work}
            downloads = Downloads(layout.downloads)
            for event in _events(engine, inputs, labels, arguments, downloads, title=title):
                text = _COLOUR.sub("", str(event.get("stream") or "")).strip()
                if text:
                    log.extend(text.splitlines())
                    if told := said_by_builder(text.splitlines()[-1]):
                        activity.update(told)
                if "error" in event:
                    raise _build_error(title, str(event["error"]), log)
                aux = event.get("aux")
                if isinstance(aux, dict) and "ID" in aux:
                    identifier = str(aux["ID"])
        if not identifier:
            raise _build_error(title, "the engine ended without an image", log)
        repository, _, tag = name.rpartition(":")
        engine.client.images.get(identifier).tag(repository, tag)
    finally:
        remove_stages(engine, work)


def said_by_builder(line: str) -> str:
    """Return what is worth showing of a line of the builder; empty for its own bookkeeping."""
    if step := _STEP.match(line):
        return f"step {step[1]} of {step[2]}"
    return "" if line.startswith(("--->", "Removing intermediate container")) else line[:100]


def _events(
    engine: Engine,
    inputs: BuildInputs,
    labels: Mapping[str, str],
    arguments: Mapping[str, str],
    downloads: Downloads,
    *,
    title: str,
) -> Iterator[Mapping[str, object]]:
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        with engine.builder() as client:
            yield from client.api.build(
                fileobj=context_stream(inputs.small, inputs.large, downloads),
                custom_context=True,
                buildargs={**inputs.arguments, **arguments},
                labels=dict(labels),
                network_mode="none",
                nocache=True,
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
                platform=engine.foreign_platform,
            )
    except APIError as error:
        raise _build_error(title, str(error.explanation or error), deque()) from error
    except (DockerException, RequestException) as error:
        raise ImageBuildError(
            "the connection to the engine broke off during a build",
            why=str(error),
            next_step="see that the engine still runs, then run the command again",
        ) from error


def _build_error(title: str, why: str, log: deque[str]) -> DiskFullError | ImageBuildError:
    # The engine repeats the whole command, which is in the Dockerfile.
    why = _ECHOED_COMMAND.sub(r"a command of the Dockerfile ended with \1", why)
    shown = "".join(f"\n    {line[:300]}" for line in list(log)[-_SHOWN_LINES:])
    if is_disk_full(why) or is_disk_full(shown):
        return _engine_disk_full(title, why)
    return ImageBuildError(
        f"{title} failed",
        why=f"{why}; the log's last lines:{shown}" if shown else why,
        next_step="the inputs were all fetched and checked, so this is a fault of the Dockerfile "
        "or of the engine: report it with the lines above",
    )
