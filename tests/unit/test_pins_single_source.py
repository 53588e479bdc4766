"""Versions and digests stand in pins.toml and its locks, hosts of registries nowhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache

import pytest

from toolchain.layout import project_layout
from toolchain.pins import (
    HOST_LOCK,
    NOTEBOOK_LOCK,
    PINS_FILE,
    REMOTE_LOCK,
    SERVICE_LOCK,
    TEST_LOCK,
    TRAIN_LOCK,
    load_pins,
    read_lock,
)

PROJECT = project_layout().project
LOCKS = (HOST_LOCK, TEST_LOCK, REMOTE_LOCK, TRAIN_LOCK, NOTEBOOK_LOCK, SERVICE_LOCK)
SOURCES = {PINS_FILE, *LOCKS}
PINS = load_pins(PROJECT / PINS_FILE)

# What looks like a pin and is none, by file and pattern, with the reason.
NO_PINS = {
    ("simulator/engine.py", "unicorn .*"): "the version in which a fault was seen",
    (".github/workflows/ci.yml", "[0-9a-f]{40}"): "a workflow is read before anything of ours runs",
    (".github/workflows/release.yml", "[0-9a-f]{40}"): "likewise",
}
# Hosts that may be named, with the reason.
HOSTS = {
    "app.kubernetes.io": "part of the name of a label",
    "docs.arduino.cc": "documentation of a board",
    "golang.org": "part of the names of modules in Go",
    "in-toto.io": "the name of a statement's own vocabulary",
    "github.com": "where Renode's releases are",
    "json-schema.org": "the name of JSON Schema's own vocabulary",
    "learn.sparkfun.com": "documentation of a board",
    "slsa.dev": "the name of a provenance's own vocabulary",
    "www.st.com": "documentation of a board",
    "www.w3.org": "the name of the vocabulary of SVG",
    "www.tensorflow.org": "home page in the Arduino library's description",
    "docker.io": "the engine's package in Debian",
    "flatbuffers.dev": "documentation of a file format",
    "www.apache.org": "the licence's own text",
    "localhost": "this machine",
}
# Addresses that are nobody's: RFC 2606, 5737 and 6761, private networks and this machine.
_RESERVED = re.compile(
    r"(.*\.)?(example|invalid|test|localhost)|(.*\.)?example\.(com|org|net)|"
    r"(127|10|192\.0\.2|198\.51\.100|203\.0\.113)(\..*)?|[a-z]+"
)
_HOST = re.compile(
    r"[a-z][a-z+]*://(?:[^/@\s\"'`]*@)?(?P<url>[a-z0-9.-]*[a-z0-9])"
    r"|(?<![\w./@-])(?P<bare>(?:[a-z0-9-]+\.)+(?:org|com|net|io|dev|eu|co|ai|app))(?![\w-])",
    re.IGNORECASE,
)


@cache
def tracked() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True)
    texts = {}
    for name in listed.stdout.decode().split("\0"):
        if name and (PROJECT / name).is_file():
            texts[name] = (PROJECT / name).read_text(encoding="utf-8", errors="replace")
    assert texts.keys() > SOURCES
    return texts


@cache
def pinned_versions() -> dict[str, str]:
    """Each pinned version that cannot be mistaken for something else, and whose it is."""
    versions = {PINS.tflm.crate: PINS.tflm.version}
    for pins in (PINS.cross.packages, PINS.host_compiler.packages, PINS.test.crates):
        versions |= {name: pin.version for name, pin in pins.items()}
    for table in (PINS.train, PINS.notebook, PINS.host, PINS.test):
        versions |= table.requirements
    return {version: name for name, version in versions.items() if version.count(".") > 1}


@cache
def version_pattern() -> re.Pattern[str]:
    versions = "|".join(re.escape(version) for version in pinned_versions())
    return re.compile(rf"(?<![\w.])({versions})(?![\w+]|[.-]\d)")


@cache
def locked_names() -> frozenset[str]:
    return frozenset(item.name for lock in LOCKS for item in read_lock(PROJECT / lock))


def pin_findings(text: str) -> Iterator[str]:
    """Yield each digest, locked requirement and pinned version in ``text``."""
    yield from re.findall(r"(?<![0-9a-zA-Z])[0-9a-f]{64}(?![0-9a-zA-Z])", text)
    yield from re.findall(r"(?<![0-9a-zA-Z])[0-9a-f]{40}(?![0-9a-zA-Z])", text)
    yield from re.findall(r"sha256:[0-9a-f]{8,}", text)
    for name, version in re.findall(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[.*?\])?==(\d[\w.]*)", text):
        if re.sub(r"[-_.]+", "-", name).lower() in locked_names():
            yield f"{name}=={version}"
    for version in version_pattern().findall(text):
        yield f"{pinned_versions()[version]} {version}"


def host_findings(text: str) -> Iterator[str]:
    for match in _HOST.finditer(text):
        host = (match["url"] or match["bare"]).lower()
        if host not in HOSTS and not _RESERVED.fullmatch(host):
            yield host


@pytest.mark.parametrize(
    "text",
    [
        f"sha = '{'0123456789abcdef' * 4}'",
        f"FROM debian@sha256:{'ab' * 6}",
        f"commit {'0123456789' * 4}",
        f"RUN apt-get install make={PINS.cross.packages['make'].version}",
        f"{PINS.tflm.crate}-{PINS.tflm.version}.crate",
        f"cargo add {PINS.tflm.crate}@{PINS.tflm.version}",
        "pip install docker" + "==1.0",
        "pip install 'Pydantic_Core" + "==2'",
        f"numpy {PINS.test.requirements['numpy']}.",
    ],
)
def test_a_pin_is_found(text: str) -> None:
    assert list(pin_findings(text))


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "nothing==1.0.0", "0" * 63, "x" + "0" * 64, "if a == 1.5:", "Docker 20.10"],
)
def test_what_is_no_pin_is_not_taken_for_one(text: str) -> None:
    assert list(pin_findings(text)) == []


def test_no_version_or_digest_stands_outside_the_pins() -> None:
    found = {
        (name, pin)
        for name, text in tracked().items()
        if name not in SOURCES
        for pin in pin_findings(text)
    }
    excused = {rule: {item for item in found if excuses(rule, item)} for rule in NO_PINS}
    assert found - set[tuple[str, str]]().union(*excused.values()) == set()
    assert [rule for rule, items in excused.items() if not items] == [], "no longer needed"


def excuses(rule: tuple[str, str], item: tuple[str, str]) -> bool:
    return rule[0] == item[0] and re.fullmatch(rule[1], item[1]) is not None


@pytest.mark.parametrize(
    "text",
    [
        "https://registry.some-company.de/simple",
        "http://user:secret@mirror.some-company.de:8080/x",
        "sparse+https://index.some-company.de/",
        "see packages.some-company.io.",
        "'files.some-company.org'",
    ],
)
def test_a_host_is_found(text: str) -> None:
    assert list(host_findings(text))


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/simple",
        "tcp://localhost",
        "http://mirror.example/debian",
        "org.tinyml-toolchain.kind",
        "apt-get install docker.io",
        "unix:///run/x.sock",
        "self.dev_mode",
    ],
)
def test_what_is_nobodys_host_is_not_taken_for_one(text: str) -> None:
    assert list(host_findings(text)) == []


def test_no_host_is_named_but_those_with_a_reason() -> None:
    found = {name: set(host_findings(text)) for name, text in tracked().items()}
    found.pop("tests/unit/test_pins_single_source.py")
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


def test_every_reason_is_still_needed() -> None:
    everything = "".join(text for name, text in tracked().items() if "single_source" not in name)
    assert [host for host in HOSTS if host not in everything] == []
