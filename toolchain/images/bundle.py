"""One archive with everything pinned, for a machine without network.

It is a plain tar file::

    bundle.json          what is in it: schema, base image, files by digest, lists of downloads
    base.tar             the base image, as the engine saves it
    downloads/<sha256>   Debian packages, wheels, the crate: what the other images are built from
    wheels/*.whl         what ./invoke itself needs, for toolchain/environment.py

The images are built from it as they are from the network: what ``pins.toml`` and the locks pin is
checked against them, not against the bundle. What they do not pin, the base and the packages of the
operating system, is checked against ``bundle.json``, and so is as good as whoever made the bundle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.engine.connection import Engine
from toolchain.environment import BUNDLE_VARIABLE
from toolchain.errors import DigestMismatchError, PinsError, UsageError
from toolchain.images.downloads import Downloads
from toolchain.images.leftovers import BASE_PREFIX
from toolchain.images.shared_record import project_record
from toolchain.images.sharing import image_problem
from toolchain.layout import Layout
from toolchain.paths import user_path

SCHEMA = "tinyml-toolchain/bundle/1"
MANIFEST = "bundle.json"
BASE = "base.tar"
_LARGEST_MANIFEST_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_EPOCH = 315_619_200
_KEY = re.compile(r"[0-9a-f]{64}")

Lists = Mapping[str, Mapping[str, Digest]]


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds.

    Attributes:
        base: content name of the base image.
        base_file: its archive.
        lists: which downloads belong together, as ``Downloads`` keeps them.
        files: the downloads.
    """

    path: Path
    base: str
    base_file: Digest
    lists: Lists
    files: frozenset[Digest]


def chosen_bundle(environ: Mapping[str, str]) -> Path | None:
    """Return the bundle that the user named, if any."""
    text = environ.get(BUNDLE_VARIABLE, "")
    return user_path(text) if text else None


def write_bundle(
    out: Path,
    *,
    base: str,
    base_archive: Path,
    downloads: Downloads,
    lists: Lists,
    others: Iterable[Digest],
    wheels: Iterable[Path],
) -> None:
    """Write a bundle; it appears by rename when it is complete.

    Args:
        out: where to; what is there is replaced.
        base: content name of the base image.
        base_archive: the base image, as the engine saves it.
        downloads: has the files.
        lists: lists of files, by key.
        others: further files, of no list.
        wheels: what ``./invoke`` needs.

    Raises:
        DigestMismatchError: a download is damaged.
        OSError: something cannot be read or written.
    """
    files = {digest for names in lists.values() for digest in names.values()} | set(others)
    base_digest = Digest.of_file(base_archive)
    document = {
        "schema": SCHEMA,
        "base": {"name": base, "file": _pair(base_digest)},
        "files": [_pair(digest) for digest in sorted(files)],
        "lists": {
            key: {name: _pair(digest) for name, digest in sorted(names.items())}
            for key, names in sorted(lists.items())
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
            text = (json.dumps(document, indent=1) + "\n").encode()
            _add(archive, MANIFEST, io.BytesIO(text), len(text))
            with base_archive.open("rb") as stream:
                _add(archive, BASE, stream, base_digest.size_bytes)
            for digest in sorted(files):
                if not downloads.is_intact(digest):
                    raise DigestMismatchError(
                        f"{downloads.path(digest)} is damaged or has gone",
                        next_step="run the command again: it will be fetched anew",
                    )
                with downloads.path(digest).open("rb") as stream:
                    _add(archive, f"downloads/{digest.sha256}", stream, digest.size_bytes)
            for wheel in sorted(wheels):
                with wheel.open("rb") as stream:
                    _add(archive, f"wheels/{wheel.name}", stream, wheel.stat().st_size)
        partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)


def _pair(digest: Digest) -> list[str | int]:
    return [digest.sha256, digest.size_bytes]


def _add(archive: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, _EPOCH
    archive.addfile(entry, stream)


def read_bundle(path: Path) -> Bundle:
    """Read what a bundle says that it holds.

    Raises:
        UsageError: there is no such file, or it is no bundle of this version.
    """
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            entry = archive.next()
            if entry is None or entry.name != MANIFEST or entry.size > _LARGEST_MANIFEST_BYTES:
                raise ValueError(f"it does not begin with {MANIFEST}")
            content = archive.extractfile(entry)
            document = json.loads(content.read() if content else b"")
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        lists = {
            _key(key): {str(name): _digest(pair) for name, pair in names.items()}
            for key, names in document["lists"].items()
        }
        base = document["base"]
        files = frozenset(_digest(pair) for pair in document["files"])
        return Bundle(path, str(base["name"]), _digest(base["file"]), lists, files)
    except FileNotFoundError as error:
        raise UsageError(f"there is no bundle {path}", next_step="look at its path") from error
    except (
        *(OSError, tarfile.TarError, ValueError, KeyError, TypeError, AttributeError),
        RecursionError,
    ) as error:
        raise UsageError(
            f"{path} is no bundle that can be used",
            why=str(error),
            next_step="make one with ./invoke bundle, in the same version of this project",
        ) from error


def _key(text: str) -> str:
    if _KEY.fullmatch(text) is None:
        raise ValueError("a list has no digest for its name")
    return text


def _digest(pair: Any) -> Digest:
    sha256, size = pair
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise TypeError("a size is none")
    return Digest(_key(sha256), size)


def import_downloads(bundle: Bundle, layout: Layout, reporter: Reporter) -> int:
    """Take a bundle's downloads into the cache, each one checked; return how many were new.

    Raises:
        DigestMismatchError: one is not what the bundle says, or is missing; those before it stay.
        OSError: there is no room, or the bundle cannot be read.
    """
    downloads = Downloads(layout.downloads)
    wanted = {f"downloads/{item.sha256}": item for item in bundle.files if not downloads.has(item)}
    if wanted:
        with reporter.activity(f"reading {bundle.path.name}"), _members(bundle) as members:
            for entry, content in members:
                digest = wanted.pop(entry.name, None)
                if digest is not None:
                    downloads.add_stream(content, entry.name, frozenset({digest.sha256}))
    if wanted:
        raise _damaged(bundle.path, f"{min(wanted)} is not in it")
    for key, names in bundle.lists.items():
        if downloads.read_list(key) != names:
            downloads.write_list(key, names)
    return len(bundle.files)


@contextmanager
def _members(bundle: Bundle) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """Yield the regular files of a bundle in order.

    Raises:
        DigestMismatchError: the archive is cut off or damaged.
    """

    def members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is not None:
                yield entry, content

    try:
        with tarfile.open(bundle.path, "r:") as archive:
            yield members(archive)
    except (tarfile.TarError, EOFError, ValueError) as error:
        # ValueError: a size that no file has.
        raise _damaged(bundle.path, str(error)) from error


def _damaged(path: Path, why: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"{path} is damaged",
        why=f"{why}; it may not have been copied completely",
        next_step="compare its sha256 with what ./invoke bundle printed, and copy it again",
    )


def load_base(
    bundle: Bundle,
    engine: Engine,
    name: str,
    content: str,
    *,
    layout: Layout,
) -> None:
    """Bring the bundle's base image into the engine.

    Args:
        bundle: read from its file.
        engine: where the image has to be.
        name: content name that this checkout gives its base.
        content: its full content digest.
        layout: its cache holds the archive meanwhile, and its project the record of known images.

    Raises:
        PinsError: the bundle's base is another one.
        DigestMismatchError: the archive is not what the bundle says, or holds something else.
        docker.errors.DockerException: the engine refuses it.
    """
    if bundle.base != name:
        raise PinsError(
            f"{bundle.path} is for other pins",
            why=f"its base image is {bundle.base}, and this checkout's is {name}",
            next_step="take the bundle of this very version of the project, or make a new one",
        )
    layout.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.cache, prefix=BASE_PREFIX) as folder:
        archive = Path(folder) / BASE
        _extract(bundle, archive)
        _require_only(archive, name)
        with archive.open("rb") as stream:
            engine.client.images.load(stream)
    about = engine.client.api.inspect_image(name)
    known = project_record(layout).read().get(name)
    problem = image_problem(engine.client, about, "base", content, known)
    if problem:
        engine.client.images.remove(name)
        raise DigestMismatchError(
            f"the base image of {bundle.path} was refused: {problem}",
            next_step="take another bundle, from someone whom you trust",
        )


def _extract(bundle: Bundle, archive: Path) -> None:
    hasher = hashlib.sha256()
    with _members(bundle) as members, archive.open("xb") as target:
        for entry, content in members:
            if entry.name == BASE:
                while chunk := content.read(_CHUNK_BYTES):
                    hasher.update(chunk)
                    target.write(chunk)
                break
    if hasher.hexdigest() != bundle.base_file.sha256:
        raise _damaged(bundle.path, f"{BASE} is not what {MANIFEST} says")


def _require_only(archive: Path, name: str) -> None:
    """Check that loading an archive gives one image, of one name, and touches no other."""
    try:
        with tarfile.open(archive, "r:") as images:
            content = images.extractfile("manifest.json")
            document = json.loads(content.read() if content else b"")
        tags = [item["RepoTags"] for item in document]
    except (
        *(tarfile.TarError, EOFError, ValueError, KeyError, TypeError),
        RecursionError,
    ) as error:
        raise _damaged(archive, f"it is no saved image ({error})") from error
    if tags != [[name]]:
        raise DigestMismatchError(
            f"the bundle's base image comes with other names: {tags}",
            why="loading it could replace other images",
            next_step="take another bundle, from someone whom you trust",
        )


def save_base(engine: Engine, name: str, archive: Path) -> None:
    """Write an image to a file as the engine saves it.

    Raises:
        docker.errors.DockerException: the engine refuses.
        OSError: there is no room.
    """
    with archive.open("xb") as target:
        for chunk in engine.client.images.get(name).save(named=name):
            target.write(chunk)
