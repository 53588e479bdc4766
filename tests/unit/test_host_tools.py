"""The pinned tree and the tools of this machine, asked for by several at once, and damaged."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.actions_support import make_layout
from toolchain.errors import UnpinnedToolError, UsageError
from toolchain.host_tools import pinned_tree as module
from toolchain.host_tools import tools as tools_module
from toolchain.host_tools.pinned_tree import (
    MAKEFILE,
    TREE_VARIABLE,
    PinnedTree,
    pinned_tree,
    tree_sha256,
)
from toolchain.host_tools.tools import PYTHON_VARIABLE, HostTools
from toolchain.images import project_pins
from toolchain.layout import project_layout

PROJECT = project_layout()
PINS = project_pins(PROJECT)


def test_steps_side_by_side_make_the_tree_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[PinnedTree] = []

    def make(*_: object) -> PinnedTree:
        time.sleep(0.1)
        made.append(PinnedTree(Path("tree"), Path("doc")))
        return made[-1]

    monkeypatch.setattr(tools_module, "pinned_tree", make)
    tools = HostTools(PROJECT, PINS, {})
    with ThreadPoolExecutor(4) as threads:
        assert {id(found.result()) for found in [threads.submit(tools.tree) for _ in "1234"]}
    assert len(made) == 1


def test_commands_side_by_side_make_the_tree_once_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_layout(tmp_path)
    makefile = layout.project / "tflm/image/Makefile"
    makefile.parent.mkdir(parents=True)
    makefile.touch()
    abandoned = layout.trees / f".{PINS.tflm.sha256[:24]}.1-abcd"
    (abandoned / "tree").mkdir(parents=True)
    unpacked: list[Path] = []
    guard = threading.Lock()

    def unpack(_: Path, scratch: Path) -> None:
        with guard:
            unpacked.append(scratch)
        time.sleep(0.2)
        (scratch / "tree" / MAKEFILE).parent.mkdir(parents=True)

    monkeypatch.setattr(module, "_unpack", unpack)
    monkeypatch.setattr("toolchain.images.downloads.Downloads.is_intact", lambda *_: True)
    monkeypatch.setattr(
        module,
        "_is_pinned",
        lambda tree, *_: tree.folder.is_relative_to(tmp_path) and (tree.folder / MAKEFILE).exists(),
    )
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(pinned_tree, layout, PINS, {}) for _ in "12"]
        assert len({found.result() for found in asked}) == 1
    assert len(unpacked) == 1
    assert [path.name for path in layout.trees.iterdir() if path.is_dir()] == [
        PINS.tflm.sha256[:24]
    ]


def test_a_tree_with_names_that_are_no_text_is_only_another_one(tmp_path: Path) -> None:
    (tmp_path / "copyright").touch()
    before = tree_sha256(tmp_path, tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    assert tree_sha256(tmp_path, tmp_path) != before


def test_a_tree_into_which_a_folder_is_linked_is_not_examined(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "copyright").touch()
    tree_sha256(tree, tree)
    (tree / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        tree_sha256(tree, tree)


@pytest.mark.parametrize("variable", [TREE_VARIABLE, PYTHON_VARIABLE])
def test_the_home_of_nobody_is_refused(variable: str) -> None:
    tools = HostTools(PROJECT, PINS, {variable: "~no-such-user/x"})
    with pytest.raises(UsageError, match="whose home ~no-such-user/x begins"):
        tools.tree() if variable == TREE_VARIABLE else tools.tool("train")


@pytest.mark.parametrize("answer", ["[]", "{}", '{"python": "3.13", "packages": []}', "null"])
def test_a_python_that_answers_something_else_is_refused(tmp_path: Path, answer: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    with pytest.raises(UnpinnedToolError, match="python"):
        HostTools(PROJECT, PINS, {PYTHON_VARIABLE: str(program)}).tool("train")


def test_a_cargo_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_bytes(b"\x7fELF")
    cargo.chmod(0o755)
    with pytest.raises(UnpinnedToolError, match="cargo cannot be run"):
        pinned_tree(make_layout(tmp_path), PINS, {"PATH": str(tmp_path), "HOME": str(tmp_path)})
