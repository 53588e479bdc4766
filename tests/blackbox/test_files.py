"""Which files a build leaves, and where."""

from __future__ import annotations

import json
from pathlib import Path

from tests.blackbox.support import TARGET, Checkout, sha256


def sources(checkout: Checkout) -> dict[str, str]:
    """Return the sha256 of every file outside ``build``, ``.venv`` and Python's byte code."""
    return {
        str(path.relative_to(checkout.folder)): sha256(path)
        for path in checkout.folder.rglob("*")
        if path.is_file()
        and path.relative_to(checkout.folder).parts[0] not in {"build", ".venv"}
        and "__pycache__" not in path.parts
    }


def test_nothing_is_written_beside_the_outputs(copy: Checkout) -> None:
    before = sources(copy)
    for command in ("build", "simulate", "verify", "plan"):
        done = copy.invoke(command, "--target", TARGET)
        assert done.returncode == 0, done.stderr
    assert sources(copy) == before


def test_the_outputs_are_those_that_were_told_and_the_same_each_time(
    copy: Checkout, built: Checkout
) -> None:
    done = copy.invoke("build", "--target", TARGET, "--json")
    (firmware,) = json.loads(done.stdout)["firmwares"]
    told = {Path(artifact["path"]).name for artifact in firmware["artifacts"]}
    there = {path.name for path in copy.output.iterdir() if path.is_file()}
    assert there == told
    mine, first = copy.outputs(), built.outputs()
    firmwares = {name for name in mine if name.startswith(f"{TARGET}/")}
    assert {name: mine[name] for name in firmwares} == {name: first[name] for name in firmwares}


def test_no_half_made_and_no_hidden_file_stays(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    odd = [
        name
        for name in copy.outputs()
        if Path(name).name.startswith((".", "~")) or Path(name).suffix in {".tmp", ".part"}
    ]
    assert odd == []
    assert copy.sandboxes() == []


def test_outputs_can_be_read_by_all_and_are_no_programs(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in copy.output.iterdir() if path.is_file()
    }
    assert "hello_world.bin" in modes
    assert modes == dict.fromkeys(modes, 0o644)
