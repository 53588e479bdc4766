"""Tells from what apt, pip or cargo said why a fetch failed."""

from __future__ import annotations

import re

from toolchain.disk import says_disk_full
from toolchain.environment import BUNDLE_VARIABLE
from toolchain.errors import (
    DigestMismatchError,
    DiskFullError,
    NetworkError,
    PinnedPackageGoneError,
    ToolchainError,
)
from toolchain.images.site import DEBIAN_MIRROR_VARIABLE
from toolchain.quoted import last_lines

LAST_LINES = 6
WAYS_OUT = (
    f"build from an offline bundle that has it ({BUNDLE_VARIABLE}, made with ./invoke bundle), or "
    f"set a mirror that keeps old versions ({DEBIAN_MIRROR_VARIABLE}, PIP_INDEX_URL, cargo's "
    "configuration)"
)
"""What to do about a pinned version that is no longer offered, besides taking another one."""

_WRONG_DIGEST = re.compile(
    r"DO NOT MATCH THE HASHES|Hash Sum mismatch|failed to verify the checksum|"
    r"File has unexpected size|Hashes of expected file",
    re.IGNORECASE,
)
_MISSING = r"404 +Not Found|404 Client Error|got 404\b|was not found|Unable to locate package"
_GONE = re.compile(
    rf"{_MISSING}|No matching distribution|has no installation candidate|could not find `[^`]*`|"
    r"no matching package|failed to select a version",
    re.IGNORECASE,
)
_ONLY_MISSING = re.compile(_MISSING, re.IGNORECASE)
# Names of packages and addresses of mirrors stand in what clients say: the rules look for whole
# phrases, since "proxy", "timeout" or "500 kB" alone tell nothing.
_NO_MIRROR = re.compile(
    r"does not have a Release file|is not signed\.|NO_PUBKEY|NOSPLIT|NODATA|Clearsigned file|"
    r"config\.json not found in registry",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(
    r"certificate verif|CERTIFICATE_VERIFY_FAILED|SSL certificate problem|SSL peer certificate|"
    r"self[- ]signed certificate|certificate is NOT trusted|unable to get local issuer",
    re.IGNORECASE,
)
_PROXY = re.compile(
    r"ProxyError|connect to proxy|resolve proxy|407 +Proxy|CONNECT tunnel failed|"
    r"Tunnel connection failed|HTTP code \d+ from proxy",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"Temporary failure (in name )?resol|Could not resolve|Name or service not known|"
    r"No address associated|Couldn't resolve host|nodename nor servname",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"403 +Forbidden|401 +Unauthorized|40[13] Client Error|got 40[13]\b", re.IGNORECASE
)
_TRANSIENT = re.compile(
    r"timed out|Timeout was reached|Connection timeout|Gateway Time-?out|Connection reset|"
    r"reset by peer|IncompleteRead|Connection broken: |incomplete-download|"
    r"Transferred a partial file|Error reading from server|Remote end closed connection|"
    r"50[0234] +(Internal|Bad Gateway|Service|Server Error|Gateway)|too many 50[0234] error|"
    r"got 50[0234]\b|Undetermined Error|spurious network error|TLS connection was non-properly",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"Could not connect|Connection refused|Failed to connect|Unable to connect|Connection failed|"
    r"Network is unreachable|No route to host|NewConnectionError|Max retries exceeded|"
    r"Failed to fetch|download of .* failed|failed to download|network failure|Couldn't connect",
    re.IGNORECASE,
)
# apt's errors may stand behind its progress, on one line: they come through another stream.
_APT = re.compile(r"(?<!\w)E: ")
# pip says the same of an index that refuses or is down, and of a package that is not in it.
_NO_VERSION = re.compile(r"\(from versions: none\)")

_HINTS = (
    (
        _NO_MIRROR,
        "what answers is not the mirror: its index is missing or has no signature of Debian's",
        f"check the mirror's address ({DEBIAN_MIRROR_VARIABLE}, cargo's configuration), and "
        "whether the network wants a login",
    ),
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
        _REFUSED,
        "the server refuses: it wants a login, or a filter on the way forbids it",
        "check the address, user and password of your mirror or proxy",
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
    (
        _NO_VERSION,
        "the index offers no version of it at all: it is down, refuses, or is not the right one",
        "look at the index with a browser, and check PIP_INDEX_URL",
    ),
)


def is_transient(said: str) -> bool:
    """Return whether trying again soon may help."""
    blocked = (_CERTIFICATE, _NO_NAME)
    return bool(_TRANSIENT.search(said)) and not any(rule.search(said) for rule in blocked)


def _mismatch(said: str, purpose: str) -> DigestMismatchError:
    expected = re.search(r"Expected\s+(?:sha256\s+)?([0-9a-f]{64})", said) or re.search(
        r"Hashes of expected file:\s+(?:- \S+ \[weak\]\s+)?- SHA256:([0-9a-f]{64})", said
    )
    got = re.search(r"Got\s+([0-9a-f]{64})", said) or re.search(
        r"Hashes of received file:\s+(?:- \S+ \[weak\]\s+)?- SHA256:([0-9a-f]{64})", said
    )
    name = re.search(
        r"^\s*(\S+==\S+|\S+) from (?:https?|file)://|Failed to fetch \S+/(\S+)|"
        r"verify the checksum of `(\S+ \S+)",
        said,
        re.MULTILINE,
    )
    what = next((group for group in name.groups() if group), purpose) if name else purpose
    digests = f": expected sha256 {expected[1]}, got {got[1]}" if expected and got else ""
    return DigestMismatchError(
        f"{what} is not what was pinned{digests}",
        why=f"nothing of {purpose} was used and the cache is as it was; the client said last:\n"
        f"{last_lines(said, LAST_LINES)}",
        next_step="try again; if it stays, compare with another mirror before changing the pin",
    )


def _gone(said: str, purpose: str) -> PinnedPackageGoneError:
    update = (
        f"build from an offline bundle that has it ({BUNDLE_VARIABLE}), "
        "or take the current one with ./invoke pins --update"
    )
    if _APT.search(said):
        why = "Debian's mirrors keep the newest version only"
        next_step = f"set {DEBIAN_MIRROR_VARIABLE} to a mirror that keeps old versions, {update}"
    else:
        why = "it was withdrawn, or your site's index does not have it"
        next_step = f"try another index (PIP_INDEX_URL, cargo's configuration), {update}"
    return PinnedPackageGoneError(
        f"{purpose} could not be fetched: a pinned version is no longer offered",
        why=f"{why}; the client said last:\n{last_lines(said, LAST_LINES)}",
        next_step=next_step,
    )


def known_error(said: str, purpose: str) -> ToolchainError | None:
    """Return the error that fits what a client said; None when it is of no known kind.

    Args:
        said: its output and error text together.
        purpose: what it was to fetch, such as ``the Python wheels``.
    """
    if says_disk_full(said):
        return DiskFullError(
            f"the disk filled up while fetching {purpose}",
            why=f"the client said last:\n{last_lines(said, LAST_LINES)}",
            next_step="free some space, or put the cache elsewhere with TOOLCHAIN_CACHE",
        )
    if _WRONG_DIGEST.search(said):
        return _mismatch(said, purpose)
    # pip ends with "no matching distribution" also when it could not reach the index.
    for rule, why, next_step in _HINTS:
        if rule.search(said) and not (rule is _UNREACHABLE and _ONLY_MISSING.search(said)):
            return NetworkError(
                f"{purpose} could not be fetched",
                why=f"{why}; the client said last:\n{last_lines(said, LAST_LINES)}",
                next_step=next_step,
            )
    return _gone(said, purpose) if _GONE.search(said) else None


def fetch_error(said: str, purpose: str) -> ToolchainError:
    """Return the error that fits what a client said, which is about the network if nothing else."""
    return known_error(said, purpose) or NetworkError(
        f"{purpose} could not be fetched",
        why=f"the client said last:\n{last_lines(said, LAST_LINES)}",
        next_step="check the network, http_proxy, https_proxy and SSL_CERT_FILE",
    )
