"""What to type on which system, and when packages may be installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions_support import RecordingReporter
from tests.unit.engine_support import without_privileges
from tests.unit.registry_support import add_packages, serve
from toolchain.engine.advice import install_advice, is_family, permission_advice, read_os_release
from toolchain.engine.host_packages import install_packages, may_install

DEBIAN = {"ID": "debian"}
KERNEL = "6.1.0-13-amd64"
WSL_KERNEL = "5.15.153.1-microsoft-standard-WSL2"


@pytest.mark.parametrize(
    ("system", "release", "kernel", "commands"),
    [
        ("Linux", DEBIAN, KERNEL, ["sudo apt-get install docker.io", "usermod -aG docker"]),
        ("Linux", {"ID": "ubuntu"}, KERNEL, ["sudo apt-get install docker.io"]),
        ("Linux", {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, KERNEL, ["apt-get install"]),
        (
            "Linux",
            {"ID": "fedora"},
            KERNEL,
            ["sudo dnf install moby-engine", "sudo systemctl enable --now docker"],
        ),
        ("Linux", {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, KERNEL, ["dnf install"]),
        ("Linux", {"ID": "arch"}, KERNEL, ["your distribution's packages", "group docker"]),
        ("Linux", {}, KERNEL, ["your distribution's packages"]),
        ("Linux", DEBIAN, WSL_KERNEL, ["sudo service docker start", "Docker Desktop"]),
        ("Darwin", {}, "23.1.0", ["brew install colima docker", "colima start --arch x86_64"]),
        ("Windows", {}, "10", ["wsl --install -d Debian", "sudo apt-get install docker.io"]),
        ("FreeBSD", {}, "14", ["your distribution's packages"]),
    ],
)
def test_each_system_is_told_its_own_commands(
    system: str, release: dict[str, str], kernel: str, commands: list[str]
) -> None:
    advice = install_advice(system, release, kernel)
    for command in commands:
        assert command in advice
    others = {"dnf", "brew", "wsl"} - {word for command in commands for word in command.split()}
    assert others.isdisjoint(advice.split())


def test_this_machine_is_advised_too() -> None:
    assert install_advice() == install_advice(None, None, None)


def test_a_closed_socket_is_named_in_the_advice() -> None:
    assert "/run/x.sock belongs to the group docker" in permission_advice("/run/x.sock")


def test_os_release_is_read_with_and_without_quotes(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text("# a comment\nID=debian\nID_LIKE=\"a b\"\nNAME='x=y'\n\nnot an assignment\n")
    assert read_os_release(path) == {"ID": "debian", "ID_LIKE": "a b", "NAME": "x=y"}
    assert read_os_release(tmp_path / "absent") == {}
    assert read_os_release(tmp_path) == {}


@given(data=st.binary(max_size=200))
def test_any_os_release_can_be_read(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "os-release"
    path.write_bytes(data)
    assert all(key.isidentifier() for key in read_os_release(path))


def test_a_family_is_told_by_identity_or_likeness() -> None:
    assert is_family({"ID": "debian"}, "debian")
    assert is_family({"ID": "mint", "ID_LIKE": "ubuntu debian"}, "debian")
    assert not is_family({"ID": "debianish"}, "debian", "ubuntu")
    assert not is_family({}, "debian")


@pytest.fixture
def apt(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "apt-get").touch(mode=0o755)
    return {"PATH": str(tmp_path)}


def test_packages_are_installed_by_root_on_debian_with_apt_unless_forbidden(
    apt: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert may_install(apt, DEBIAN)
    assert may_install({**apt, "TOOLCHAIN_NO_INSTALL": "0"}, DEBIAN)
    assert not may_install({**apt, "TOOLCHAIN_NO_INSTALL": "1"}, DEBIAN)
    assert not may_install(apt, {"ID": "fedora"})
    assert not may_install({"PATH": ""}, DEBIAN)


def test_packages_are_not_installed_for_others_than_root(apt: dict[str, str]) -> None:
    with without_privileges():
        assert not may_install(apt, DEBIAN)


def isolated_apt(folder: Path, source: str) -> dict[str, str]:
    """Settings that keep the real apt within ``folder``, where one package is installed."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc/parts", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "etc/sources.list").write_text(f"deb [trusted=yes] {source} tst main\n")
    (folder / "status").write_text(
        "Package: tinydeb\nStatus: install ok installed\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: t\nDescription: x\n\n"
    )
    (folder / "apt.conf").write_text(
        f'Dir::State "{folder}/state";\nDir::State::status "{folder}/status";\n'
        f'Dir::Cache "{folder}/cache";\nDir::Etc "{folder}/etc";\nDir::Log "{folder}/log";\n'
        f'Dir::Etc::sourceparts "{folder}/etc/parts";\nDir::Etc::parts "{folder}/etc/parts";\n'
        f'Dir::Etc::main "{folder}/etc/none";\nDebug::NoLocking "true";\n'
        'APT::Sandbox::User "";\nAPT::Architecture "amd64";\n'
    )
    return {"PATH": os.environ["PATH"], "APT_CONFIG": str(folder / "apt.conf")}


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get here")
def test_an_installation_says_what_why_and_how_it_ended(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with serve() as server:
        add_packages(server, "tst", {"tinydeb": "1.0"})
        environ = isolated_apt(tmp_path, f"{server.url}/debian")
        assert install_packages(["tinydeb"], "for a test", reporter, environ) == ""
        problem = install_packages(["nosuchdeb"], "for a test", reporter, environ)
    assert problem.splitlines()[-1] == "E: Unable to locate package nosuchdeb"
    assert reporter.notes == [
        f"installing {name} with apt, for a test (TOOLCHAIN_NO_INSTALL=1 forbids installing)"
        for name in ("tinydeb", "nosuchdeb")
    ]
