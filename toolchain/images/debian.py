"""Debian packages through apt, inside a fetching container."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.errors import PinnedPackageGoneError
from toolchain.pins import FilePin

if TYPE_CHECKING:
    from toolchain.images.container import FetchContainer

Said = Callable[[str], None]

_APT = (
    *("apt-get", "--yes", "--no-install-recommends"),
    *("-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20"),
    *("-o", "Acquire::https::Timeout=20", "-o", "Dpkg::Use-Pty=0"),
    *("-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any"),
    # The container is thrown away: that its files survive a power cut is worth no waiting.
    *("-o", "Dpkg::Options::=--force-unsafe-io"),
)

_ONCE = (
    *("-o", "Acquire::Retries=0"),
    *("-o", "Acquire::http::Timeout=8", "-o", "Acquire::https::Timeout=8"),
)


def _apt(container: FetchContainer) -> list[str]:
    options = list(_APT)
    bundle = container.site.environment.get("SSL_CERT_FILE")
    if bundle:
        options += ["-o", f"Acquire::https::CAInfo={bundle}"]
    return options


def update_index(
    container: FetchContainer, suite: str, said: Said | None = None, *, once: bool = False
) -> None:
    """Fetch the suite's index; apt checks it against Debian's signing keys.

    Args:
        container: that fetches.
        suite: Debian's name of the release.
        said: told each line of apt.
        once: give up at the first fault, as who only wants to know whether it can be had.

    Raises:
        NetworkError: no mirror answers.
    """
    mirror = container.site.debian_mirror
    if mirror:
        lines = [f"deb {mirror} {name} main" for name in (suite, f"{suite}-updates")]
        container.write_file("/etc/apt/sources.list", "\n".join([*lines, ""]).encode())
        container.run(
            ["find", "/etc/apt/sources.list.d", "-type", "f", "-delete"], "the package sources"
        )
    command = [*_apt(container), *(_ONCE if once else ()), "update"]
    container.run(command, "Debian's package index", said=said, once=once)


def file_stem(package: str, version: str) -> str:
    """Return how apt begins the name of a package's file, architecture and suffix apart."""
    return f"{package}_{version.replace(':', '%3a')}_"


def download(
    container: FetchContainer,
    packages: Mapping[str, str | None],
    said: Said | None = None,
) -> list[Path]:
    """Download packages, and those they need that the base does not have.

    Args:
        container: one whose index was fetched.
        packages: exact version by name; None for the suite's current one.
        said: told each line of apt.

    Returns:
        The ``.deb`` files, in the container's out folder.

    Raises:
        NetworkError: the mirror does not answer.
        PinnedPackageGoneError: it does not have an exact version.
        DigestMismatchError: a file is not what the signed index says.
    """
    wanted = [f"{name}={version}" if version else name for name, version in packages.items()]
    container.run(
        [
            *(*_apt(container), "-o", "Dir::Cache::archives=/out", "--download-only"),
            *("install", *wanted),
        ],
        f"the Debian packages {', '.join(packages)}",
        said=said,
    )
    return sorted(container.out.glob("*.deb"))


def install(container: FetchContainer, packages: Collection[str], said: Said | None = None) -> None:
    """Install packages in the container itself, from its out folder where they are there.

    Raises:
        NetworkError: the mirror does not answer.
    """
    if packages:
        container.run(
            [*_apt(container), "-o", "Dir::Cache::archives=/out", "install", *packages],
            f"the Debian packages {', '.join(packages)}",
            said=said,
        )


def parse_package_records(text: str) -> dict[str, FilePin]:
    """Read the records of ``apt-cache show``; the first of a package is the newest.

    Records without a usable name, version, size and sha256 are passed over.
    """
    newest: dict[str, FilePin] = {}
    for name, pin in _records(text):
        newest.setdefault(name, pin)
    return newest


def _records(text: str) -> Iterator[tuple[str, FilePin]]:
    for record in re.split(r"\n\s*\n", text):
        fields = dict(
            re.findall(r"^(Package|Version|Size|SHA256): *(\S+) *$", record, re.MULTILINE)
        )
        with contextlib.suppress(KeyError, ValueError):
            pin = FilePin(
                version=fields["Version"], sha256=fields["SHA256"], size=int(fields["Size"])
            )
            yield fields["Package"], pin


def all_offered(
    container: FetchContainer, packages: Collection[str]
) -> dict[str, tuple[FilePin, ...]]:
    """Return every version of packages that the suite has, as the signed index says; newest first.

    A package that it does not have at all has none.
    """
    found: dict[str, list[FilePin]] = {name: [] for name in packages}
    # Of a name that it does not know apt-cache says nothing, unless it knows none of them.
    shown = container.run(["apt-cache", "show", "apt", *packages], "the package records")
    for name, pin in _records(shown):
        if name in found:
            found[name].append(pin)
    return {name: tuple(pins) for name, pins in found.items()}


def offered_packages(container: FetchContainer, packages: Collection[str]) -> dict[str, FilePin]:
    """Return the current version and digest of packages, as the signed index says.

    Raises:
        PinnedPackageGoneError: the suite has no package of one of the names.
    """
    shown = container.run(
        ["apt-cache", "--no-all-versions", "show", *packages], "the package records"
    )
    found = parse_package_records(shown)
    missing = sorted(set(packages) - set(found))
    if missing:
        raise PinnedPackageGoneError(
            f"the suite has no package {', '.join(missing)}",
            next_step="look for its successor and change pins.toml",
        )
    return {name: found[name] for name in packages}
