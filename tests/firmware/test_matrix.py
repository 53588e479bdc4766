"""A matrix of the user's models, from the file to the table, with one that no board can hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.blackbox.support import Checkout, failed
from tests.blackbox.test_json import checked
from tests.unit.matrix_support import dense_model, dense_models
from toolchain.engine import Engine
from toolchain.errors import MatrixFailedError
from toolchain.layout import Layout

BOARDS = 3
MODELS = 3


@pytest.fixture(scope="module")
def checkout(layout: Layout, engine: Engine) -> Checkout:
    return Checkout(layout.project, layout.cache, engine.address.url)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    models = dense_models(folder, MODELS)
    lines = [f'[[model]]\npath = "{model.name}"\n' for model in models]
    (folder / "tried.toml").write_text("".join(lines))
    return folder / "tried.toml"


def test_every_firmware_is_verified_and_the_second_time_taken_over(
    checkout: Checkout, matrix: Path, tmp_path: Path
) -> None:
    done = checkout.invoke(
        "matrix", str(matrix), "--again", "--json", "--csv", str(tmp_path / "t.csv")
    )
    assert done.returncode == 0, done.stderr
    found = checked(json.loads(done.stdout))
    assert found["verified"]
    assert len(found["rows"]) == BOARDS * MODELS
    for row in found["rows"]:
        assert row["verified"], row
        assert min(row[name] for name in ("flash_bytes", "ram_bytes", "arena_bytes")) > 0
        assert row["instructions"] > 100
        folder = checkout.folder / "build" / row["target"] / row["model"]
        assert (folder / "verify.json").is_file()
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + BOARDS * MODELS
    again = checkout.invoke("matrix", str(matrix))
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("yes, before") == BOARDS * MODELS
    assert f"{BOARDS * MODELS} of {BOARDS * MODELS} stand there already" in again.stderr


def test_what_fails_is_a_row_and_the_others_are_worked_on(checkout: Checkout, matrix: Path) -> None:
    dense_model(matrix.parent / "broad.tflite", 2000, 600, 1)
    (matrix.parent / "torn.tflite").write_bytes(b"\x00\x00\x00\x00TFL3 and then nothing")
    text = (
        matrix.read_text() + '[[model]]\npath = "broad.tflite"\n[[model]]\npath = "torn.tflite"\n'
    )
    other = matrix.with_name("failing.toml")
    other.write_text(f'targets = ["sparkfun_edge"]\n{text}')
    done = checkout.invoke("matrix", str(other))
    assert done.returncode == MatrixFailedError.exit_code, done.stderr
    assert "2 of 5 firmwares are not verified" in done.stderr
    assert "no: FirmwareDoesNotFitError" in done.stdout
    assert "no: UnsupportedModelError" in done.stdout
    assert done.stdout.count("  yes") == MODELS
    assert "Traceback" not in done.stderr
    told = checkout.invoke("matrix", str(other), "--json")
    assert told.returncode == MatrixFailedError.exit_code
    document = checked(json.loads(told.stdout))
    assert [row["error"] for row in document["rows"] if not row["verified"]] == [
        "FirmwareDoesNotFitError",
        "UnsupportedModelError",
    ]
    assert sum(row["taken_over"] for row in document["rows"]) == MODELS


def test_a_matrix_that_cannot_be_read_builds_nothing(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[[model]]\nname = "sine_int9"\n')
    said = failed(checkout.invoke("matrix", str(tmp_path / "m.toml")), 29)
    assert "sine_int9" in said
