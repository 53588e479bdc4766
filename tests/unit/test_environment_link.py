from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toolchain import environment


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n")
    return path


def test_an_environment_that_is_a_link_is_refused_and_what_it_leads_to_stays(
    tmp_path: Path, lock: Path
) -> None:
    other = tmp_path / "other checkout" / ".venv"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").write_text("of the other checkout")
    link = tmp_path / ".venv"
    link.symlink_to(other)
    with pytest.raises(environment.EnvironmentSetupError, match="is a link") as caught:
        environment.make(link, lock)
    assert f"rm {link}" in str(caught.value)
    assert (other / "bin" / "python").read_text() == "of the other checkout"


def test_a_linked_environment_that_is_current_is_used(tmp_path: Path, lock: Path) -> None:
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").symlink_to(sys.executable)
    (other / lock.name).write_bytes(lock.read_bytes())
    (tmp_path / ".venv").symlink_to(other)
    environment.make(tmp_path / ".venv", lock)
    assert {path.name for path in other.iterdir()} == {lock.name, "bin"}


def test_the_refusal_is_one_message_and_an_exit_code(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / ".venv").symlink_to(tmp_path / "other")
    done = subprocess.run(
        [sys.executable, str(environment.__file__), str(tmp_path / ".venv"), str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == environment.EXIT_CODE
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr


def test_an_environment_is_made_once_and_stamped(tmp_path: Path, lock: Path) -> None:
    place = tmp_path / ".venv"
    environment.make(place, lock)
    python = place / "bin" / "python"
    assert python.exists()
    assert (place / lock.name).read_bytes() == lock.read_bytes()
    mark = place / "mark"
    mark.touch()
    environment.make(place, lock)
    assert mark.exists()
