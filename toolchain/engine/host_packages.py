"""Installs a program on this machine with apt, where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from toolchain.console import Reporter
from toolchain.engine.advice import is_family, read_os_release
from toolchain.environment import NO_INSTALL_VARIABLE

_LAST_LINES = 5


def may_install(environ: Mapping[str, str], os_release: Mapping[str, str] | None = None) -> bool:
    """Return whether packages may and can be installed here.

    That is: a Debian-family machine with apt, we are root, and ``TOOLCHAIN_NO_INSTALL`` is not 1.
    """
    release = read_os_release() if os_release is None else os_release
    return (
        environ.get(NO_INSTALL_VARIABLE) != "1"
        and is_family(release, "debian", "ubuntu")
        and os.geteuid() == 0
        and shutil.which("apt-get", path=environ.get("PATH")) is not None
    )


def install_packages(
    packages: Sequence[str], purpose: str, reporter: Reporter, environ: Mapping[str, str]
) -> str:
    """Install Debian packages on this machine, saying so.

    Returns:
        Empty when it worked, else the last lines of what apt said.
    """
    names = " ".join(packages)
    reporter.note(
        f"installing {names} with apt, {purpose} ({NO_INSTALL_VARIABLE}=1 forbids installing)"
    )
    environment = dict(environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    with reporter.activity(f"installing {names}") as activity:
        for arguments in (
            ["apt-get", "-qq", "update"],
            ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages],
        ):
            activity.update(arguments[2])
            done = subprocess.run(
                arguments, env=environment, capture_output=True, text=True, check=False
            )
            # A third-party source that does not answer need not keep Debian's own packages away.
            if done.returncode != 0 and "install" in arguments:
                lines = (done.stdout + done.stderr).strip().splitlines()
                return "\n".join(lines[-_LAST_LINES:]) or f"apt-get ended with {done.returncode}"
    return ""
