"""What may import what, as ``docs/ARCHITECTURE.md`` says: import-linter asks the whole tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.commands_support import PROJECT

LINT = str(Path(sys.executable).with_name("lint-imports"))


def linted(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"], cwd=project, capture_output=True, text=True, check=False
    )


def test_imports_point_one_way() -> None:
    done = linted(PROJECT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("toolchain/digest.py", "import tensorflow"),
        ("toolchain/digest.py", "import model.train"),
        ("model/train.py", "import toolchain.errors"),
        ("simulator/colours.py", "import toolchain.pipeline"),
        ("toolchain/actions/lock.py", "import toolchain.commands.build"),
        ("toolchain/actions/lock.py", "import grpc"),
    ],
)
def test_an_import_the_other_way_is_found(tmp_path: Path, file: str, line: str) -> None:
    for name in ("toolchain", "simulator", "model"):
        shutil.copytree(
            PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    path = tmp_path / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = linted(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
