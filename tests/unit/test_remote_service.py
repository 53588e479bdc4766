"""Where a service of this machine listens, its certificate, and the start of its keeper."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from toolchain.commands.remote import chosen_listen
from toolchain.console import PlainReporter
from toolchain.errors import UsageError
from toolchain.remote import keeper
from toolchain.remote.keeper import KeeperPaths, endpoint_of
from toolchain.remote.service_config import Listen, Paths, certificate_script


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost"])
def test_this_machine_alone_needs_neither_encryption_nor_tokens(host: str) -> None:
    listen = chosen_listen(host, 50051, tokens=False, encrypt=False)
    assert listen == Listen(host.strip("[]"), 50051, tls=False, tokens=False)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "grpcs://192.0.2.7:50051"),
        ("[2001:db8::7]", "grpcs://[2001:db8::7]:50051"),
        ("2001:db8::7", "grpcs://[2001:db8::7]:50051"),
        ("build.example", "grpcs://build.example:50051"),
        ("::", "grpcs://127.0.0.1:50051"),
    ],
)
def test_what_others_can_reach_is_encrypted_and_asks_for_tokens(host: str, address: str) -> None:
    listen = chosen_listen(host, 50051, tokens=False, encrypt=False)
    assert (listen.tls, listen.tokens) == (True, True)
    assert str(endpoint_of(listen)) == address


def test_a_keeper_whose_start_is_interrupted_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(process: subprocess.Popen[bytes], _paths: KeeperPaths) -> None:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(keeper, "_MAIN", "import time; time.sleep(60)")
    monkeypatch.setattr(keeper, "_state_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keeper.launch(KeeperPaths(tmp_path / "remote"), Listen(), 0, PlainReporter(quiet=True))
    (process,) = started
    assert process.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize(
    "host", ["", "[::1]:50051", "127.0.0.1:50051", "a b", "x'; id; '", "fe80::1%eth0", "[", "-x"]
)
def test_what_is_no_address_to_listen_at_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="--listen cannot be"):
        chosen_listen(host, 50051, tokens=False, encrypt=False)


def made(folder: Path, host: str, old: str = "", new: str = "") -> dict[str, bytes]:
    """Run the script that makes certificates, with one option changed; return the files."""
    script = certificate_script(Paths(config_folder=str(folder)), host)
    script = script.replace(old, new) if old else script
    subprocess.run(["/bin/sh", "-ec", script], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "::1", "build.example"])
def test_a_certificate_is_for_its_host_and_made_once(tmp_path: Path, host: str) -> None:
    first = made(tmp_path, host)
    assert openssl(tmp_path, "verify", "-CAfile", "ca.pem", "server.pem") == "server.pem: OK\n"
    check = "-checkhost" if host == "build.example" else "-checkip"
    for name, option in ((host, check), ("127.0.0.1", "-checkip"), ("localhost", "-checkhost")):
        told = openssl(tmp_path, "x509", "-noout", "-in", "server.pem", option, name)
        assert "does match" in told
    assert made(tmp_path, host) == first
    other = made(tmp_path, "other.example")
    assert other["server.pem"] != first["server.pem"]
    assert other["ca.pem"] == first["ca.pem"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    old = made(tmp_path, "a.example", "-days 825", "-days 170")
    new = made(tmp_path, "a.example")
    assert new["server.pem"] != old["server.pem"]
    assert new["ca.pem"] == old["ca.pem"]
    openssl(tmp_path, "x509", "-noout", "-checkend", str(800 * 86400), "-in", "server.pem")
    ending = tmp_path / "ending"
    old = made(ending, "a.example", "-days 3650", "-days 170")
    new = made(ending, "a.example")
    assert new["ca.pem"] != old["ca.pem"]
    assert openssl(ending, "verify", "-CAfile", "ca.pem", "server.pem") == "server.pem: OK\n"
