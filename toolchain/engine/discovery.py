"""Where a Docker Engine may be: DOCKER_HOST, the current context, the default socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
    def socket(self) -> Path | None:
        """Path of the Unix socket, or None."""
        parts = urlsplit(self.url)
        return Path(parts.path) if parts.scheme in {"unix", "http+unix"} else None

    @property
    def local(self) -> bool:
        """Whether the engine shares this machine's file system, which bind mounts need."""
        parts = urlsplit(self.url)
        if parts.scheme in {"unix", "http+unix", "npipe"}:
            return True
        return parts.scheme in {"tcp", "http", "https"} and (parts.hostname or "") in _LOCAL_HOSTS


def _tls_of(environ: Mapping[str, str]) -> Any:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    folder = environ.get("DOCKER_CERT_PATH")
    if not verify and not folder:
        return None
    from docker.tls import TLSConfig

    certificates = Path(folder) if folder else Path.home() / ".docker"
    return TLSConfig(
        client_cert=(str(certificates / "cert.pem"), str(certificates / "key.pem")),
        ca_cert=str(certificates / "ca.pem"),
        verify=verify,
    )


def _context(name: str | None) -> Candidate | None:
    from docker.context import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError):
        return None
    if context is None or context.name == "default" or not context.Host:
        return None
    return Candidate(
        f"Docker context {context.name}", context.Host, context.TLSConfig, name is not None
    )


def candidates(environ: Mapping[str, str] = os.environ) -> tuple[Candidate, ...]:
    """Return the addresses to try, in order.

    ``DOCKER_HOST`` (with ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``) leaves room for no other,
    nor does ``DOCKER_CONTEXT``; else the current context, then the default socket, then a
    rootless engine's.
    """
    host = environ.get("DOCKER_HOST")
    if host:
        secured = _tls_of(environ)
        return (Candidate(f"DOCKER_HOST={host}", host, secured, chosen=True),)
    named = environ.get("DOCKER_CONTEXT")
    if named and named != "default":
        context = _context(named)
        missing = Candidate(f"DOCKER_CONTEXT={named}", "", chosen=True)
        return (context or missing,)
    found = []
    if not named:
        current = _context(None)
        if current is not None:
            found.append(current)
    if os.name == "nt":
        found.append(Candidate("the default pipe", "npipe:////./pipe/docker_engine"))
        return tuple(found)
    found.append(Candidate(f"the default socket {DEFAULT_SOCKET}", f"unix://{DEFAULT_SOCKET}"))
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        path = Path(runtime) / "docker.sock"
        if path.exists():
            found.append(Candidate(f"the rootless socket {path}", f"unix://{path}"))
    return tuple(found)
