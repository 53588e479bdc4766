"""``./invoke doctor``: every check made to find something, and to fail itself."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.commands_support import PROJECT
from toolchain.doctor import checks
from toolchain.doctor.bundle import private_words, support_bundle
from toolchain.doctor.checks import CHECKS, Surroundings, examine
from toolchain.doctor.finding import Finding
from toolchain.doctor.network import Asked, ask_image_registry, ask_mirror
from toolchain.errors import PinsError
from toolchain.flashing.host import SerialPort, this_host
from toolchain.layout import Layout

GIB = 1 << 30


@pytest.fixture
def about(tmp_path: Path) -> Surroundings:
    """A healthy computer without engine, on which nothing is asked for real."""
    return Surroundings(
        Layout(PROJECT, tmp_path / "cache"),
        environ={"PATH": "/nonexistent", "DOCKER_HOST": f"unix://{tmp_path}/no.sock"},
        host=replace(this_host(), list_ports=lambda: ()),
        memory_info=lambda: f"MemTotal: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n",
        now=lambda: checks.EARLIEST + 1,
        disk=lambda _path: 20_000_000_000,
        run=lambda _command: True,
        ask_mirror=lambda *_: Asked("answers"),
        ask_image_registry=lambda *_: Asked("answers", "it has them"),
    )


def states(findings: Sequence[Finding]) -> Mapping[str, str]:
    return {each.check: each.state for each in findings}


def found(name: str, about: Surroundings) -> tuple[Finding, ...]:
    return examine(about, {name: CHECKS[name]})


def test_a_healthy_computer_has_no_problem_but_the_engine(
    about: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    findings = examine(about)
    assert [each.check for each in findings if each.state == "problem"] == ["engine"]
    assert all(each.cure for each in findings if each.state == "problem")


@pytest.mark.parametrize(("user", "state"), [(0, "note"), (1000, "problem")])
def test_without_an_engine_it_matters_who_asks(
    about: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, state: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    (tmp_path / "apt-get").write_text("")
    (tmp_path / "apt-get").chmod(0o755)
    there = replace(about, environ={**about.environ, "PATH": str(tmp_path)})
    (finding,) = found("engine", there)
    assert finding.state == state
    assert finding.cure


def test_an_engine_elsewhere_is_a_problem_with_its_own_cure(about: Surroundings) -> None:
    remote = replace(about, environ={"DOCKER_HOST": "tcp://192.0.2.1:2375"})
    (finding,) = found("engine", remote)
    assert finding.state == "problem"
    assert "not on this machine" in finding.what
    assert "use a local engine" in finding.cure


def test_too_little_disk_and_memory_are_problems(about: Surroundings) -> None:
    small = replace(
        about,
        disk=lambda _path: 500_000_000,
        memory_info=lambda: f"MemAvailable: {GIB // 1024} kB",
    )
    assert states(found("disk", small)) == {
        "disk of the cache": "problem",
        "disk of the checkout": "problem",
    }
    assert states(found("memory", small)) == {"memory": "problem"}
    assert "20.0 GB free" in found("disk", about)[0].measured


def test_a_clock_that_was_never_set_is_a_problem(about: Surroundings) -> None:
    assert states(found("clock", replace(about, now=lambda: 0.0))) == {"clock": "problem"}


def test_a_bundle_of_certificates_that_is_not_there_is_a_problem(about: Surroundings) -> None:
    environ = {"SSL_CERT_FILE": "/nonexistent.pem"}
    (finding,) = found("certificates", replace(about, environ=environ))
    assert finding.state == "problem"
    assert "SSL_CERT_FILE" in finding.what


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({}, "ok"),
        ({"https_proxy": "http://proxy.example:3128"}, "ok"),
        ({"HTTPS_PROXY": "proxy.example"}, "problem"),
        ({"NO_PROXY": "localhost"}, "ok"),
    ],
)
def test_a_proxy_has_to_be_an_address(
    about: Surroundings, environ: Mapping[str, str], state: str
) -> None:
    (finding,) = found("proxies", replace(about, environ=environ))
    assert finding.state == state
    assert "example" not in finding.what


def test_a_cache_that_may_not_be_written_is_a_problem(
    about: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    (finding,) = found("cache", about)
    assert finding.state == "problem"
    assert "TOOLCHAIN_CACHE" in finding.cure


def silent(_command: Sequence[str]) -> bool:
    raise subprocess.TimeoutExpired("pip", 20)


@pytest.mark.parametrize("run", [lambda _command: False, silent])
def test_a_registry_that_does_not_answer_hinders_only_what_is_not_there(
    about: Surroundings, run: object
) -> None:
    assert callable(run)
    findings = states(found("registries", replace(about, run=run)))
    assert findings == {
        "Python packages": "note",
        "Rust crates": "unknown",
        "Debian packages": "ok",
    }


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        (Asked("answers"), "ok", "the mirror answers"),
        (Asked("not asked", "there is no engine"), "unknown", "not asked: there is no engine"),
        (Asked("does not answer", "no route"), "note", "the mirror does not answer"),
    ],
)
def test_what_the_mirror_said_is_told(
    about: Surroundings, asked: Asked, state: str, words: str
) -> None:
    findings = found("registries", replace(about, ask_mirror=lambda *_: asked))
    (finding,) = (each for each in findings if each.check == "Debian packages")
    assert (finding.state, finding.what) == (state, words)
    assert (finding.cure != "") == (state == "note")


def test_a_registry_of_images_is_asked_where_one_is_named(about: Surroundings) -> None:
    assert "images of others" not in states(found("registries", about))
    named = {**about.environ, "TOOLCHAIN_REGISTRY": "registry.example:5000"}
    findings = found("registries", replace(about, environ=named))
    (finding,) = (each for each in findings if each.check == "images of others")
    assert (finding.state, finding.what) == ("ok", "the registry answers; it has them")


def test_without_an_engine_neither_is_asked(about: Surroundings) -> None:
    for ask in (ask_mirror, ask_image_registry):
        environ = {**about.environ, "TOOLCHAIN_REGISTRY": "registry.example:5000"}
        asked = ask(about.layout, environ)
        assert asked.answer == "not asked"
        assert "engine" in asked.why


@pytest.mark.parametrize(("may", "state"), [(True, "ok"), (False, "note")])
def test_a_connected_board_is_named_and_whether_its_port_may_be_opened(
    about: Surroundings, monkeypatch: pytest.MonkeyPatch, may: bool, state: str
) -> None:
    port = SerialPort("/dev/ttyACM0", "a board", "2341:805a")
    monkeypatch.setattr("os.access", lambda _path, _mode: may)
    host = replace(about.host, list_ports=lambda: (port,))
    (finding,) = found("boards", replace(about, host=host))
    assert finding.state == state
    assert "Arduino Nano 33 BLE" in finding.what
    assert "/dev/ttyACM0" in finding.what


def test_a_damaged_checkout_is_a_problem(about: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "pins.toml").write_text("= nothing")
    broken = replace(about, layout=Layout(tmp_path, tmp_path / "cache"))
    assert states(found("pins", broken)) == {"pins": "problem"}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_that_fails_itself_is_a_finding(about: Surroundings, name: str) -> None:
    def strange(_about: Surroundings) -> Iterator[Finding]:
        raise RuntimeError("something strange")
        yield  # pragma: no cover

    findings = examine(about, {**CHECKS, name: strange})
    (finding,) = (each for each in findings if each.state == "unknown" and each.check == name)
    assert "RuntimeError" in finding.what


def test_an_expected_failure_of_a_check_tells_its_cure(about: Surroundings) -> None:
    def failing(_about: Surroundings) -> Iterator[Finding]:
        raise PinsError("the pins are wrong", next_step="restore them")
        yield  # pragma: no cover

    (finding,) = examine(about, {"pins": failing})
    assert finding == Finding("pins", "problem", "the pins are wrong", "restore them")


SECRETS = {
    "HOME": "/home/somebody",
    "INDEX_TOKEN": "abc123secret",
    "HTTPS_PROXY": "http://user:word@proxy.example:3128",
    "TOOLCHAIN_CACHE": "/home/somebody/cache",
}


def members(data: bytes) -> Mapping[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_bundle_holds_nothing_private_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "checkout", Path("/home/somebody/cache"))
    (layout.build / "logs").mkdir(parents=True)
    (layout.build / "logs" / "step.log").write_text(
        f"fetched http://user:word@proxy.example:3128/simple from 192.0.2.7 for a.b@example.org\n"
        f"with abc123secret in /home/somebody/x and {layout.project}/y\n"
    )
    findings = (Finding("cache", "ok", "/home/somebody/cache, bounded", measured="1.23 GB"),)
    data = support_bundle(layout, findings, SECRETS)
    assert data == support_bundle(layout, (replace(findings[0], measured="4 GB"),), SECRETS)
    text = "".join(members(data).values())
    for private in ("somebody", "secret123", "abc123", "word@", "proxy.example", "192.0.2.7"):
        assert private not in text, private
    assert "a.b@example.org" not in text
    assert "<cache>, bounded" in text
    assert "with <secret> in <home>/x and <checkout>/y" in text
    assert "TOOLCHAIN_CACHE" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as Müller, of /home/müller/x", "as <user>, of <home>/x"),
        ("/home/somebody.else/x, /Users/ann/y", "/home/<user>/x, /Users/<user>/y"),
        (
            "on /media/ann/DIS and /run/media/ann/DIS",
            "on /media/<user>/DIS and /run/media/<user>/DIS",
        ),
        (
            "GET https://a:b@c.example:1/simple/x?token=abc#d.",
            "GET https://<host>/simple/x?<query>",
        ),
        ("https://c.example?key=abc", "https://<host>?<query>"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer <secret>"),
        ("eyJhbGciOi.eyJzdWIi.c2lnbg was sent", "<secret> was sent"),
        ('{"token": "abc", "password=xyz"}', '{"token": "<secret>", "password=<secret>"}'),
        ("fe80::1%eth0 [2001:db8::7]:443 ::1", "<address>%eth0 [<address>]:443 <address>"),
        ("2001:DB8:0:0:0:0:0:7, 192.0.2.7", "<address>, <address>"),
        ("at 12:34:56, tflite::ops::f, a::b", "at 12:34:56, tflite::ops::f, a::b"),
        ("ether 52:54:00:12:34:56", "ether <address>"),
        ("images.example.org/team/base:1", "<host>/team/base:1"),
        ("the proxy Proxy.Example:3128 refused", "the proxy <host>:3128 refused"),
        ("box says no, BOX.corp.example too", "<machine> says no, <machine> too"),
        ("pq and pqr", "<user> and pqr"),
    ],
)
def test_what_is_private_is_seen_however_it_is_written(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "box.corp.example")
    environ = {
        "HOME": "/home/müller/",
        "USER": "müller",
        "SUDO_USER": "pq",
        "TOOLCHAIN_REGISTRY": "images.example.org/team",
        "https_proxy": "proxy.example:3128",
    }
    private = private_words(Layout(Path("/a/b/c"), Path("/d/e/f")), environ)
    assert private.redacted(text) == shown


def test_names_of_other_letters_and_half_secrets_stay_out_of_the_bundle(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "checkout", tmp_path / "cache")
    (layout.build / "logs").mkdir(parents=True)
    log = layout.build / "logs" / os.fsdecode(b"m\xfcller.log")
    log.write_text("abc123secret " + "x" * 19_995 + "\nthe end\n")
    finding = Finding("cache", "ok", "/home/müller/cache")
    environ = {"HOME": "/home/müller", "INDEX_TOKEN": "abc123secret"}
    found = members(support_bundle(layout, (finding,), environ))
    assert "<home>/cache" in found["findings.json"]
    assert "ller/cache" not in found["findings.json"]
    (text,) = (text for name, text in found.items() if name.startswith("logs/"))
    assert text == "the end\n"


def test_root_is_nobodys_name() -> None:
    private = private_words(Layout(Path("/a/b/c"), Path("/d/e/f")), {"HOME": "/root"})
    assert private.redacted("as root, in /root/x") == "as root, in <home>/x"
