"""The host's side of a sandbox: what is left behind, and by whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from toolchain.actions.sandbox import Sandbox, remove_abandoned
from toolchain.files import remove_tree

_OWNER = """
import sys
from pathlib import Path
from toolchain.actions.sandbox import Sandbox
sandbox = Sandbox(Path(sys.argv[1]))
print(sandbox.identity, flush=True)
sys.stdin.readline()
"""


def _owner(parent: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(parent)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_only_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    dead, dead_identity = _owner(tmp_path)
    alive, alive_identity = _owner(tmp_path)
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    ended: list[str] = []
    with Sandbox(tmp_path) as own:
        assert remove_abandoned(tmp_path, ended.append) == (dead_identity,)
        assert own.out.is_dir()
    assert ended == [dead_identity]
    assert {path.name for path in tmp_path.iterdir()} == {alive_identity, f"{alive_identity}.lock"}
    alive.send_signal(signal.SIGKILL)
    alive.communicate()
    remove_abandoned(tmp_path, ended.append)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_lock_has_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "1-dead" / "out").mkdir(parents=True)
    remove_abandoned(tmp_path, lambda _identity: None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "none", lambda _identity: None) == ()


def test_a_tree_is_removed_whatever_its_modes_are_and_links_are_not_followed(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    deep = tmp_path / "tree" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"")
    (deep / "link").symlink_to(outside)
    os.mkfifo(deep / "pipe")
    for folder in (deep, deep.parent, deep.parent.parent):
        folder.chmod(0)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert (outside / "precious").exists()
