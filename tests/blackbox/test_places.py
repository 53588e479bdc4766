"""From where the command is run, and by which name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, sha256


@pytest.mark.parametrize("name", ["inv", "invoke"])
def test_plain_invoke_of_the_environment_does_the_same_from_any_folder(
    built: Checkout, first_build: subprocess.CompletedProcess[str], tmp_path: Path, name: str
) -> None:
    program = [str(built.folder / ".venv" / "bin" / name)]
    inside = built.invoke("build", "-t", TARGET, program=program, cwd=built.folder / "boards")
    assert inside.returncode == 0, inside.stderr
    assert sha256(built.output / "hello_world.bin") in inside.stdout
    root = ["--search-root", str(built.folder)]
    outside = built.invoke(*root, "build", "-t", TARGET, program=program, cwd=tmp_path)
    assert outside.returncode == 0, outside.stderr
    assert str(built.output / "hello_world.bin") in outside.stdout
    here = built.invoke("build", "-t", TARGET, program=program)
    assert here.stdout == first_build.stdout


def test_the_command_works_through_a_link_from_another_folder(
    built: Checkout, tmp_path: Path
) -> None:
    link = tmp_path / "tinyml"
    link.symlink_to(built.folder / "invoke")
    done = built.invoke("build", "--target", TARGET, program=[str(link)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(built.output / "hello_world.bin") in done.stdout


def test_it_works_in_a_folder_that_was_removed(built: Checkout, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = ["sh", "-c", f'rmdir "{gone}"; exec "$@"', "sh", str(built.folder / "invoke")]
    done = built.invoke("build", program=shell, cwd=gone)
    assert done.returncode == 0, done.stderr
    assert str(built.output / "hello_world.bin") in done.stdout
