"""The other build that ``size --compare`` names by a commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from toolchain.commands.size import exported
from toolchain.errors import UsageError
from toolchain.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet")
    git("config", "user.email", "someone@example.org")
    git("config", "user.name", "someone")
    (tmp_path / "file").write_text("")
    git("add", ".")
    git("commit", "--quiet", "--message", "before there was a command")
    script = tmp_path / "invoke"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    git("add", ".")
    git("commit", "--quiet", "--message", "a command, and no lock")
    (tmp_path / ".venv").mkdir()
    return Layout(tmp_path, tmp_path / "cache")


def test_a_commit_without_the_command_is_refused(layout: Layout) -> None:
    with (
        pytest.raises(UsageError, match=r"HEAD~ has no \./invoke that could build it"),
        exported(layout, "HEAD~"),
    ):
        pass


def test_a_commit_without_a_lock_has_packages_of_its_own(layout: Layout) -> None:
    with exported(layout, "HEAD") as folder:
        assert (folder / "invoke").is_file()
        assert not (folder / ".venv").exists()


@pytest.mark.parametrize("commit", ["nothing", "a\0b", "--help", ""])
def test_what_git_does_not_know_is_refused(layout: Layout, commit: str) -> None:
    with pytest.raises(UsageError, match="git knows no such commit"), exported(layout, commit):
        pass
