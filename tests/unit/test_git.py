from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from toolchain import git


def test_git_is_asked_in_the_folder(tmp_path: Path) -> None:
    assert git.is_installed()
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path, check=True)
    assert git.ask(tmp_path, "rev-parse", "--show-toplevel") == str(tmp_path.resolve())


def test_what_git_refuses_is_no_answer(tmp_path: Path) -> None:
    assert git.ask(tmp_path, "rev-parse", "--verify", "--quiet", "nothing") is None
    assert git.ask(tmp_path / "missing", "status") is None


def test_without_git_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not git.is_installed()
    assert git.ask(tmp_path, "--version") is None
