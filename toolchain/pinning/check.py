"""Says which pins are no longer offered, and which have a newer version."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from toolchain.console import Reporter
from toolchain.errors import NetworkError, PinnedPackageGoneError, PinsError, ToolchainError
from toolchain.layout import Layout
from toolchain.pinning.update import Lock, compiled, locks
from toolchain.pins import CratePin, FilePin, LockedRequirement, Pins, normalised, parse_lock

if TYPE_CHECKING:
    from toolchain.engine.connection import Engine
    from toolchain.images.container import FetchContainer

State = Literal["current", "outdated", "vanished", "unknown"]

_PROBE_SECONDS = 30
_LATEST = re.compile(r"^version: (\S+)(?: \(latest ([^\s)]+))?", re.MULTILINE)
_MISSING = re.compile(r"no version of ([A-Za-z0-9._-]+)==([^\s,]+)")


@dataclass(frozen=True)
class PinState:
    """A pin and what is offered today.

    Attributes:
        kind: ``package`` of Debian, ``wheel``, ``crate`` or ``image``.
        source: the file that pins it.
        offered: newest version, or digest of an image; empty where there is none.
        note: why the state is what it is, where that does not show.
    """

    kind: str
    name: str
    source: str
    pinned: str
    offered: str
    state: State
    note: str = ""


def check_packages(
    container: FetchContainer, packages: Mapping[str, FilePin], source: str
) -> Iterator[PinState]:
    """Compare pinned Debian packages with the suite's signed index.

    Args:
        container: one whose index was fetched.
        packages: pins by name.
        source: the file that pins them.
    """
    from toolchain.images.debian import all_offered

    for name, offered in all_offered(container, packages).items():
        pin = packages[name]
        newest = offered[0].version if offered else ""
        if pin in offered:
            state: State = "current" if pin.version == newest else "outdated"
            note = ""
        else:
            state = "vanished"
            same = any(item.version == pin.version for item in offered)
            note = "the mirror has another file of this version" if same else ""
        yield PinState("package", name, source, pin.version, newest, state, note)


def check_lock(
    lock: Lock,
    text: str,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[PinState]:
    """Compare a lock of Python packages with the index.

    What a lock has only because others need it is told only when it has vanished.

    Args:
        lock: how it is made.
        text: the lock.
        environ: proxies, certificates and index settings for uv.

    Raises:
        NetworkError: the index cannot be reached.
        PinsError: the lock is malformed, or uv is not installed.
    """
    locked = parse_lock(text, lock.name)
    gone = dict(_vanished(lock, text, locked, environ))
    try:
        newest = _versions(compiled(lock.requirements, lock.options, environ), lock.name)
        problem = ""
    except PinsError as error:
        newest, problem = {}, f"the newest ones cannot be used together: {error.why}"
    wanted = {normalised(name) for name in lock.requirements}
    for item in locked:
        offered = newest.get(item.name, "")
        lost = gone.get((item.name, item.version))
        if lost is not None:
            yield PinState("wheel", item.name, lock.name, item.version, offered, "vanished", lost)
        elif item.name in wanted:
            state: State = "current" if offered == item.version else "outdated"
            if not offered:
                state = "unknown"
            yield PinState("wheel", item.name, lock.name, item.version, offered, state, problem)


def _versions(text: str, name: str) -> dict[str, str]:
    return {item.name: item.version for item in parse_lock(text, name)}


def _vanished(
    lock: Lock, text: str, locked: Sequence[LockedRequirement], environ: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield name and version of what the index no longer has, and what is missing of it."""
    try:
        exact = [f"{name}=={version}" for name, version in lock.requirements.items()]
        again = compiled(exact, lock.options, environ, constraints=text)
    except PinsError as error:
        missing = {(normalised(name), version) for name, version in _MISSING.findall(error.why)}
        gone = missing & {(item.name, item.version) for item in locked}
        if not gone:
            raise
        for each in gone:
            yield each, "the index does not have this version"
        return
    # A lock may have two versions of a package, each with a marker of its own.
    offered = {(item.name, item.version): item.hashes for item in parse_lock(again, lock.name)}
    for item in locked:
        lost = item.hashes - offered.get((item.name, item.version), frozenset())
        if lost:
            yield (
                (item.name, item.version),
                f"{len(lost)} of {len(item.hashes)} locked files are not in the index",
            )


def check_crate(container: FetchContainer, pin: CratePin, source: str) -> PinState:
    """Compare a pinned crate with its registry.

    Args:
        container: one that has cargo.
        pin: name and version.
        source: the file that pins it.

    Raises:
        NetworkError: the registry does not answer.
    """
    from toolchain.images.fetch import crate_information

    try:
        said = crate_information(container, pin)
    except PinnedPackageGoneError as error:
        return PinState("crate", pin.crate, source, pin.version, "", "vanished", error.what)
    match = _LATEST.search(said)
    newest = (match[2] or match[1]) if match else ""
    state: State = "current" if newest == pin.version else "outdated"
    return PinState("crate", pin.crate, source, pin.version, newest, state if newest else "unknown")


def check_image(engine: Engine, pins: Pins, source: str) -> PinState:
    """Compare the base's pinned digest with what its tag is in the image registry today."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    name, pinned = pins.debian.registry_image, pins.debian.registry_digest
    client = engine.with_timeout(_PROBE_SECONDS)
    try:
        about = client.api.inspect_distribution(name)
        offered = str(about["Descriptor"]["digest"])
    except (DockerException, RequestException, KeyError) as error:
        said = str(getattr(error, "explanation", None) or error)
        return PinState("image", name, source, pinned, "", "unknown", said[:120])
    finally:
        client.close()
    state: State = "current" if offered == pinned else "outdated"
    return PinState("image", name, source, pinned, offered, state)


def check_pins(
    engine: Engine,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> tuple[PinState, ...]:
    """Compare everything pinned with what is offered today; changes nothing.

    What cannot be found out is ``unknown`` and says why.

    Raises:
        ToolchainError: there is no base image and none can be made.
    """
    from toolchain.images.container import open_fetch_container
    from toolchain.images.debian import install, update_index
    from toolchain.images.ensure import ensure_image
    from toolchain.images.making import making_images
    from toolchain.images.site import site_settings
    from toolchain.pins import PINS_FILE

    base = ensure_image(
        engine, "base", pins=pins, layout=layout, reporter=reporter, environ=environ
    )
    packages = {**pins.cross.packages, **pins.host_compiler.packages}
    crates = [pins.tflm, *(pins.test.crate(name) for name in pins.test.crates)]
    found: list[PinState] = []
    with (
        reporter.activity("asking for what is offered") as activity,
        making_images(engine, layout, reporter),
        open_fetch_container(engine, base, layout, site_settings(environ)) as container,
    ):

        def ask(kind: str, what: Sequence[str], answer: Callable[[], list[PinState]]) -> None:
            activity.update(f"{kind} {what[0]}")
            try:
                found.extend(answer())
            except (NetworkError, PinsError) as error:
                found.extend(
                    PinState(kind, name, PINS_FILE, "", "", "unknown", _reason(error))
                    for name in what
                )

        def debian() -> list[PinState]:
            update_index(container, pins.debian.suite)
            return list(check_packages(container, packages, PINS_FILE))

        def cargo() -> list[PinState]:
            install(container, pins.fetch.cargo_packages)
            return [check_crate(container, pin, PINS_FILE) for pin in crates]

        def wheels(lock: Lock) -> list[PinState]:
            text = (layout.project / lock.name).read_text(encoding="utf-8")
            return list(check_lock(lock, text, environ))

        ask("package", list(packages), debian)
        ask("crate", [pin.crate for pin in crates], cargo)
        for lock in locks(pins):
            ask("wheel", [lock.name], functools.partial(wheels, lock))
        found.append(check_image(engine, pins, PINS_FILE))
    return tuple(found)


def _reason(error: ToolchainError) -> str:
    return f"{error.what}: {error.why}".splitlines()[0][:200]


def vanished_error(states: Sequence[PinState]) -> PinnedPackageGoneError | None:
    """Return the error that names what has vanished; None when nothing has."""
    from toolchain.images.faults import WAYS_OUT

    gone = [state for state in states if state.state == "vanished"]
    if not gone:
        return None
    names = ", ".join(f"{state.name} {state.pinned}" for state in gone)
    return PinnedPackageGoneError(
        f"no longer offered: {names}",
        why="a machine that has not fetched it yet cannot build",
        next_step=f"{WAYS_OUT}, or take the current one with ./invoke pins --update",
    )
