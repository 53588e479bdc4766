"""Reads hash locks, and checks that they agree with ``pins.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import PinsError
from toolchain.pins.tables import PINS_FILE, Pins

HOST_LOCK = "requirements.lock"
TEST_LOCK = "requirements-test.lock"
REMOTE_LOCK = "requirements-remote.lock"
TRAIN_LOCK = "docker/train.lock"
NOTEBOOK_LOCK = "docker/notebook.lock"
SERVICE_LOCK = "docker/service.lock"

BUNDLED_LOCKS = (HOST_LOCK, REMOTE_LOCK)
"""Locks of this machine's Python whose wheels are in an offline bundle."""


@dataclass(frozen=True)
class LockedRequirement:
    """One line of a lock.

    Attributes:
        name: normalised as PEP 503 says.
        marker: environment marker; empty when it always applies.
        hashes: sha256 of every file of that version that may be installed.
    """

    name: str
    version: str
    marker: str
    hashes: frozenset[str]


_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>.+))?$"
)
_HASH = re.compile(r"^sha256:([0-9a-f]{64})$")


def normalised(name: str) -> str:
    """Return a Python package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock(text: str, source: str) -> tuple[LockedRequirement, ...]:
    """Read a hash lock in pip's requirements format.

    Args:
        text: the lock.
        source: name of the file, for messages.

    Raises:
        PinsError: a line is not ``name==version [; marker] --hash=sha256:... ...``, or a package
            is there twice.
    """
    found: list[LockedRequirement] = []
    for line in text.replace("\\\n", " ").splitlines():
        content = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not content:
            continue
        requirement, *options = re.split(r"\s--hash=", content)
        match = _REQUIREMENT.match(requirement.strip())
        hashes = [_HASH.match(option.strip()) for option in options]
        if match is None or not hashes or None in hashes:
            raise PinsError(
                f"{source} has a line that is no hash-locked requirement: {content[:80]}",
                next_step="make it anew with ./invoke pins --update",
            )
        found.append(
            LockedRequirement(
                name=normalised(match["name"]),
                version=match["version"],
                marker=(match["marker"] or "").strip(),
                hashes=frozenset(item[1] for item in hashes if item is not None),
            )
        )
    _refuse_doubles(found, source)
    return tuple(found)


def _refuse_doubles(found: Sequence[LockedRequirement], source: str) -> None:
    """Refuse a package that is locked twice for the same case: pip would, or take either."""
    markers: dict[str, dict[str, str]] = {}
    for item in found:
        versions = markers.setdefault(item.name, {})
        if versions and (item.marker in versions or not item.marker or "" in versions):
            (other, *_) = versions.values()
            raise PinsError(
                f"{source} has {item.name} twice: {other} and {item.version}",
                why="two changes to it were merged, or it was edited",
                next_step="make it anew with ./invoke pins --update",
            )
        versions[item.marker] = item.version


def read_lock(path: Path) -> tuple[LockedRequirement, ...]:
    """Read the hash lock at ``path``.

    Raises:
        PinsError: it is missing or malformed.
    """
    try:
        return parse_lock(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise PinsError(
            f"{path} cannot be read",
            why=str(error),
            next_step="restore it from git, or make it anew with ./invoke pins --update",
        ) from error


def check_locks(project: Path, pins: Pins) -> None:
    """Check that each lock holds the versions that ``pins.toml`` asks for.

    Raises:
        PinsError: a lock is missing, malformed or stale.
    """
    wanted: dict[str, Mapping[str, str]] = {
        HOST_LOCK: pins.host.requirements,
        REMOTE_LOCK: {**pins.host.requirements, **pins.remote.requirements},
        TEST_LOCK: {
            **pins.host.requirements,
            **pins.remote.requirements,
            **pins.test.requirements,
        },
        TRAIN_LOCK: pins.train.requirements,
        NOTEBOOK_LOCK: pins.notebook.requirements,
        SERVICE_LOCK: pins.service.requirements,
    }
    for name, requirements in wanted.items():
        locked: dict[str, set[str]] = {}
        for item in read_lock(project / name):
            locked.setdefault(item.name, set()).add(item.version)
        stale = [
            f"{package} {version} (locked: {', '.join(sorted(locked.get(package, {'none'})))})"
            for package, version in requirements.items()
            if locked.get(normalised(package)) != {version}
        ]
        if stale:
            raise PinsError(
                f"{name} does not agree with {PINS_FILE}: {'; '.join(stale)}",
                why=f"{PINS_FILE} was edited and the lock was not made anew",
                next_step="run ./invoke pins --update",
            )
