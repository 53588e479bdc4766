"""Makes the archive from which a machine without network builds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.errors import NetworkError
from toolchain.layout import Layout, project_layout
from toolchain.pins import Pins
from toolchain.pins.locks import BUNDLED_LOCKS
from toolchain.quoted import last_lines

DEFAULT_NAME = "tinyml-toolchain-bundle.tar"
_SHOWN_LINES = 4


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was written; ``files`` counts downloads and wheels."""

    path: Path
    digest: Digest
    files: int


def make_bundle(reporter: Reporter, out: Path | None = None) -> MadeBundle:
    """Write everything pinned to one file, fetched first where it is missing.

    Args:
        reporter: told what goes on.
        out: where to; ``build/tinyml-toolchain-bundle.tar`` when not given.

    Raises:
        NetworkError: something has to be fetched and cannot.
        DigestMismatchError: something is not what was pinned.
        PinnedPackageGoneError: a pinned version is no longer offered.
        DiskFullError: there is no room.
        ToolchainError: there is no engine, or the base image cannot be made.
    """
    from toolchain.actions import project_lock
    from toolchain.disk import require_space
    from toolchain.engine import open_engine
    from toolchain.images import project_pins
    from toolchain.images.bundle import BASE, save_base, write_bundle
    from toolchain.images.downloads import Downloads
    from toolchain.images.ensure import ensure_image, fetch_inputs
    from toolchain.images.leftovers import BASE_PREFIX
    from toolchain.images.making import making_images

    layout = project_layout()
    pins = project_pins(layout)
    path = out or layout.build / DEFAULT_NAME
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        base = ensure_image(engine, "base", layout=layout, pins=pins, reporter=reporter)
        with (
            making_images(engine, layout, reporter),
            tempfile.TemporaryDirectory(dir=layout.cache, prefix=BASE_PREFIX) as folder,
        ):
            lists, files = fetch_inputs(engine, base, layout=layout, pins=pins, reporter=reporter)
            wheels = _wheels(layout, pins, Path(folder) / "wheels", reporter)
            archive = Path(folder) / BASE
            save_base(engine, base, archive)
            every = {item for names in lists.values() for item in names.values()} | files
            size = sum(item.size_bytes for item in every) + archive.stat().st_size
            require_space([path.parent], size, f"writing {path.name}")
            with reporter.activity(f"writing {path.name}"):
                write_bundle(
                    path,
                    base=base,
                    base_archive=archive,
                    downloads=Downloads(layout.downloads),
                    lists=lists,
                    others=files,
                    wheels=wheels,
                )
    return MadeBundle(path, Digest.of_file(path), len(every) + len(wheels))


def _wheels(layout: Layout, pins: Pins, folder: Path, reporter: Reporter) -> list[Path]:
    """Download what ``./invoke`` needs, for each Python that it runs on, with pip.

    Raises:
        NetworkError: pip could not download it; it checks each file against the lock.
    """
    folder.mkdir()
    for name in BUNDLED_LOCKS:
        with reporter.activity(f"fetching {name}") as activity:
            for python in pins.host.python:
                activity.update(f"for Python {python}")
                _download(layout.project / name, python, folder)
    return sorted(folder.iterdir())


def _download(lock: Path, python: str, folder: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--require-hashes", "--no-deps"),
            *("--only-binary", ":all:", "--python-version", python),
            *("--dest", str(folder), "--requirement", str(lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise NetworkError(
            f"{lock.name} could not be fetched for Python {python}",
            why=f"pip said last:\n{last_lines(done.stderr, _SHOWN_LINES)}",
            next_step="check the network, PIP_INDEX_URL, PIP_CERT and HTTPS_PROXY",
        )
