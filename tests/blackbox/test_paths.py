"""Folders and files with names that people give, and with names that nobody should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed, sha256, steps_run

NAMES = (
    "with  two spaces",
    "Übung für Anfänger",
    "日本語",
    'it\'s "quoted"',
    "$HOME `id` ;&|<>*?[a]",
    "-rf",
    "a#b%20c?d=e",
    "line\nbreak",
    os.fsdecode(b"no text \xff\xfe"),
)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_checkout_may_be_called_anything(built: Checkout, tmp_path: Path, name: str) -> None:
    copy = built.copy_to(tmp_path / name)
    done = copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert steps_run(done.stderr) == set()
    firmware = sha256(copy.output / "hello_world.bin")
    assert firmware == sha256(built.output / "hello_world.bin")
    assert firmware in done.stdout


@pytest.mark.parametrize("name", ["naïve sine.tflite", "日本 model.tflite", "-m.tflite"])
def test_a_model_may_be_called_what_people_call_it(
    built: Checkout, tmp_path: Path, name: str
) -> None:
    model = built.folder / "build" / "model" / "sine" / "sine_int8.tflite"
    (tmp_path / name).write_bytes(model.read_bytes())
    option = f"--model={name}" if name.startswith("-") else f"--model=./{name}"
    done = built.invoke("plan", "--target", TARGET, option, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["日本.tflite", "....tflite", "sine_int8.tflite"])
def test_a_model_whose_name_gives_no_identifier_is_told(
    built: Checkout, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"anything")
    said = failed(built.invoke("plan", "--model", f"./{name}", cwd=tmp_path), 29)
    assert "give the file another name" in said


def test_an_option_takes_a_path_from_the_folder_in_which_the_command_runs(
    built: Checkout, tmp_path: Path
) -> None:
    said = failed(built.invoke("build", "--model", "here.tflite", cwd=tmp_path), 29)
    assert "there is no file here.tflite" in said
