"""``./invoke train`` from a fresh checkout; model_2 is trained as for a build, model_1 briefly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import Checkout
from toolchain.actions.docker_executor import LABEL_PROJECT
from toolchain.engine import Engine
from toolchain.pipeline.publication import story_files

SHORT = ("--model-1-epochs", "3")


@pytest.fixture(scope="module")
def trained(checkout: Checkout) -> subprocess.CompletedProcess[str]:
    done = checkout.invoke("train", *SHORT)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def folder(checkout: Checkout, trained: subprocess.CompletedProcess[str]) -> Path:
    assert trained.stdout
    return checkout.folder / "build" / "model" / "sine"


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_that_is_told_is_there(
    folder: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    assert {str(path) for path in story_files("sine")} <= found(folder).keys()
    assert len(json.loads((folder / "history.json").read_text())["loss"]) == 600
    assert len(json.loads((folder / "model_1/history.json").read_text())["loss"]) == 3
    assert "model_1" in trained.stdout
    assert "build/model/sine/report.html" in trained.stdout


def test_the_machine_of_the_training_is_beside_the_report_and_not_in_it(folder: Path) -> None:
    machines = json.loads((folder / "machine.json").read_text())["trained"]
    assert set(machines) == {"train sine", "train sine model_1"}
    for machine in machines.values():
        assert machine["flags_sha256"] not in (folder / "report.html").read_text()


def test_training_again_changes_nothing(
    checkout: Checkout, folder: Path, trained: subprocess.CompletedProcess[str]
) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}

    before = times()
    done = checkout.invoke("train", *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == trained.stdout
    assert times() == before


def test_the_result_is_told_as_json(checkout: Checkout, folder: Path) -> None:
    done = checkout.invoke("train", *SHORT, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["folder"] == str(folder)
    assert [each["epochs"] for each in told["networks"]] == [3, 600]
    assert told["sizes"]["sine_int8.tflite"] == (folder / "sine_int8.tflite").stat().st_size


def test_ctrl_c_stops_the_training_and_leaves_no_container(
    checkout: Checkout, engine: Engine, trained: subprocess.CompletedProcess[str]
) -> None:
    assert trained.stdout
    before = found(checkout.folder / "build" / "model")
    process = subprocess.Popen(
        [str(checkout.folder / "invoke"), "train", "--epochs", "1000000"],
        cwd=checkout.folder,
        env=checkout.environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 130
    assert "stopped" in said
    assert "Traceback" not in said
    labels = {"label": f"{LABEL_PROJECT}={checkout.folder}"}
    assert engine.client.containers.list(all=True, filters=labels) == []
    assert found(checkout.folder / "build" / "model") == before


def test_a_build_of_the_same_model_keeps_what_was_told(checkout: Checkout, folder: Path) -> None:
    before = found(folder)
    done = checkout.invoke("build", "--target", "sparkfun_edge")
    assert done.returncode == 0, done.stderr
    assert found(folder) == before


def test_another_model_takes_the_place_of_what_was_told(
    checkout: Checkout, folder: Path, tmp_path: Path
) -> None:
    other = checkout.copy_to(tmp_path / "other")
    shutil.copytree(folder, other.folder / "build" / "model" / "sine")
    (other.folder / "build/model/sine/sine.keras").write_bytes(b"another")
    done = other.invoke("build", "--target", "sparkfun_edge")
    assert done.returncode == 0, done.stderr
    assert not (other.folder / "build" / "model" / "sine" / "report.html").exists()
