"""The checkout's environment, made by the real venv and pip from an index on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.registry_support import Server, add_wheel, serve, sha256
from toolchain.layout import project_layout

_INSTALL = """
import sys
from pathlib import Path
import environment
environment.install(Path(sys.argv[1]), Path(sys.argv[2]))
"""
SCRIPT = project_layout().project / "toolchain" / "environment.py"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my checkout"
    folder.mkdir()
    return folder


def environ(server: Server) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "PIP_INDEX_URL": f"{server.url}/simple/", "PIP_RETRIES": "0"}


def imported(place: Path, module: str) -> str:
    """Return where the environment finds a module; empty when it does not."""
    code = f"import {module}; print({module}.__file__)"
    python = str(place / "bin" / "python")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def start(folder: Path, server: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder / ".venv"), str(folder / "a.lock")],
        env=environ(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_makers_make_it_once_and_a_refused_file_is_not_installed(
    folder: Path, server: Server
) -> None:
    place, lock = folder / ".venv", folder / "a.lock"
    lock.write_text(f"tiny==1.0 --hash=sha256:{sha256(add_wheel(server, 'tiny', '1.0'))}\n")
    place.mkdir()
    (place / "half-made").touch()
    makers = [start(folder, server) for _ in range(2)]
    said = "".join(maker.communicate()[1] for maker in makers)
    assert [maker.returncode for maker in makers] == [0, 0], said
    assert said == "invoke: making .venv from a.lock\n"
    assert len([path for path in server.asked if path.endswith(".whl")]) == 1
    assert not (place / "half-made").exists()
    assert (place / "a.lock").read_bytes() == lock.read_bytes()
    assert imported(place, "tiny").startswith(str(place))

    add_wheel(server, "other", "1.0")
    wrong = folder / "b.lock"
    wrong.write_text(f"other==1.0 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        [sys.executable, "-c", _INSTALL, str(place), str(wrong)],
        cwd=SCRIPT.parent,
        env=environ(server),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "EnvironmentSetupError: pip could not install b.lock" in done.stderr
    assert not (place / "b.lock").exists()
    assert imported(place, "other") == ""
