"""Fetches what the images are built from, checks it, and puts it into the downloads."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.engine.connection import Engine
from toolchain.errors import PinnedPackageGoneError
from toolchain.images import debian
from toolchain.images.cancellation import Cancellation
from toolchain.images.container import OUT, FetchContainer, open_fetch_container
from toolchain.images.downloads import Downloads, mismatch
from toolchain.images.faults import WAYS_OUT
from toolchain.images.progress import Progress
from toolchain.images.site import CARGO_CONFIG_IN_CONTAINER, Site
from toolchain.layout import Layout
from toolchain.pins import (
    CratePin,
    FilePin,
    LockedRequirement,
    Pins,
    PythonImagePins,
    normalised,
)

Files = Mapping[str, Digest]
_PIP_VENV = "/opt/fetch"


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def base_identity(engine: Engine, base: str) -> list[str]:
    """Return what tells one base from another: the digests of its layers."""
    layers = engine.client.images.get(base).attrs["RootFS"]["Layers"]
    return [str(layer) for layer in layers]


class Fetcher:
    """Fetches through containers of the base image.

    Args:
        base: name of the base image, present in the engine.
        network: Docker's name of the network to fetch over.
        cancellation: ends a fetch from another thread.
    """

    def __init__(
        self,
        engine: Engine,
        base: str,
        *,
        pins: Pins,
        layout: Layout,
        reporter: Reporter,
        site: Site,
        network: str = "host",
        cancellation: Cancellation | None = None,
    ) -> None:
        self._engine = engine
        self._base = base
        self._pins = pins
        self._layout = layout
        self._reporter = reporter
        self._site = site
        self._network = network
        self._cancellation = cancellation
        self._downloads = Downloads(layout.downloads)
        self.lists: dict[str, Files] = {}
        """What was asked for so far: names and digests by the key of the list."""

    def pinned_packages(self, packages: Mapping[str, FilePin]) -> Files:
        """Return the ``.deb`` files of pinned packages and of what they need beyond the base.

        A package that is not pinned is checked by apt against the signed index.

        Raises:
            NetworkError: the mirror does not answer.
            PinnedPackageGoneError: it no longer has a pinned version.
            DigestMismatchError: a file is not the pinned one; none of them is used.
        """
        described = {name: pin.model_dump() for name, pin in packages.items()}
        key = _key("pinned", described, base_identity(self._engine, self._base))
        known = self._known(key, lambda files: agree_with_pins(files, packages))
        if known is not None:
            return known
        expected = sum(pin.size for pin in packages.values())
        with self._open("fetching Debian packages", expected) as (container, said):
            for name, pin in packages.items():
                # apt takes what it finds there when it is right, and asks for the rest only.
                if self._downloads.is_intact(pin.digest):
                    stem = debian.file_stem(name, pin.version)
                    for architecture in ("all", self._pins.debian.architecture):
                        shutil.copyfile(
                            self._downloads.path(pin.digest),
                            container.out / f"{stem}{architecture}.deb",
                        )
            debian.update_index(container, self._pins.debian.suite, said)
            versions = {name: pin.version for name, pin in packages.items()}
            debian.download(container, versions, said)
            checked = _choose_pinned(container.out, packages)
            files = {
                path.name: self._downloads.add(path, path.name, accepted)
                for path, accepted in checked.items()
            }
        self._remember(key, files)
        return files

    def system_packages(self, names: Sequence[str]) -> Files:
        """Return the ``.deb`` files of the suite's packages and of what they need beyond the base.

        They are checked by apt against the signed index.

        Raises:
            NetworkError: the mirror does not answer.
        """
        key = _key("system", tuple(names), base_identity(self._engine, self._base))
        known = self._known(key, _any)
        if known is not None:
            return known
        with self._open("fetching Debian packages") as (container, said):
            debian.update_index(container, self._pins.debian.suite, said)
            found = debian.download(container, dict.fromkeys(names), said)
            files = {path.name: self._downloads.add(path, path.name) for path in found}
        self._remember(key, files)
        return files

    def _known(self, key: str, is_sound: Callable[[Files], bool]) -> Files | None:
        """Return a list of the downloads, unless it says something else than the pins."""
        files = self._downloads.read_list(key)
        if files is None:
            return None
        if not is_sound(files):
            self._reporter.warning(
                f"a list of downloads ({key[:12]}) does not agree with the pins and is not used"
            )
            return None
        self.lists[key] = files
        return files

    def _remember(self, key: str, files: Files) -> None:
        self._downloads.write_list(key, files)
        self.lists[key] = files

    def python_files(
        self,
        image: PythonImagePins,
        lock_text: bytes,
        lock: tuple[LockedRequirement, ...],
        *,
        expected_bytes: int = 0,
    ) -> dict[str, Files]:
        """Return what an image with Python is built from: ``system``, ``build`` and ``wheels``.

        Args:
            image: its packages.
            lock_text: the hash lock, as pip reads it.
            lock: the same, parsed.
            expected_bytes: about how much there is to fetch; 0 where that is not known.

        Raises:
            NetworkError: mirror or index does not answer.
            PinnedPackageGoneError: the index no longer has a locked version.
            DigestMismatchError: a wheel is not the locked one; none of them is used.
        """
        identity = base_identity(self._engine, self._base)
        keys = {
            "system": _key("system", image.system_packages, identity),
            "build": _key("build", image.system_packages, image.build_packages, identity),
            "wheels": _key("wheels", image.python, hashlib.sha256(lock_text).hexdigest()),
        }
        found: dict[str, Files] = {}
        for name, key in keys.items():
            sound = functools.partial(agree_with_lock, lock=lock) if name == "wheels" else _any
            known = self._known(key, sound)
            if known is not None:
                found[name] = known
        if found.keys() == keys.keys():
            return found
        with self._open("fetching Python and its wheels", expected_bytes) as (container, said):
            debian.update_index(container, self._pins.debian.suite, said)
            system = debian.download(container, dict.fromkeys(image.system_packages), said)
            names = {path.name for path in system}
            both = dict.fromkeys((*image.system_packages, *image.build_packages))
            build = [
                path for path in debian.download(container, both, said) if path.name not in names
            ]
            found["system"] = {path.name: self._downloads.add(path, path.name) for path in system}
            found["build"] = {path.name: self._downloads.add(path, path.name) for path in build}
            if "wheels" not in found:
                debian.install(container, [*both, *self._certificate_packages()], said)
                make_pip(container, image.python)
                found["wheels"] = download_wheels(
                    container, (lock_text, lock), self._downloads, said
                )
        for name, files in found.items():
            self._remember(keys[name], files)
        return found

    def crate(self, pin: CratePin) -> Digest:
        """Return a crate.

        Raises:
            NetworkError: the registry does not answer.
            PinnedPackageGoneError: it does not have that version.
            DigestMismatchError: it is not the pinned one.
        """
        if self._downloads.is_intact(pin.digest):
            return pin.digest
        with self._open(f"fetching the crate {pin.crate}", pin.size) as (container, said):
            debian.update_index(container, self._pins.debian.suite, said)
            debian.install(container, self._pins.fetch.cargo_packages, said)
            return download_crate(container, pin, self._downloads, said)

    def _certificate_packages(self) -> tuple[str, ...]:
        return () if self._site.certificates else self._pins.fetch.pip_packages

    @contextmanager
    def _open(
        self, text: str, expected_bytes: int = 0
    ) -> Iterator[tuple[FetchContainer, debian.Said]]:
        with (
            self._reporter.activity(text) as activity,
            open_fetch_container(
                self._engine,
                self._base,
                self._layout,
                self._site,
                network=self._network,
                cancellation=self._cancellation,
            ) as container,
        ):
            progress = Progress(container.out, expected_bytes, activity.update)
            with progress.watched():
                yield container, progress.said


def _choose_pinned(out: Path, packages: Mapping[str, FilePin]) -> dict[Path, frozenset[str] | None]:
    """Return each fetched file with the digests it may have, all of them checked.

    Raises:
        PinnedPackageGoneError: a pinned package was not fetched.
        DigestMismatchError: a file is not the pinned one.
    """
    chosen: dict[Path, frozenset[str] | None] = {}
    files = sorted(out.glob("*.deb"))
    for name, pin in packages.items():
        stem = debian.file_stem(name, pin.version)
        matching = [path for path in files if path.name.startswith(stem)]
        if not matching:
            raise PinnedPackageGoneError(
                f"apt did not fetch {name} {pin.version}",
                why="the suite may not have this version any more",
                next_step=WAYS_OUT,
            )
        right = [path for path in matching if Digest.of_file(path) == pin.digest]
        if not right:
            got = Digest.of_file(matching[0]).sha256
            raise mismatch(matching[0].name, frozenset({pin.sha256}), got)
        chosen[right[0]] = frozenset({pin.sha256})
        files = [path for path in files if path not in matching]
    for path in files:
        chosen[path] = None
    return chosen


def agree_with_pins(files: Files, packages: Mapping[str, FilePin]) -> bool:
    """Return whether each pinned package is among files, as one file with the pinned digest."""
    return all(
        [
            digest
            for file, digest in files.items()
            if file.startswith(debian.file_stem(name, pin.version))
        ]
        == [pin.digest]
        for name, pin in packages.items()
    )


def _any(_: Files) -> bool:
    # What the suite has today is in no lock.
    return True


def agree_with_lock(files: Files, lock: tuple[LockedRequirement, ...]) -> bool:
    """Return whether each of the wheels is one of the lock, and none is missing."""
    accepted = _accepted(lock)
    needed = {item.name for item in lock if not item.marker}
    return needed <= {_project(file) for file in files} and all(
        digest.sha256 in accepted.get(_project(file), frozenset()) for file, digest in files.items()
    )


def _accepted(lock: tuple[LockedRequirement, ...]) -> dict[str, frozenset[str]]:
    accepted: dict[str, frozenset[str]] = {}
    for item in lock:
        accepted[item.name] = accepted.get(item.name, frozenset()) | item.hashes
    return accepted


def _project(wheel: str) -> str:
    return normalised(wheel.split("-", maxsplit=1)[0])


def make_pip(container: FetchContainer, python: str) -> None:
    """Make pip available in a container that has Python ``python`` with its venv module."""
    container.run([f"python{python}", "-m", "venv", _PIP_VENV], "pip")


def download_wheels(
    container: FetchContainer,
    lock: tuple[bytes, tuple[LockedRequirement, ...]],
    downloads: Downloads,
    said: debian.Said | None = None,
) -> Files:
    """Download the wheels of a hash lock with pip and check them again here.

    Args:
        container: one for which ``make_pip`` was called.
        lock: the lock as pip reads it, and parsed.
        downloads: where they go.
        said: told each line of pip.

    Raises:
        NetworkError: the index does not answer.
        PinnedPackageGoneError: it no longer has a locked version.
        DigestMismatchError: a wheel is not the locked one; none of them is kept.
    """
    container.write_file("/opt/requirements.lock", lock[0])
    folder = container.out / "wheels"
    # What arrives is seen here while it does.
    (container.out / "partial").mkdir(exist_ok=True)
    container.run(
        [
            *(f"{_PIP_VENV}/bin/pip", "download", "--require-hashes", "--only-binary", ":all:"),
            *(
                "--no-deps",
                "--no-cache-dir",
                "--disable-pip-version-check",
                "--progress-bar",
                "off",
            ),
            *("--no-input", "--timeout", "20", "--retries", "2"),
            *("--dest", f"{OUT}/wheels", "--requirement", "/opt/requirements.lock"),
        ],
        "the Python wheels",
        environment={"TMPDIR": f"{OUT}/partial"},
        said=said,
    )
    accepted = _accepted(lock[1])
    wheels = sorted(folder.iterdir())
    for wheel in wheels:
        digest = Digest.of_file(wheel).sha256
        hashes = accepted.get(_project(wheel.name), frozenset())
        if digest not in hashes:
            raise mismatch(wheel.name, hashes, digest)
    return {wheel.name: downloads.add(wheel, wheel.name) for wheel in wheels}


def crate_information(
    container: FetchContainer, pin: CratePin, said: debian.Said | None = None
) -> str:
    """Return what ``cargo info`` shows of a crate; it fetches it into the container's out folder.

    Raises:
        NetworkError: the registry does not answer.
        PinnedPackageGoneError: it does not have that version.
        DigestMismatchError: the file is not what the registry's index says.
    """
    site = container.site
    return container.run(
        [
            *("cargo", *(("--config", CARGO_CONFIG_IN_CONTAINER) if site.cargo_config else ())),
            # Unlike other commands, "info" refuses to follow a source replacement by itself.
            *("info", "--quiet", *(("--index", site.cargo_index) if site.cargo_index else ())),
            f"{pin.crate}@{pin.version}",
        ],
        f"the crate {pin.crate} {pin.version}",
        environment={"CARGO_HOME": f"{OUT}/cargo"},
        said=said,
    )


def download_crate(
    container: FetchContainer,
    pin: CratePin,
    downloads: Downloads,
    said: debian.Said | None = None,
) -> Digest:
    """Download one crate with cargo.

    ``cargo info`` fetches the crate it shows and not its 71 dependencies, as ``cargo fetch`` does.

    Raises:
        NetworkError: the registry does not answer.
        PinnedPackageGoneError: it does not have that version.
        DigestMismatchError: the file is not the pinned one.
    """
    crate_information(container, pin, said)
    found = sorted((container.out / "cargo").glob(f"registry/cache/*/{pin.file_name}"))
    if not found:
        raise PinnedPackageGoneError(
            f"cargo did not fetch {pin.file_name}",
            why="the registry may not have this version any more",
            next_step=WAYS_OUT,
        )
    return downloads.add(found[0], pin.file_name, frozenset({pin.sha256}))
