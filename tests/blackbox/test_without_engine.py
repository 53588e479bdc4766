"""No Docker Engine: what is known works all the same, and the message says what to type."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.blackbox.support import SETPRIV, TARGET, Checkout, failed, steps_run, succeeds
from toolchain.engine.connection import find_dockerd


@pytest.fixture
def without_engine(request: pytest.FixtureRequest, lone_copy: Checkout) -> Sequence[str]:
    """The beginning of a command line under which no engine can be had."""
    invoke = str(lone_copy.folder / "invoke")
    if os.geteuid() != 0:
        return [invoke]
    if request.param == "a user":
        if not succeeds(*SETPRIV, "true"):
            pytest.skip("not run: here root cannot become another user who may read everything")
        lone_copy.folder.chmod(0o777)
        for path in [lone_copy.cache, *lone_copy.cache.rglob("*")]:
            os.chown(path, 65534, 65534)
        return [*SETPRIV, invoke]
    request.getfixturevalue("may_mount")
    dockerd = find_dockerd(os.environ)
    hidden = f"mount --bind /dev/null '{dockerd.resolve()}' && " if dockerd else ""
    return ["unshare", "--mount", "sh", "-c", f'{hidden}exec "$@"', "sh", invoke]


@pytest.mark.parametrize("without_engine", ["root, without dockerd", "a user"], indirect=True)
def test_without_an_engine_the_message_gives_the_commands_to_type(
    lone_copy: Checkout, without_engine: Sequence[str], tmp_path: Path
) -> None:
    socket = tmp_path / "dead.sock"
    lone_copy.touch_firmware()
    said = failed(
        lone_copy.invoke(
            "build",
            program=without_engine,
            DOCKER_HOST=f"unix://{socket}",
            TOOLCHAIN_NO_INSTALL="1",
            HOME=str(lone_copy.cache),
        ),
        11,
    )
    assert "no Docker Engine answers" in said
    assert f"DOCKER_HOST=unix://{socket}: No such file or directory" in said
    installed = find_dockerd(os.environ) is not None and "unshare" not in without_engine
    if installed:
        assert "next: Docker is installed; start it: sudo systemctl start docker" in said
    elif shutil.which("apt-get"):
        assert "sudo apt-get install docker.io && sudo usermod -aG docker $USER" in said


@pytest.mark.parametrize("without_engine", ["root, without dockerd", "a user"], indirect=True)
def test_what_is_known_is_built_and_verified_without_an_engine(
    lone_copy: Checkout, without_engine: Sequence[str], tmp_path: Path
) -> None:
    done = lone_copy.invoke(
        *("build", "--target", TARGET),
        program=without_engine,
        DOCKER_HOST=f"unix://{tmp_path / 'dead.sock'}",
        TOOLCHAIN_NO_INSTALL="1",
        HOME=str(lone_copy.cache),
    )
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()
