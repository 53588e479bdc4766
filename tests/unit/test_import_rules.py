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


BREACHES = (
    ("toolchain/digest.py", "tensorflow"),
    ("toolchain/digest.py", "model.train"),
    ("model/train.py", "toolchain.errors"),
    ("simulator/colours.py", "toolchain.pipeline"),
    ("toolchain/actions/lock.py", "toolchain.commands.build"),
    ("toolchain/actions/lock.py", "grpc"),
    ("toolchain/building/built.py", "toolchain.render.basics"),
    ("toolchain/commands/plan.py", "toolchain.cli.task"),
    ("toolchain/commands/plan.py", "invoke"),
    ("toolchain/images/container.py", "toolchain.actions.store"),
    ("toolchain/unplaced.py", "toolchain.errors"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what is said of a tree with all the breaches, as one line."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("toolchain", "simulator", "model"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", folder)
    for file, module in BREACHES:
        with (folder / file).open("a") as source:
            source.write(f"\nimport {module}\n")
    done = linted(folder)
    assert done.returncode == 1, done.stdout
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(("file", "module"), BREACHES)
def test_an_import_the_other_way_is_found(report: str, file: str, module: str) -> None:
    importer = file.removesuffix(".py").replace("/", ".")
    if importer == "toolchain.unplaced":
        assert importer in report
    else:
        assert f"{importer} -> {module}" in report


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
