"""A matrix file: what it means, and what is wrong with it; rows that are kept."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.matrix_support import dense_model
from toolchain.commands.matrix import require_all_verified
from toolchain.errors import MatrixFailedError, UsageError
from toolchain.matrix.definition import read_matrix
from toolchain.matrix.outcome import (
    MatrixReport,
    Outcome,
    outcome_path,
    read_outcome,
    write_outcome,
)
from toolchain.render.matrix import matrix_csv, matrix_markdown, matrix_text

TARGETS = ("arduino_nano_33_ble", "sparkfun_edge", "stm32f746g_disco")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two models of the user."""
    (tmp_path / "models").mkdir()
    dense_model(tmp_path / "models" / "wave.tflite", 4, 2, 1)
    dense_model(tmp_path / "models" / "tilt.tflite", 4, 2, 2)
    return tmp_path


def keys(folder: Path, text: str, name: str = "m.toml") -> list[tuple[str, str, str]]:
    (folder / name).write_text(text)
    return [each.key for each in read_matrix(folder / name, TARGETS).combinations]


def test_every_model_meets_every_board_and_build_type(folder: Path) -> None:
    text = """
build_types = ["release", "debug"]
[[model]]
name = "sine_int8"
[[model]]
path = "models/wave.tflite"
arena = 4096
"""
    found = keys(folder, text)
    assert len(found) == len(set(found)) == 2 * 3 * 2
    assert found[0] == ("sine_int8", "arduino_nano_33_ble", "release")
    matrix = read_matrix(folder / "m.toml", TARGETS)
    assert matrix.name == "m"
    last = matrix.combinations[-1]
    assert last.arena_bytes == 4096
    assert last.model.given is not None
    assert last.model.given.file == folder / "models" / "wave.tflite"


def test_what_is_excluded_is_left_out(folder: Path) -> None:
    text = """
targets = ["sparkfun_edge", "stm32f746g_disco"]
[[model]]
name = "sine_int8"
[[model]]
path = "models/wave.tflite"
[[exclude]]
model = "wave"
target = "sparkfun_edge"
"""
    assert keys(folder, text) == [
        ("sine_int8", "sparkfun_edge", "release"),
        ("sine_int8", "stm32f746g_disco", "release"),
        ("wave", "stm32f746g_disco", "release"),
    ]


def test_a_line_of_csv_is_a_build(folder: Path) -> None:
    text = (
        "model,target,build_type,arena\n"
        "models/wave.tflite,sparkfun_edge,debug,2048\n"
        "sine_float,stm32f746g_disco,,\n"
    )
    assert keys(folder, text, "m.csv") == [
        ("wave", "sparkfun_edge", "debug"),
        ("sine_float", "stm32f746g_disco", "release"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "model,target\nsine_int8,sparkfun_edge\n"),
        ("m.toml", "targets = ['sparkfun_edge']\n[[model]]\nname = 'sine_int8'\n"),
    ],
)
def test_a_byte_order_mark_says_nothing(folder: Path, name: str, text: str) -> None:
    assert keys(folder, f"\ufeff{text}", name) == keys(folder, text, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]]\nname = 'sine_int8'\npath = 'x.tflite'", "either a name"),
        ("[[model]]\nname = 'nothing'", "[[model]] nothing"),
        ("[[model]]\npath = 'models/none.tflite'", "there is no file"),
        ("[[model]]\nname = 'sine_int8'\ncolour = 1", "model.0.colour"),
        ("targets = ['moon']\n[[model]]\nname = 'sine_int8'", "there is no board 'moon'"),
        ("targets = []\n[[model]]\nname = 'sine_int8'", "targets"),
        ("build_types = ['fast']\n[[model]]\nname = 'sine_int8'", "build_types"),
        ("[[model]]\nname = 'sine_int8'\n[[model]]\nname = 'sine_int8'", "stands there twice"),
        ("[[model]]\nname = 'sine_int8'\n[[exclude]]\nmodel = 'wave'", "names the model wave"),
        ("[[model]]\nname = 'sine_int8'\n[[exclude]]\nmodel = 'sine_int8'", "nothing is left"),
        ("[[model]]\npath = 'models/wave.tflite'\narena = 8", "model.0.arena"),
        ("[[model]]\npath = 'models/wave.tflite'\narena = 1099511627776", "model.0.arena"),
        (f"[[model]]\npath = 'models/wave.tflite'\narena = 1{'0' * 5000}", "is not TOML"),
        (f"x = {'[' * 5000}{']' * 5000}", "is not TOML"),
        ("[[model]]\npath = '~nobody-of-that-name/x.tflite'", "it is not known whose home"),
        (f"[[model]]\npath = '{'x' * 300}.tflite'", "there is no file"),
        ("[[model]]\nname = 'sine_int8'\n[[exclude]]\ntarget = 'moon'", "names the board 'moon'"),
        ("model = 1", "model"),
        ("[[model", "is not TOML"),
        ("", "model"),
    ],
)
def test_what_is_wrong_with_toml_is_said(folder: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        keys(folder, text)
    assert said in caught.value.render()
    assert "m.toml" in caught.value.what


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing: model, target"),
        ("model,board\n", "unknown: board"),
        ("model,target,target\n", "name the columns"),
        ("model,target\nsine_int8\n", "line 2 has not 2 fields"),
        ("model,target\nsine_int8,sparkfun_edge,x\n", "line 2 has not 2 fields"),
        ("model,target,arena\nsine_int8,sparkfun_edge,few\n", "line 2: arena is 'few'"),
        ("model,target,arena\nsine_int8,sparkfun_edge,8\n", "line 2: arena is '8'"),
        (f"model,target,arena\nsine_int8,sparkfun_edge,1{'0' * 20}\n", "line 2: arena is '1000"),
        (f"model,target,arena\nsine_int8,sparkfun_edge,1{'0' * 5000}\n", "line 2: arena is '100"),
        ("model,target,build_type\nsine_int8,sparkfun_edge,fast\n", "no build type 'fast'"),
        ("model,target\nsine_int8,moon\n", "there is no board 'moon'"),
        ("model,target\n", "nothing is left"),
        ('model,target\n"sine_int8,sparkfun_edge\n', "is not CSV"),
    ],
)
def test_what_is_wrong_with_csv_is_said(folder: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        keys(folder, text, "m.csv")
    assert said in caught.value.render()


def test_two_models_of_one_name_would_take_each_others_place(folder: Path) -> None:
    (folder / "others").mkdir()
    dense_model(folder / "others" / "wave.tflite", 4, 2, 3)
    text = "[[model]]\npath = 'models/wave.tflite'\n[[model]]\npath = 'others/wave.tflite'\n"
    with pytest.raises(UsageError, match="are called wave"):
        keys(folder, text)


@pytest.mark.parametrize("name", ["m.json", "m"])
def test_a_file_of_another_kind_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no matrix"):
        keys(folder, "", name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_matrix(folder / "none.toml", TARGETS)


@given(data=st.binary(max_size=200), suffix=st.sampled_from([".toml", ".csv"]))
def test_whatever_a_file_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("matrix") / f"m{suffix}"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        read_matrix(path, TARGETS)


ROW = Outcome(
    *("sine_int8", "sparkfun_edge", "release"),
    verified=True,
    flash_bytes=18096,
    ram_bytes=2304,
    instructions=7840,
    image_sha256="0" * 64,
    seconds=1.5,
)
BAD = dataclasses.replace(
    ROW, model="a|b", verified=False, error="FirmwareDoesNotFitError", exit_code=20, message="full"
)


def test_a_row_is_taken_over_when_nothing_changed(tmp_path: Path) -> None:
    path = outcome_path(tmp_path / "matrix", ("sine_int8", "sparkfun_edge", "release"))
    assert read_outcome(path, "one") is None
    write_outcome(path, "one", ROW)
    assert read_outcome(path, "one") == dataclasses.replace(ROW, taken_over=True)
    assert read_outcome(path, "two") is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: {**document, "schema": "another"},
        lambda document: {**document, "outcome": {}},
        lambda document: {**document, "outcome": {**document["outcome"], "more": 1}},
        lambda document: [],  # noqa: ARG005
    ],
)
def test_a_spoilt_row_is_made_again(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    path = tmp_path / "row.json"
    write_outcome(path, "one", ROW)
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    assert read_outcome(path, "one") is None
    path.write_bytes(b"\xff")
    assert read_outcome(path, "one") is None


def report(*rows: Outcome, places: Mapping[str, int] | None = None) -> MatrixReport:
    return MatrixReport("m", rows, 12.4, 30, 6, places or {})


def test_the_table_tells_each_row_and_what_it_took() -> None:
    text = matrix_text(report(ROW, BAD, places={"": 10, "w-1": 20}))
    assert "18,096" in text
    assert "no: FirmwareDoesNotFitError" in text
    assert text.endswith("1 of 2 verified in 12 s; 30 steps executed (20 on w-1), 6 known")
    markdown = matrix_markdown(report(ROW, BAD)).splitlines()
    assert {line.count("|") for line in markdown[:4]} == {9}
    read = list(csv.DictReader(io.StringIO(matrix_csv(report(ROW, BAD)))))
    assert [row["model"] for row in read] == ["sine_int8", "a|b"]
    assert read[1]["message"] == "full"


def test_a_row_that_failed_is_an_error_at_the_end() -> None:
    require_all_verified(report(ROW))
    with pytest.raises(MatrixFailedError, match="1 of 2 firmwares") as caught:
        require_all_verified(report(ROW, BAD))
    assert "full" in caught.value.what
