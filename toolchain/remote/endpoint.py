"""Addresses of remote services: ``grpc[s]://HOST:PORT[/INSTANCE]``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from toolchain.errors import UsageError

_SCHEMES = {"grpc": False, "grpcs": True}
_INSTANCE = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
# Parts of resource names, which an instance's name must not contain: REAPI, ByteStream.
_RESERVED = {
    *("blobs", "uploads", "actions", "actionResults", "operations", "capabilities"),
    *("compressed-blobs",),
}


@dataclass(frozen=True)
class Endpoint:
    """Where a remote service listens.

    Attributes:
        host: name or address, an IPv6 address without its brackets.
        port: 1 to 65535.
        tls: whether the connection is encrypted and the server's certificate is checked.
        instance: name of the service's instance; empty for the unnamed one.
    """

    host: str
    port: int
    tls: bool
    instance: str = ""

    def __str__(self) -> str:
        scheme = "grpcs" if self.tls else "grpc"
        return f"{scheme}://{self.target}" + (f"/{self.instance}" if self.instance else "")

    @property
    def target(self) -> str:
        """``HOST:PORT``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nothing sent there leaves this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_endpoint(text: str, option: str) -> Endpoint:
    """Return the address that ``text`` names.

    Args:
        text: ``grpc[s]://HOST:PORT[/INSTANCE]``.
        option: where it was given, for the message.

    Raises:
        UsageError: it is no such address.
    """
    try:
        parts = urlsplit(text.strip())
        return _endpoint(parts)
    except ValueError as error:
        raise UsageError(
            f"{option} is {text!r}, which is no address of a remote service",
            why=str(error),
            next_step="write grpcs://HOST:PORT/INSTANCE, or grpc://127.0.0.1:PORT on this machine; "
            "the instance may be left out",
        ) from error


def _endpoint(parts: SplitResult) -> Endpoint:
    if parts.scheme not in _SCHEMES:
        raise ValueError("it does not begin with grpc:// or grpcs://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("it has more than host, port and instance; a token is given in a file")
    if not parts.hostname or re.search(r"[^A-Za-z0-9.:_-]", parts.hostname):
        raise ValueError("it has no host")
    if parts.port is None or parts.port < 1:
        raise ValueError("it has no port")
    instance = parts.path.strip("/")
    if instance and not _INSTANCE.fullmatch(instance):
        raise ValueError(f"the instance {instance!r} has a character that is no part of a name")
    if reserved := sorted(_RESERVED & set(instance.split("/"))):
        raise ValueError(f"an instance cannot be called {reserved[0]!r}")
    return Endpoint(parts.hostname, parts.port, _SCHEMES[parts.scheme], instance)
