"""What may import what, as ``docs/ARCHITECTURE.md`` says: import-linter asks the whole tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
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
        ("toolchain/building/built.py", "import toolchain.render.basics"),
        ("toolchain/commands/plan.py", "import toolchain.cli.task"),
        ("toolchain/commands/plan.py", "import invoke"),
        ("toolchain/images/container.py", "import toolchain.actions.store"),
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


def test_the_table_of_parts_has_each_one_in_the_order_of_the_layers() -> None:
    rules = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in rules["contracts"] if each["type"] == "layers")
    order = [part.strip() for layer in layers for part in layer.split("|")]
    page = (PROJECT / "docs/ARCHITECTURE.md").read_text()
    rows = page.partition("Inside `toolchain/`")[2].partition("## ")[0].splitlines()
    named = [
        part.strip("` ")
        for row in rows
        if row.startswith("| `")
        for part in row.split("|")[1].split(",")
    ]
    assert len(named) == len(set(named))
    assert set(named) == set(order)
    height = {
        part: number for number, layer in enumerate(layers) for part in re.findall(r"\w+", layer)
    }
    assert [height[part] for part in named] == sorted(height[part] for part in named)
