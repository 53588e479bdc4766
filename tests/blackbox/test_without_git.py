"""A checkout without git: an archive of the sources, or a computer that has no git."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.blackbox.support import TARGET, Checkout, sha256, steps_run


def without_program(folder: Path, name: str) -> str:
    """Return a PATH with all that is on this one, but for one program."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if program.name != name and not link.is_symlink():
                link.symlink_to(program)
    assert shutil.which(name, path=str(folder)) is None
    return str(folder)


def test_it_builds_the_same_and_says_that_its_version_is_not_known(
    copy: Checkout, built: Checkout, tmp_path: Path
) -> None:
    path = without_program(tmp_path / "bin", "git")
    done = copy.invoke("build", "--target", TARGET, PATH=path)
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()
    firmware = "hello_world.bin"
    assert sha256(copy.output / firmware) == sha256(built.output / firmware)
    assert copy.invoke("--version", PATH=path).stdout == "TinyML toolchain 0\n"
    assert copy.invoke("plan", "--target", TARGET, PATH=path).returncode == 0
