"""What others' linters say of the workflows: actionlint, zizmor, and the schemas of both hosts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.commands_support import PROJECT
from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE

WORKFLOWS = PROJECT / ".github" / "workflows"
GITLAB = PROJECT / "docs" / "ci" / "gitlab-ci.yml"
MODULE = PROJECT / "tests" / "tools" / "actionlint"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint"

MISTAKES = {
    "runs-on: ubuntu-24.04": "runs-on: ubuntu-24.O4",
    "${{ matrix.target }}": "${{ matrix.tagret }}",
    "needs: make": "needs: nobody",
    "timeout-minutes: 60": "timeout-minute: 60",
}
"""What actionlint has to find."""

UNSAFE = {
    "persist-credentials: false": "persist-credentials: true",
    "permissions: {}": "permissions: write-all",
    "actions/checkout@": "actions/checkout@main # ",
    'run: ./invoke build --target "$TARGET"': "run: ./invoke build --target ${{ github.head_ref }}",
}
"""What zizmor has to find."""


def run(*command: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def workflows() -> list[str]:
    return [str(path) for path in sorted(WORKFLOWS.glob("*.yml"))]


def changed(folder: Path, old: str, new: str) -> list[str]:
    """Return copies of the workflows that hold ``new`` in the place of ``old``."""
    place = folder / ".github" / "workflows"
    shutil.copytree(WORKFLOWS, place)
    count = 0
    for path in place.iterdir():
        text = path.read_text()
        count += text.count(old)
        path.write_text(text.replace(old, new))
    assert count
    return [str(path) for path in sorted(place.iterdir())]


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program, compiled from the module that ``go.sum`` pins."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("not run: go, with which actionlint is compiled, is not installed")
    program = tmp_path_factory.mktemp("actionlint") / "actionlint"
    done = run(go, "build", "-mod=readonly", "-o", str(program), ACTIONLINT, cwd=MODULE)
    if done.returncode and os.environ.get(REQUIRE_DOCKER_VARIABLE) != "1":
        pytest.skip(f"not run: actionlint cannot be compiled: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return str(program)


def test_actionlint_finds_nothing(actionlint: str) -> None:
    done = run(actionlint, "-shellcheck=", "-pyflakes=", *workflows())
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("old", MISTAKES)
def test_actionlint_finds_a_mistake(actionlint: str, tmp_path: Path, old: str) -> None:
    files = changed(tmp_path, old, MISTAKES[old])
    done = run(actionlint, "-shellcheck=", "-pyflakes=", *files)
    assert done.returncode == 1
    assert done.stdout


def zizmor(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zizmor")
    return run(str(program), "--offline", "--persona", "auditor", "--no-progress", *arguments)


def test_zizmor_finds_nothing() -> None:
    done = zizmor(*workflows())
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("old", UNSAFE)
def test_zizmor_finds_what_is_unsafe(tmp_path: Path, old: str) -> None:
    done = zizmor(*changed(tmp_path, old, UNSAFE[old]))
    assert done.returncode != 0
    assert "error" in done.stdout or "warning" in done.stdout


def schema_check(schema: str, *files: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("check-jsonschema")
    return run(str(program), "--builtin-schema", schema, *files)


def test_the_files_are_what_the_hosts_expect(tmp_path: Path) -> None:
    for schema, files in (
        ("vendor.github-workflows", workflows()),
        ("vendor.gitlab-ci", [str(GITLAB)]),
    ):
        done = schema_check(schema, *files)
        assert done.returncode == 0, done.stdout
    broken = tmp_path / "gitlab-ci.yml"
    broken.write_text(GITLAB.read_text().replace("artifacts:", "artifact:"))
    assert schema_check("vendor.gitlab-ci", str(broken)).returncode == 1
