"""What to type on this operating system to get a Docker Engine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")

START_ADVICE = "sudo systemctl start docker, or sudo service docker start"

_DEBIAN = "sudo apt-get install docker.io && sudo usermod -aG docker $USER, then log in again"
_FEDORA = (
    "sudo dnf install moby-engine && sudo systemctl enable --now docker && "
    "sudo usermod -aG docker $USER, then log in again"
)
_MACOS = "brew install colima docker && colima start --arch x86_64, or start Docker Desktop"
_WINDOWS = (
    "wsl --install -d Debian, then in its shell: sudo apt-get install docker.io, "
    "and run this command there"
)
_WSL = (
    "start Docker Desktop with WSL integration, or: sudo apt-get install docker.io && "
    "sudo service docker start && sudo usermod -aG docker $USER, then open a new shell"
)
_OTHER = (
    "install Docker Engine with your distribution's packages, start its service, "
    "and add yourself to the group docker"
)


def read_os_release(path: Path = OS_RELEASE) -> dict[str, str]:
    """Return the fields of an os-release file; empty when there is none.

    Lines that are no assignment are passed over, quotes around values are taken away.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    fields = {}
    for line in lines:
        key, sign, value = line.strip().partition("=")
        if sign and key.isidentifier():
            fields[key] = value.strip().strip("\"'")
    return fields


def is_family(os_release: Mapping[str, str], *names: str) -> bool:
    """Return whether ID or ID_LIKE of an os-release has one of ``names``."""
    kinds = {os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()}
    return not kinds.isdisjoint(names)


def install_advice(
    system: str | None = None,
    os_release: Mapping[str, str] | None = None,
    kernel: str | None = None,
) -> str:
    """Return the commands that bring up an engine here.

    Args:
        system: as ``platform.system()`` says; this machine's when None. The others likewise.
        os_release: fields of os-release.
        kernel: as ``platform.release()`` says; Microsoft's tells WSL.
    """
    system = platform.system() if system is None else system
    if system != "Linux":
        return {"Darwin": _MACOS, "Windows": _WINDOWS}.get(system, _OTHER)
    release = read_os_release() if os_release is None else os_release
    if "microsoft" in (platform.release() if kernel is None else kernel).lower():
        return _WSL
    if is_family(release, "debian", "ubuntu"):
        return _DEBIAN
    if is_family(release, "fedora", "rhel", "centos"):
        return _FEDORA
    return _OTHER


def permission_advice(socket: str) -> str:
    """Return what to do when the engine's socket may not be opened."""
    return (
        f"sudo usermod -aG docker $USER, then log in again ({socket} belongs to the group docker); "
        "or run this command as root"
    )
