"""What commands that share a cache do not take from each other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, Containers, failed
from toolchain.console import PlainReporter
from toolchain.engine.connection import find_dockerd
from toolchain.engine.private import answers, private_engine
from toolchain.layout import Layout


def test_the_cache_is_not_removed_under_a_command_that_uses_it(
    lone_copy: Checkout, containers: Containers, tmp_path: Path
) -> None:
    other = lone_copy.copy_to(tmp_path / "a third clone")
    lone_copy.touch_firmware()
    with lone_copy.start("build", "--target", TARGET) as running:
        containers.wait_for_one(lone_copy, running)
        said = failed(other.invoke("clean", "--cache"), 29)
        assert f"another command uses the cache {lone_copy.cache}" in said
        done = running.end()
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("may_mount")
def test_a_private_engine_is_removed_with_the_cache_but_not_while_it_is_used(
    built: Checkout, tmp_path: Path
) -> None:
    dockerd = find_dockerd(os.environ)
    if dockerd is None:
        pytest.skip("not run: dockerd is not installed")
    cache = tmp_path / "cache"
    copy = built.copy_to(tmp_path / "another clone", cache=cache)
    layout = Layout(copy.folder, cache)
    with private_engine(layout, dockerd, PlainReporter(quiet=True), os.environ) as socket:
        said = failed(copy.invoke("clean", "--cache"), 29)
        assert "wait until that command has ended" in said
        assert answers(socket)
    done = copy.invoke("clean", "--cache")
    assert done.returncode == 0, done.stderr
    assert not layout.engine.exists()
    assert not socket.parent.exists()
