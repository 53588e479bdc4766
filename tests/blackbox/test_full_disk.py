"""A full disk: one error, and what was made before stays."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.blackbox.support import FIRMWARE, TARGET, Checkout, Containers, failed, steps_run


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def fill(path: Path) -> None:
    """Leave no byte free on the file system of ``path``."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other one is no full disk


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("full_to_the_brim", [False, True])
def test_a_full_disk_under_the_cache_is_one_error_and_the_earlier_outputs_stay(
    built: Checkout, containers: Containers, tmp_path: Path, full_to_the_brim: bool
) -> None:
    cache = tmp_path / "cache"
    # Room for what is known, and less than a step asks for.
    known = sum(path.stat().st_blocks for path in built.cache.rglob("*")) // 2
    with small_disk(cache, f"{known + (55 << 10)}k"):
        shutil.copytree(built.cache, cache, dirs_exist_ok=True)
        copy = built.copy_to(tmp_path / "another clone", cache=cache)
        assert copy.invoke("build", "--target", TARGET).returncode == 0
        before = copy.outputs()
        copy.touch_firmware()
        if full_to_the_brim:
            fill(cache / "filler")
        said = failed(copy.invoke("build", "--target", TARGET), 16)
        assert ("the disk is full" if full_to_the_brim else "the step needs") in said
        assert str(cache) in said
        assert copy.outputs() == before
        assert copy.sandboxes() == []
        (cache / "filler").unlink(missing_ok=True)
        grow(cache, "300m")
        done = copy.invoke("build", "--target", TARGET)
        assert done.returncode == 0, done.stderr
        assert steps_run(done.stderr) == {FIRMWARE}
        assert len(containers.created(copy)) == 1


@pytest.mark.usefixtures("may_mount")
def test_a_full_disk_under_the_outputs_is_one_error_and_the_earlier_ones_stay(
    copy: Checkout,
) -> None:
    build = copy.folder / "build"
    with small_disk(build, "100m"):
        assert copy.invoke("build", "--target", TARGET).returncode == 0
        before = copy.outputs()
        copy.touch_firmware()
        fill(build / "logs")
        said = failed(copy.invoke("build", "--target", TARGET), 16)
        assert "the disk is full" in said
        assert copy.outputs() == before
        (build / "logs").unlink()
        done = copy.invoke("build", "--target", TARGET)
        assert done.returncode == 0, done.stderr
        assert steps_run(done.stderr) == set()
        assert copy.outputs() != before
