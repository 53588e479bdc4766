"""Tells from what apt, pip or cargo said why a fetch failed."""

from __future__ import annotations

import re

from toolchain.errors import (
    DigestMismatchError,
    NetworkError,
    PinnedPackageGoneError,
    ToolchainError,
)
from toolchain.images.site import DEBIAN_MIRROR_VARIABLE

LAST_LINES = 6

_WRONG_DIGEST = re.compile(
    r"DO NOT MATCH THE HASHES|Hash Sum mismatch|failed to verify the checksum|"
    r"File has unexpected size|Hashes of expected file",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"Version '[^']*' for '[^']*' was not found|Unable to locate package|No matching distribution|"
    r"has no installation candidate|could not find `[^`]*`|no matching package|404 +Not Found|"
    r"failed to select a version",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(
    r"certificate verif|CERTIFICATE_VERIFY_FAILED|SSL certificate problem|SSL peer certificate|"
    r"self[- ]signed certificate|certificate is NOT trusted|unable to get local issuer",
    re.IGNORECASE,
)
_PROXY = re.compile(r"ProxyError|proxy|\b407\b", re.IGNORECASE)
_NO_NAME = re.compile(
    r"Temporary failure (in name )?resol|Could not resolve|Name or service not known|"
    r"No address associated|Couldn't resolve host|nodename nor servname",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(
    r"timed out|timeout|Connection reset|reset by peer|IncompleteRead|Connection broken|"
    r"\b50[0234]\b|Undetermined Error|spurious network error|TLS connection was non-properly",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"Could not connect|Connection refused|Failed to connect|Unable to connect|"
    r"Network is unreachable|No route to host|NewConnectionError|Max retries exceeded|"
    r"Failed to fetch|download of .* failed|failed to download|network failure|Couldn't connect",
    re.IGNORECASE,
)

_HINTS = (
    (
        _CERTIFICATE,
        "the server's certificate is not trusted; a company's intercepting proxy does that",
        "set SSL_CERT_FILE to a bundle that holds your site's certificate",
    ),
    (
        _PROXY,
        "the proxy does not answer or refuses",
        "check http_proxy and https_proxy, with user and password if it wants them",
    ),
    (
        _NO_NAME,
        "the server's name cannot be resolved: there is no network, or only a proxy reaches it",
        "connect to the network, or set http_proxy and https_proxy",
    ),
    (
        _TRANSIENT,
        "the server did not answer in time or broke off, several times",
        f"try again later, or set a mirror ({DEBIAN_MIRROR_VARIABLE}, PIP_INDEX_URL)",
    ),
    (
        _UNREACHABLE,
        "the server cannot be reached",
        "check the network and http_proxy and https_proxy",
    ),
)


def is_transient(said: str) -> bool:
    """Return whether trying again soon may help."""
    blocked = (_CERTIFICATE, _NO_NAME)
    return bool(_TRANSIENT.search(said)) and not any(rule.search(said) for rule in blocked)


def last_lines(said: str, count: int = LAST_LINES) -> str:
    """Return the last ``count`` lines that are not empty, indented."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-count:])


def _mismatch(said: str, purpose: str) -> DigestMismatchError:
    expected = re.search(r"Expected\s+(?:sha256\s+)?([0-9a-f]{64})", said)
    got = re.search(r"Got\s+([0-9a-f]{64})", said)
    name = re.search(r"^\s*(\S+==\S+|\S+) from (?:https?|file)://", said, re.MULTILINE)
    digests = (
        f": expected sha256 {expected[1]}, got {got[1]}" if expected is not None and got else ""
    )
    return DigestMismatchError(
        f"{name[1] if name else purpose} is not what was pinned{digests}",
        why=f"{purpose} was refused; nothing of it was used and the cache is as it was:\n"
        f"{last_lines(said)}",
        next_step="try again; if it stays, compare with another mirror before changing the pin",
    )


def known_error(said: str, purpose: str) -> ToolchainError | None:
    """Return the error that fits what a client said; None when it is of no known kind.

    Args:
        said: its output and error text together.
        purpose: what it was to fetch, such as ``the Python wheels``.
    """
    if _WRONG_DIGEST.search(said):
        return _mismatch(said, purpose)
    # pip ends with "no matching distribution" also when it could not reach the index.
    for rule, why, next_step in _HINTS:
        if rule.search(said) and not (rule in {_PROXY, _UNREACHABLE} and _only_gone(said)):
            return NetworkError(
                f"{purpose} could not be fetched",
                why=f"{why}; it said last:\n{last_lines(said)}",
                next_step=next_step,
            )
    if _GONE.search(said):
        return PinnedPackageGoneError(
            f"{purpose} could not be fetched: a pinned version is no longer offered",
            why=f"mirrors keep the newest version only; it said last:\n{last_lines(said)}",
            next_step=f"set {DEBIAN_MIRROR_VARIABLE} to a mirror that keeps old versions, or take "
            "the current one with ./invoke pins --update",
        )
    return None


def fetch_error(said: str, purpose: str) -> ToolchainError:
    """Return the error that fits what a client said, which is about the network if nothing else."""
    return known_error(said, purpose) or NetworkError(
        f"{purpose} could not be fetched",
        why=f"it said last:\n{last_lines(said)}",
        next_step="check the network, http_proxy, https_proxy and SSL_CERT_FILE",
    )


def _only_gone(said: str) -> bool:
    """Return whether the server was reached and did not have the file."""
    reached = re.search(r"404 +Not Found|was not found|Unable to locate package", said)
    return bool(reached) and not _NO_NAME.search(said)
