"""Exit codes: one for each kind of failure, so that a script can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed


def damaged(copy: Checkout, name: str) -> None:
    (copy.folder / name).write_text("= this is no table\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("build", "--target", "nowhere"), 10),
        (("build", "--model", "cosine"), 29),
        (("verify-release", "no such place"), 29),
        (("verify-release", "LICENSE"), 44),
        (("reproduce", "LICENSE"), 44),
        (("cache", "import", "no such place"), 29),
        (("simulate", "--simulator", "renode"), 39),
        (("biuld",), 29),
    ],
)
def test_a_failure_has_the_exit_code_of_its_kind(
    built: Checkout, arguments: Sequence[str], code: int
) -> None:
    # A simulator on PATH would be one that can be had.
    failed(built.invoke(*arguments, RENODE="/nonexistent"), code)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        (f"boards/{TARGET}/board.toml", ("build", "--target", TARGET), 25),
        (f"boards/{TARGET}/board.toml", ("targets",), 25),
        ("pins.toml", ("build", "--target", TARGET), 26),
        ("pins.toml", ("pins",), 26),
    ],
)
def test_a_damaged_file_of_the_project_has_the_exit_code_of_its_kind(
    copy: Checkout, name: str, arguments: Sequence[str], code: int
) -> None:
    damaged(copy, name)
    assert name in failed(copy.invoke(*arguments), code)
    assert copy.outputs() == {}


@pytest.mark.parametrize(
    ("name", "option", "code"),
    [
        ("model.tflite", "--model", 27),
        ("data.npy", "--inputs", 29),
        ("data.npy", "--representative", 29),
    ],
)
def test_a_file_of_the_user_that_cannot_be_used_is_told(
    built: Checkout, tmp_path: Path, name: str, option: str, code: int
) -> None:
    file = tmp_path / name
    file.write_bytes(b"nothing of the kind")
    before = built.outputs()
    said = failed(built.invoke("build", "--target", TARGET, option, str(file)), code)
    assert "next: " in said
    assert built.outputs() == before
