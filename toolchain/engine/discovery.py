"""Where a Docker Engine may be: DOCKER_HOST, the current context, the default socket."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from toolchain.errors import EngineUnavailableError

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", ""}


@dataclass(frozen=True)
class Candidate:
    """An address at which an engine may answer.

    Attributes:
        origin: where the address comes from, for messages.
        url: address as Docker writes it: ``unix://``, ``npipe://``, ``tcp://``, ``https://``,
            ``ssh://``.
        tls: the SDK's TLS settings, or None.
        chosen: whether the user named it.
    """

    origin: str
    url: str
    tls: Any = None
    chosen: bool = False

    @property
    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            parts.hostname  # noqa: B018 -- is looked at only when it is asked for
        except ValueError:
            return SplitResult("", "", "", "", "")
        return parts

    @property
    def socket(self) -> Path | None:
        """Path of the Unix socket, or None."""
        parts = self._parts
        return Path(parts.path) if parts.scheme in {"unix", "http+unix"} else None

    @property
    def local(self) -> bool:
        """Whether the engine shares this machine's file system, which bind mounts need."""
        parts = self._parts
        if parts.scheme in {"unix", "http+unix", "npipe"}:
            return True
        return parts.scheme in {"tcp", "http", "https"} and (parts.hostname or "") in _LOCAL_HOSTS


def _tls_of(environ: Mapping[str, str]) -> Any:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    folder = environ.get("DOCKER_CERT_PATH")
    if not verify and not folder:
        return None
    certificates = Path(folder) if folder else docker_config_folder(environ)
    return _tls(certificates, verify, "DOCKER_TLS_VERIFY and DOCKER_CERT_PATH")


def _tls(folder: Path, verify: bool, origin: str) -> Any:
    from docker.errors import TLSParameterError
    from docker.tls import TLSConfig

    try:
        return TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=verify,
        )
    except TLSParameterError as error:
        raise EngineUnavailableError(
            f"the certificates for the Docker Engine cannot be read from {folder}",
            why=f"{origin} asks for cert.pem, key.pem and ca.pem there",
            next_step="put them there, or unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
        ) from error


def docker_config_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of Docker's own settings."""
    chosen = environ.get("DOCKER_CONFIG")
    return Path(chosen) if chosen else Path.home() / ".docker"


def _read_json(path: Path) -> Mapping[str, Any]:
    """Return the object in a JSON file; empty when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _context(name: str, folder: Path, origin: str, *, chosen: bool) -> Candidate:
    """Return what a Docker context says; without address when it is not there or unreadable.

    The files are read here and not by the SDK, which finds no context where there is no config.json
    and then looks into the working directory.
    """
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta = _read_json(folder / "contexts" / "meta" / identity / "meta.json")
    endpoints = meta.get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict):
        return Candidate(origin, "", chosen=chosen)
    certificates = folder / "contexts" / "tls" / identity / "docker"
    verify = not endpoint.get("SkipTLSVerify", False)
    secured = _tls(certificates, verify, origin) if certificates.is_dir() else None
    return Candidate(origin, str(endpoint.get("Host") or ""), secured, chosen)


def candidates(environ: Mapping[str, str] = os.environ) -> tuple[Candidate, ...]:
    """Return the addresses to try, in order.

    ``DOCKER_HOST`` (with ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``) leaves room for no other,
    nor does ``DOCKER_CONTEXT``; else the current context, then the default socket, then a
    rootless engine's.

    Raises:
        EngineUnavailableError: TLS is asked for and its certificates are not there.
    """
    host = environ.get("DOCKER_HOST")
    if host:
        address = host if "://" in host else f"tcp://{host}"
        only = Candidate(f"DOCKER_HOST={host}", address, chosen=True)
        return (only if only.socket else replace(only, tls=_tls_of(environ)),)
    named, folder = environ.get("DOCKER_CONTEXT"), docker_config_folder(environ)
    if named and named != "default":
        return (_context(named, folder, f"DOCKER_CONTEXT={named}", chosen=True),)
    addresses = []
    if not named:
        current = _read_json(folder / "config.json").get("currentContext")
        if isinstance(current, str) and current not in {"", "default"}:
            addresses.append(_context(current, folder, f"Docker context {current}", chosen=False))
    if os.name == "nt":
        addresses.append(Candidate("the default pipe", "npipe:////./pipe/docker_engine"))
        return tuple(addresses)
    addresses.append(Candidate(f"the default socket {DEFAULT_SOCKET}", f"unix://{DEFAULT_SOCKET}"))
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        path = Path(runtime) / "docker.sock"
        if os.path.exists(path):  # noqa: PTH110 -- also where the folder may not be searched
            addresses.append(Candidate(f"the rootless socket {path}", f"unix://{path}"))
    return tuple(addresses)
