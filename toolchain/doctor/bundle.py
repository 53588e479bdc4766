"""A file for those who help: what was found, without what is private, the same bytes each time."""

from __future__ import annotations

import dataclasses
import getpass
import ipaddress
import json
import os
import platform
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toolchain.digest import Digest
from toolchain.doctor.finding import Finding
from toolchain.firmware.formats.stored_zip import stored_zip
from toolchain.layout import Layout

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|_KEY$|AUTH", re.IGNORECASE)
_USER_VARIABLES = ("USER", "LOGNAME", "USERNAME", "SUDO_USER")
_PLAIN = frozenset({"root", "localhost"})
"""Names that are nobody's."""

_HOST = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/@\s]*@)?(?P<host>[\w-]+(?:\.[\w-]+)+)[:/]?", re.IGNORECASE
)
_HOST_VARIABLES = re.compile(r"_PROXY$|REGISTRY|_REMOTE_|_HOST$|_URL$|INDEX|MIRROR", re.IGNORECASE)
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        # Of an address only the path stays: user, host, port, query and fragment are private.
        (r"([a-z][a-z0-9+.-]*://)[^/\s\"'>)?#]+", r"\1<host>"),
        (r"(://<host>[^\s\"'>)?#]*)[?#][^\s\"'>)]+", r"\1?<query>"),
        # A JSON web token, and what follows the words that announce a secret.
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", "<secret>"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", r"\1 <secret>"),
        (
            r"((?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|credentials?)[\"']?\s*[=:]"
            r"\s*[\"']?)(?!<)[^\s\"'&,;]+",
            r"\1<secret>",
        ),
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<mail>"),
        # Other users' homes and volumes.
        (r"(/home/|/users/|/run/media/|/media/|[a-z]:\\users\\)(?!<)[^/\\\s\"':,;)]+", r"\1<user>"),
        (r"(?<![\w:.])[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}(?![\w:])", "<address>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<address>"),
    )
)
_COLONS = re.compile(
    r"(?<![\w:.])(?=[0-9a-f:]*\d)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE
)
_MOST_LOG_BYTES = 20_000
_SHORTEST_SECRET = 6
_LONG_WORD = 4
_SOURCES = ("pins.toml", "requirements.lock", "docker/train.lock", "docker/notebook.lock")


@dataclasses.dataclass(frozen=True)
class Private:
    """Words that may not leave the machine.

    Attributes:
        words: each with what stands in its place, the longest first.
    """

    words: tuple[tuple[str, str], ...]

    def redacted(self, text: str) -> str:
        """Return ``text`` without private words, secrets, addresses, and mail addresses."""
        for word, instead in self.words:
            # A short word stands in many others.
            around = r"(?<!\w){}(?!\w)" if len(word) < _LONG_WORD else "{}"
            text = re.sub(around.format(re.escape(word)), instead, text, flags=re.IGNORECASE)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return _COLONS.sub(_without_address, text)

    def without(self, value: object) -> object:
        """Return a JSON value without what is private in its strings."""
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {key: self.without(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.without(each) for each in value]
        return value


def _without_address(match: re.Match[str]) -> str:
    """Return what stands for an IPv6 address; other texts with colons, such as a time, as is."""
    try:
        ipaddress.IPv6Address(match[0])
    except ValueError:
        return match[0]
    return "<address>"


def private_words(layout: Layout, environ: Mapping[str, str]) -> Private:
    """Return what is private here: secrets, folders, names of user, machine and servers."""
    words: dict[str, str] = {}
    for name, value in environ.items():
        if _HOST_VARIABLES.search(name) and (match := _HOST.match(value)):
            words[match["host"]] = "<host>"
        if _SECRET.search(name) and len(value) >= _SHORTEST_SECRET:
            words[value] = "<secret>"
    names = {environ.get(name, "") for name in _USER_VARIABLES}
    with suppress(Exception):  # a user without a name has none to hide
        names.add(getpass.getuser())
    words |= dict.fromkeys(names, "<user>")
    for machine in (socket.gethostname(), platform.node()):
        words |= {machine: "<machine>", machine.partition(".")[0]: "<machine>"}
    homes = {environ.get(name, "").rstrip("/") for name in ("HOME", "USERPROFILE")} - {""}
    for folders, instead in (
        (homes, "<home>"),
        ({str(layout.cache)}, "<cache>"),
        ({str(layout.project)}, "<checkout>"),
    ):
        # A folder may be named by the path behind a link too.
        words |= dict.fromkeys({*folders, *map(os.path.realpath, folders)}, instead)
    kept = [(word, instead) for word, instead in words.items() if len(word) > 1]
    return Private(
        tuple(
            sorted(
                (each for each in kept if each[0].lower() not in _PLAIN),
                key=lambda each: (-len(each[0]), each[0]),
            )
        )
    )


def support_bundle(
    layout: Layout, findings: Sequence[Finding], environ: Mapping[str, str] = os.environ
) -> bytes:
    """Return a zip archive with the findings, the system, digests of the pins, and last logs.

    Figures that change from one look to the next are left out, so that the same state gives the
    same bytes.
    """
    private = private_words(layout, environ)
    told = [
        {"check": each.check, "state": each.state, "what": each.what, "cure": each.cure}
        for each in findings
    ]
    system = {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "settings": sorted(
            name for name in environ if name.startswith(("TOOLCHAIN_", "DOCKER_", "RENODE"))
        ),
        "sources": {
            name: Digest.of_file(layout.project / name).sha256
            for name in _SOURCES
            if (layout.project / name).is_file()
        },
    }
    # Before they are JSON, in which a name with other letters than ASCII's is written otherwise.
    members = {
        "findings.json": _json(private.without(told)),
        "system.json": _json(private.without(system)),
    }
    for path in sorted(layout.build.glob("logs/*")):
        if path.is_file():
            name = os.fsencode(path.name).decode("utf-8", "replace")
            members[private.redacted(f"logs/{name}")] = private.redacted(_last_text(path))
    return stored_zip({name: text.encode() for name, text in members.items()})


def _last_text(path: Path) -> str:
    """Return the end of a log, from the beginning of a line: half a secret is not recognised."""
    data = path.read_bytes()
    if len(data) > _MOST_LOG_BYTES:
        data = data[-_MOST_LOG_BYTES:].partition(b"\n")[2]
    return data.decode("utf-8", "replace")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
