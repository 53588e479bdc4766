"""The site's own network settings: certificates, proxies, package indexes.

They reach the containers that fetch, and nothing else.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEBIAN_MIRROR_VARIABLE = "TOOLCHAIN_DEBIAN_MIRROR"
"""A full Debian mirror, such as ``http://mirror.example/debian``; else the client's own default."""

CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
)
"""Where a CA bundle is looked for, in this order."""

SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
"""The system's own bundle, to which an administrator may have added the site's certificates."""

BUNDLE_IN_CONTAINER = "/run/site-certificates.pem"
CARGO_CONFIG_IN_CONTAINER = "/run/site-cargo.toml"

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_PASSED = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
)
_PASSED_PREFIXES = ("CARGO_REGISTR", "CARGO_NET_", "CARGO_HTTP_")


@dataclass(frozen=True)
class Site:
    """What a fetching container is given.

    Attributes:
        environment: variables for the clients.
        certificates: the CA bundle on this machine, or None.
        cargo_config: cargo's configuration on this machine, when it names registries; or None.
        cargo_index: index that it puts in the place of cargo's own; empty for none.
        debian_mirror: see ``TOOLCHAIN_DEBIAN_MIRROR``; empty for the base's own sources.
    """

    environment: Mapping[str, str]
    certificates: Path | None
    cargo_config: Path | None
    cargo_index: str
    debian_mirror: str

    def mounts(self, scratch: Path) -> dict[str, str]:
        """Copy the files into ``scratch`` and return container path by file.

        Copies, because mounting may relabel a file, and the system's own must not be.
        """
        found = {}
        for source, target in (
            (self.certificates, BUNDLE_IN_CONTAINER),
            (self.cargo_config, CARGO_CONFIG_IN_CONTAINER),
        ):
            if source is not None:
                copy = scratch / Path(target).name
                shutil.copyfile(source, copy)
                found[str(copy)] = target
        return found


def _certificates(environ: Mapping[str, str]) -> Path | None:
    for name in CERTIFICATE_VARIABLES:
        if environ.get(name):
            path = Path(environ[name])
            if _is_readable(path):
                return path.resolve()
    return next((path.resolve() for path in SYSTEM_BUNDLES if _is_readable(path)), None)


def _is_readable(path: Path) -> bool:
    # One that is closed to this user is of as little use as one that is not there.
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:
        return False


def _cargo_config(environ: Mapping[str, str]) -> tuple[Path | None, str]:
    """Return cargo's configuration when it names registries, and the index it replaces."""
    home = Path(environ.get("CARGO_HOME") or Path(environ.get("HOME", "/")) / ".cargo")
    for name in ("config.toml", "config"):
        path = home / name
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if "source" in tables or "registries" in tables:
            try:
                return path, _replacing_index(tables)
            except (AttributeError, TypeError):
                return path, ""  # cargo will say what is wrong with it
    return None, ""


def _replacing_index(tables: Mapping[str, Any]) -> str:
    """Follow ``replace-with`` from cargo's own registry to the index in its place, if any."""
    name, seen = "crates-io", set[str]()
    while name not in seen:
        seen.add(name)
        source = tables.get("source", {}).get(name, {})
        if "replace-with" not in source:
            registry = tables.get("registries", {}).get(name, {})
            return str(source.get("registry") or registry.get("index") or "")
        name = source["replace-with"]
    return ""


def site_settings(environ: Mapping[str, str] = os.environ) -> Site:
    """Read the site's settings from the usual variables and files."""
    certificates = _certificates(environ)
    cargo_config, cargo_index = _cargo_config(environ)
    environment: dict[str, str] = {}
    for name in _PROXIES:
        value = environ.get(name) or environ.get(name.upper())
        if value:
            environment[name] = environment[name.upper()] = value
    for name, value in environ.items():
        if name in _PASSED or name.startswith(_PASSED_PREFIXES):
            environment[name] = value
    if certificates is not None:
        for name in CERTIFICATE_VARIABLES:
            environment[name] = BUNDLE_IN_CONTAINER
    mirror = environ.get(DEBIAN_MIRROR_VARIABLE, "").rstrip("/")
    return Site(environment, certificates, cargo_config, cargo_index, mirror)
