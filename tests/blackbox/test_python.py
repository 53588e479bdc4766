"""The Python environment that the command makes for itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.blackbox.support import Checkout


def only_these_programs(folder: Path, *names: str) -> str:
    """Return a PATH on which nothing but these programs is found."""
    folder.mkdir()
    for name in names:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return str(folder)


def test_without_a_python_that_can_be_used_the_message_says_which(
    built: Checkout, tmp_path: Path
) -> None:
    copy = built.copy_to(tmp_path / "another clone")
    (copy.folder / ".venv").unlink()
    path = only_these_programs(tmp_path / "bin", "sh", "dirname", "readlink", "cmp")
    done = copy.invoke("build", PATH=path, TOOLCHAIN_PYTHON="")
    assert (done.returncode, done.stdout) == (8, "")
    assert "no Python 3.11, 3.12 or 3.13 is installed" in done.stderr
    assert "next: install one" in done.stderr


def test_an_environment_that_could_not_be_finished_is_one_message(
    built: Checkout, tmp_path: Path
) -> None:
    copy = built.copy_to(tmp_path / "another clone")
    (copy.folder / ".venv").unlink()
    done = copy.invoke("build", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert (done.returncode, done.stdout) == (8, "")
    assert "invoke: making .venv from requirements.lock" in done.stderr
    assert "pip could not install requirements.lock" in done.stderr
    assert "Traceback" not in done.stderr
    # Without its stamp the next command takes it for half-made.
    assert not (copy.folder / ".venv" / "requirements.lock").exists()
