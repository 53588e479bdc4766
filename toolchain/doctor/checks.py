"""Each check looks at one thing and changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from toolchain.doctor.finding import Finding
from toolchain.doctor.network import Asked, ask_image_registry, ask_mirror
from toolchain.errors import ToolchainError
from toolchain.flashing.host import Host, this_host
from toolchain.images.sharing import REGISTRY_VARIABLE
from toolchain.layout import Layout

FIRST_BUILD_BYTES = 12_000_000_000
"""Free space that a first build asks for: images, their stages, downloads."""

LEAST_MEMORY_BYTES = 4 << 30
"""Memory that the training step may take."""

EARLIEST = 1767225600.0
"""2026-01-01T00:00:00Z: a clock before that was never set, and certificates seem not yet valid."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NETWORK_SECONDS = 20
_NETWORK_CURE = "check proxy and certificates; what is in the cache, or in a bundle, needs none"


def _succeeds(command: Sequence[str]) -> bool:
    done = subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_NETWORK_SECONDS,
        check=False,
    )
    return done.returncode == 0


@dataclass(frozen=True)
class Surroundings:
    """What is looked at; a test makes up another one.

    Attributes:
        layout: the checkout and its cache.
        environ: variables of the command.
        host: serial ports and programs.
        memory_info: text of ``/proc/meminfo``.
        now: seconds since 1970.
        disk: path to total and free bytes of its file system.
        run: runs a program and returns whether it ended with success.
        ask_mirror: asks Debian's mirror; ``ask_image_registry`` a registry of images.
    """

    layout: Layout
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    host: Host = field(default_factory=this_host)
    memory_info: Callable[[], str] = field(default=lambda: Path("/proc/meminfo").read_text())
    now: Callable[[], float] = time.time
    disk: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)
    run: Callable[[Sequence[str]], bool] = _succeeds
    ask_mirror: Callable[[Layout, Mapping[str, str]], Asked] = ask_mirror
    ask_image_registry: Callable[[Layout, Mapping[str, str]], Asked] = ask_image_registry


Check = Callable[[Surroundings], Iterator[Finding]]


def python(about: Surroundings) -> Iterator[Finding]:
    """Look at the Python that runs the command, and its packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "ok", f"Python {version}")
    lock = about.layout.project / "requirements.lock"
    stamp = Path(sys.prefix) / "requirements.lock"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        yield Finding("packages", "ok", "the environment is what requirements.lock lists")
    else:
        yield Finding(
            "packages",
            "note",
            "the environment was not made by ./invoke from requirements.lock",
            "run the command as ./invoke, which makes .venv",
        )


def pins(about: Surroundings) -> Iterator[Finding]:
    """Look at ``pins.toml`` and its locks."""
    from toolchain.images import project_pins
    from toolchain.pins import check_locks

    check_locks(about.layout.project, project_pins(about.layout))
    yield Finding("pins", "ok", "pins.toml and its locks agree")


def engine(about: Surroundings) -> Iterator[Finding]:
    """Look for a Docker Engine that answers, and for the images in it."""
    from toolchain.engine.connection import answering_engine, find_dockerd
    from toolchain.images import STEP_KINDS, image_name, project_pins
    from toolchain.images.definition import image_content
    from toolchain.images.ensure import is_present

    with answering_engine(about.layout, environ=about.environ) as found:
        if found is None:
            yield _no_engine(about, find_dockerd(about.environ) is not None)
            return
        kind = "rootless" if found.rootless else "as root"
        yield Finding(
            "engine",
            "ok",
            f"Docker {found.version}, API {found.api_version}, {kind}, {found.architecture}, at "
            f"{'a private engine' if found.private else found.origin.partition('=')[0]}",
        )
        known = project_pins(about.layout)
        there = [
            kind
            for kind in STEP_KINDS
            if is_present(
                found,
                image_name(kind, known, about.layout),
                image_content(kind, known, about.layout),
            )
        ]
        missing = [kind for kind in ("base", "train", "cross") if kind not in there]
        if missing:
            yield Finding(
                "images",
                "note",
                f"not made yet: {', '.join(missing)}",
                "the first build makes them, in about five minutes; ./invoke images makes all",
            )
        else:
            yield Finding("images", "ok", f"made: {', '.join(there)}")


def _no_engine(about: Surroundings, installed: bool) -> Finding:
    may_start = os.name == "posix" and hasattr(os, "geteuid") and os.geteuid() == 0
    if may_start and (installed or shutil.which("apt-get", path=about.environ.get("PATH"))):
        what = "none answers; as you are root, each command starts a private one"
        return Finding("engine", "note", what, "nothing to be done, or start Docker yourself")
    from toolchain.engine.advice import install_advice

    cure = "sudo systemctl start docker" if installed else install_advice()
    return Finding("engine", "problem", "no Docker Engine answers", cure)


def disk(about: Surroundings) -> Iterator[Finding]:
    """Look at the space where the cache is, and where the checkout is."""
    for name, folder in (("cache", about.layout.cache), ("checkout", about.layout.project)):
        place = next(each for each in (folder, *folder.parents) if each.exists())
        free = about.disk(place)
        needed = FIRST_BUILD_BYTES if name == "cache" else 1_000_000_000
        enough = free >= needed
        yield Finding(
            f"disk of the {name}",
            "ok" if enough else "problem",
            f"{'enough' if enough else 'too little'} free space for a first build "
            f"({needed / 1e9:.0f} GB)",
            "" if enough else "free some space; TOOLCHAIN_CACHE puts the cache elsewhere",
            f"{free / 1e9:.1f} GB free",
        )


def memory(about: Surroundings) -> Iterator[Finding]:
    """Look at the memory that is there for a step."""
    lines = dict(line.split(":", 1) for line in about.memory_info().splitlines() if ":" in line)
    available = int(lines["MemAvailable"].split()[0]) * 1024
    enough = available >= LEAST_MEMORY_BYTES
    yield Finding(
        "memory",
        "ok" if enough else "problem",
        f"{'enough' if enough else 'too little'} for a step ({LEAST_MEMORY_BYTES >> 30} GiB)",
        "" if enough else "close other programs; training takes most",
        f"{available / (1 << 30):.1f} GiB available",
    )


def clock(about: Surroundings) -> Iterator[Finding]:
    """Look whether the clock was set."""
    if about.now() < EARLIEST:
        cure = "set the clock: certificates of registries seem not yet valid otherwise"
        yield Finding("clock", "problem", "it is before 2026", cure)
    else:
        yield Finding("clock", "ok", "it is set")


def certificates(about: Surroundings) -> Iterator[Finding]:
    """Look at the CA bundle that the fetching containers are given."""
    from toolchain.images.site import CERTIFICATE_VARIABLES, site_settings

    for name in CERTIFICATE_VARIABLES:
        path = about.environ.get(name)
        if path and not Path(path).is_file():
            cure = "name a file of certificates, or unset it"
            yield Finding("certificates", "problem", f"{name} names a file that is not there", cure)
            return
    found = site_settings(about.environ).certificates
    if found is None:
        yield Finding(
            "certificates",
            "note",
            "no CA bundle; the containers' own is used",
            "where a proxy signs anew, name its bundle in SSL_CERT_FILE",
        )
    else:
        yield Finding("certificates", "ok", f"CA bundle {found}")


def proxies(about: Surroundings) -> Iterator[Finding]:
    """Look at the proxies, which the fetching containers are given."""
    named = {name: about.environ.get(name) or about.environ.get(name.lower()) for name in _PROXIES}
    used = [name for name, value in named.items() if value]
    for name in used:
        if name != "NO_PROXY" and not urlsplit(named[name] or "").hostname:
            cure = "give it as http://host:port"
            yield Finding("proxies", "problem", f"{name} is no address", cure)
            return
    yield Finding("proxies", "ok", f"set: {', '.join(used)}" if used else "none")


def cache(about: Surroundings) -> Iterator[Finding]:
    """Look at the cache: whether it may be written, and how full it is."""
    from toolchain.actions.bound import cache_limit, measure

    folder = about.layout.cache
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        cure = "make it writable for you, or name another one in TOOLCHAIN_CACHE"
        yield Finding("cache", "problem", f"{folder} may not be written", cure)
        return
    limit = cache_limit()
    size = sum(part.size_bytes for part in measure(about.layout) if part.bounded)
    bound = f"kept within {limit / 1e9:.0f} GB" if limit else "without a bound"
    yield Finding("cache", "ok", f"{folder}, {bound}", measured=f"{size / 1e9:.2f} GB")


def registries(about: Surroundings) -> Iterator[Finding]:
    """Ask each kind of registry through the client that making an image uses."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "0")
    clients = {
        "Python packages": (*pip, "--timeout", "8", "index", "versions", "pip"),
        "Rust crates": ("cargo", "info", "--quiet", "itoa"),
    }
    for name, command in clients.items():
        if shutil.which(command[0], path=about.environ.get("PATH")) is None:
            what = f"not asked: {command[0]} is not installed here; a container will ask"
            yield Finding(name, "unknown", what)
        elif _answers(about, command):
            yield Finding(name, "ok", "the registry answers")
        else:
            yield Finding(
                name,
                "note",
                "the registry does not answer",
                _NETWORK_CURE,
            )
    yield _asked("Debian packages", "the mirror", about.ask_mirror(about.layout, about.environ))
    if about.environ.get(REGISTRY_VARIABLE):
        answer = about.ask_image_registry(about.layout, about.environ)
        yield _asked("images of others", "the registry", answer)


def _asked(check: str, who: str, asked: Asked) -> Finding:
    if asked.answer == "answers":
        return Finding(check, "ok", f"{who} answers" + (f"; {asked.why}" if asked.why else ""))
    if asked.answer == "not asked":
        return Finding(check, "unknown", f"not asked: {asked.why}")
    return Finding(check, "note", f"{who} does not answer", _NETWORK_CURE, asked.why)


def _answers(about: Surroundings, command: Sequence[str]) -> bool:
    try:
        return about.run(command)
    except subprocess.TimeoutExpired:
        return False


def boards(about: Surroundings) -> Iterator[Finding]:
    """Look for connected boards and whether their ports may be opened."""
    from toolchain.boards import board_names, find_board

    folder = about.layout.boards
    known = {
        usb: board.title
        for board in (find_board(folder, name) for name in board_names(folder))
        for way in board.flashing
        for usb in way.usb
    }
    ports = about.host.list_ports()
    matching = [port for port in ports if port.usb in known]
    if not matching:
        yield Finding("boards", "ok", f"none is connected; serial ports: {len(ports)}")
    for port in matching:
        if os.access(port.device, os.R_OK | os.W_OK):
            yield Finding("boards", "ok", f"{known[port.usb]} may be at {port.device}")
        else:
            yield Finding(
                "boards",
                "note",
                f"{known[port.usb]} may be at {port.device}, which you may not open",
                "sudo usermod -aG dialout $USER, then log in again",
            )


CHECKS: Mapping[str, Check] = {
    "Python": python,
    "pins": pins,
    "engine": engine,
    "disk": disk,
    "memory": memory,
    "clock": clock,
    "certificates": certificates,
    "proxies": proxies,
    "registries": registries,
    "cache": cache,
    "boards": boards,
}
"""Every check by the name under which its own failure is told."""


def examine(about: Surroundings, checks: Mapping[str, Check] = CHECKS) -> tuple[Finding, ...]:
    """Return what every check found; one that fails itself is a finding too. Never raises."""
    findings: list[Finding] = []
    for name, check in checks.items():
        try:
            findings.extend(check(about))
        except ToolchainError as error:
            findings.append(Finding(name, "problem", error.what, error.next_step or error.cure))
        except Exception as error:  # whatever a strange machine makes of a check
            what = f"could not be looked at ({type(error).__name__})"
            findings.append(Finding(name, "unknown", what, measured=str(error)[:200]))
    return tuple(findings)
