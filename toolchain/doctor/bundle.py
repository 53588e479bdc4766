"""A file for those who help: what was found, without what is private, the same bytes each time."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import platform
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

from toolchain.digest import Digest
from toolchain.doctor.finding import Finding
from toolchain.firmware.formats.stored_zip import stored_zip
from toolchain.layout import Layout

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|_KEY$|AUTH", re.IGNORECASE)
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s\"'>)]+", re.IGNORECASE)
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_MOST_LOG_BYTES = 20_000
_SOURCES = ("pins.toml", "requirements.lock", "docker/train.lock", "docker/notebook.lock")


@dataclasses.dataclass(frozen=True)
class Private:
    """Words that may not leave the machine.

    Attributes:
        words: each with what stands in its place, the longest first.
    """

    words: tuple[tuple[str, str], ...]

    def redacted(self, text: str) -> str:
        """Return ``text`` without private words, addresses, and mail addresses."""
        for word, instead in self.words:
            text = text.replace(word, instead)
        text = _ADDRESS.sub(r"\g<scheme><host>", text)
        return _MAIL.sub("<mail>", _IP.sub("<address>", text))


def private_words(layout: Layout, environ: Mapping[str, str]) -> Private:
    """Return what is private here: secrets, folders, names of user and machine."""
    words = {
        value: "<secret>"
        for name, value in environ.items()
        if _SECRET.search(name) and len(value) >= 6
    }
    words[str(layout.project)] = "<checkout>"
    words[str(layout.cache)] = "<cache>"
    for name in ("HOME", "USERPROFILE"):
        if len(environ.get(name, "")) > 1:
            words[environ[name]] = "<home>"
    with suppress(Exception):  # a user without a name has none to hide
        words[getpass.getuser()] = "<user>"
    words[socket.gethostname()] = "<machine>"
    words[platform.node()] = "<machine>"
    # A word of two letters stands in many others, and root is nobody's name.
    kept = [(word, instead) for word, instead in words.items() if len(word) > 2 and word != "root"]
    return Private(tuple(sorted(kept, key=lambda each: (-len(each[0]), each[0]))))


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
    members = {"findings.json": _json(told), "system.json": _json(system)}
    for path in sorted(layout.build.glob("logs/*")):
        if path.is_file():
            text = path.read_bytes()[-_MOST_LOG_BYTES:].decode("utf-8", "replace")
            members[f"logs/{path.name}"] = text
    return stored_zip(
        {private.redacted(name): private.redacted(text).encode() for name, text in members.items()}
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
