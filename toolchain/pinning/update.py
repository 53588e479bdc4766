"""Refreshes the digests in ``pins.toml`` and makes the locks anew from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.console import Reporter
from toolchain.errors import NetworkError, PinsError
from toolchain.layout import Layout
from toolchain.pins import (
    HOST_LOCK,
    NOTEBOOK_LOCK,
    PINS_FILE,
    REMOTE_LOCK,
    SERVICE_LOCK,
    TEST_LOCK,
    TRAIN_LOCK,
    FilePin,
    Pins,
    check_locks,
    load_pins,
)

if TYPE_CHECKING:
    from toolchain.engine.connection import Engine

_HEADER = "# Made from pins.toml by ./invoke pins --update; every file by sha256.\n"
_IMAGE_PLATFORM = "x86_64-manylinux_2_40"
_LAST_LINES = 8


def lock_text(
    requirements: Mapping[str, str],
    options: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    *,
    constraints: str = "",
) -> str:
    """Return a hash lock of ``requirements`` and all they need.

    Args:
        requirements: exact version by name.
        options: which Pythons and platforms, in uv's words.
        environ: proxies, certificates and index settings for uv.
        constraints: another lock, whose versions are taken where it has them.

    Raises:
        PinsError: the requirements cannot be met together, or uv is not installed.
        NetworkError: the index cannot be reached.
    """
    wanted = [f"{name}=={version}" for name, version in sorted(requirements.items())]
    return compiled(wanted, options, environ, constraints=constraints)


def compiled(
    wanted: Iterable[str],
    options: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    *,
    constraints: str = "",
) -> str:
    """Return a hash lock of ``wanted``, requirements with or without a version; as ``lock_text``.

    Raises:
        PinsError: the requirements cannot be met together, or uv is not installed.
        NetworkError: the index cannot be reached.
    """
    folders = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    uv = shutil.which("uv", path=folders)
    if uv is None:
        raise PinsError("uv is not installed", next_step=f"pip install -r {TEST_LOCK}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as known:
        known.write(constraints)
        known.flush()
        done = subprocess.run(
            [
                *(uv, "pip", "compile", "-", "--no-config", "--generate-hashes", "--no-header"),
                *("--no-annotate", "--only-binary", ":all:", "--quiet", "--constraint", known.name),
                *options,
            ],
            input="".join(f"{line}\n" for line in wanted),
            env=_uv_environment(environ),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return _HEADER + done.stdout
    said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
    if any(word in done.stderr for word in ("Failed to fetch", "error sending request", "tls")):
        raise NetworkError(
            "the Python package index cannot be reached",
            why=said,
            next_step="check proxy and certificate settings (HTTPS_PROXY, SSL_CERT_FILE)",
        )
    raise PinsError("the requirements cannot be met together", why=said)


def _uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Say in uv's words what the site says in pip's."""
    from toolchain.images.site import site_settings

    said = {
        "UV_DEFAULT_INDEX": "" if "UV_INDEX_URL" in environ else environ.get("PIP_INDEX_URL", ""),
        "UV_INDEX": environ.get("PIP_EXTRA_INDEX_URL", ""),
        "SSL_CERT_FILE": str(site_settings(environ).certificates or ""),
    }
    return {name: value for name, value in said.items() if value} | dict(environ)


@dataclass(frozen=True)
class Lock:
    """How a lock is made.

    Attributes:
        name: its file.
        requirements: exact version by name.
        options: which Pythons and platforms, in uv's words.
        below: another lock, whose versions it takes where both have a package; may be empty.
    """

    name: str
    requirements: Mapping[str, str]
    options: tuple[str, ...]
    below: str


def locks(pins: Pins) -> tuple[Lock, ...]:
    """Return all locks; one that another takes versions from comes before it."""
    host = dict(pins.host.requirements)
    remote = {**host, **pins.remote.requirements}
    universal = ("--universal", "--python-version", min(pins.host.python, key=_minor))
    train, service = (
        ("--python-version", image.python, "--python-platform", _IMAGE_PLATFORM)
        for image in (pins.train, pins.service)
    )
    return (
        Lock(HOST_LOCK, host, universal, ""),
        Lock(REMOTE_LOCK, remote, universal, HOST_LOCK),
        Lock(TEST_LOCK, {**remote, **pins.test.requirements}, universal, REMOTE_LOCK),
        Lock(TRAIN_LOCK, dict(pins.train.requirements), train, ""),
        Lock(NOTEBOOK_LOCK, dict(pins.notebook.requirements), train, TRAIN_LOCK),
        Lock(SERVICE_LOCK, dict(pins.service.requirements), service, ""),
    )


def update_locks(
    layout: Layout, reporter: Reporter, environ: Mapping[str, str] = os.environ
) -> None:
    """Make the locks anew from ``pins.toml``; each is replaced by rename when it is complete.

    Raises:
        PinsError: the requirements cannot be met together.
        NetworkError: the index cannot be reached.
    """
    pins = load_pins(layout.project / PINS_FILE)
    texts: dict[str, str] = {}
    with reporter.activity("locking Python requirements") as activity:
        for lock in locks(pins):
            activity.update(lock.name)
            known = texts.get(lock.below, "")
            texts[lock.name] = lock_text(
                lock.requirements, lock.options, environ, constraints=known
            )
    for name, text in texts.items():
        _replace(layout.project / name, text)
        reporter.step(f"{name} made anew")
    check_locks(layout.project, pins)


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _replace(path: Path, text: str) -> None:
    finished = path.with_name(path.name + ".new")
    finished.write_text(text, encoding="utf-8")
    finished.replace(path)


def update_packages(
    engine: Engine, layout: Layout, reporter: Reporter, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Write the mirror's version, sha256 and size of each compiler package into ``pins.toml``.

    The values come from the suite's index, which apt has checked against Debian's signing keys.

    Returns:
        One line for each package that changed.

    Raises:
        NetworkError: the mirror cannot be reached.
        PinnedPackageGoneError: the mirror has no package of that name.
    """
    import tomlkit

    from toolchain.images.container import open_fetch_container
    from toolchain.images.debian import offered_packages, update_index
    from toolchain.images.ensure import ensure_image
    from toolchain.images.making import making_images
    from toolchain.images.site import site_settings

    path = layout.project / PINS_FILE
    pins: Pins = load_pins(path)
    base = ensure_image(
        engine, "base", pins=pins, layout=layout, reporter=reporter, environ=environ
    )
    with (
        making_images(engine, layout, reporter),
        open_fetch_container(engine, base, layout, site_settings(environ)) as container,
    ):
        update_index(container, pins.debian.suite)
        compilers = {
            "cross": pins.cross.packages,
            "host_compiler": pins.host_compiler.packages,
        }
        names = [name for packages in compilers.values() for name in packages]
        offered: Mapping[str, FilePin] = offered_packages(container, names)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    changes = []
    for compiler, packages in compilers.items():
        for name, old in packages.items():
            pin = offered[name]
            if pin != old:
                changes.append(f"{name}: {old.version} -> {pin.version}")
                for key, value in pin.model_dump().items():
                    document[compiler]["packages"][name][key] = value
    if changes:
        _replace(path, tomlkit.dumps(document))
    for change in changes:
        reporter.step(change)
    return tuple(changes)
