"""What a second build does: only what a change makes necessary."""

from __future__ import annotations

import json

from tests.blackbox.support import (
    FIRMWARE,
    TARGET,
    Checkout,
    Containers,
    replace_in,
    sha256,
    steps_known,
    steps_run,
)

REPORTS = ("simulation.json", "simulation.png", "verify.json")


def test_a_change_of_a_board_builds_its_firmware_only(
    copy: Checkout, containers: Containers
) -> None:
    replace_in(copy.board_source, "  RunAt48MHz();\n", "  RunAt48MHz();  // as the UART needs\n")
    plan = copy.invoke("plan", "--target", TARGET, "--json")
    planned = {step["name"]: step for step in json.loads(plan.stdout)["steps"]}
    assert {name for name, step in planned.items() if step["will_run"]} == {FIRMWARE}
    done = copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == {FIRMWARE}
    assert len(containers.created(copy)) == 1
    assert containers.present(copy) == []


def test_a_training_option_builds_what_depends_on_it_only(
    copy: Checkout, built: Checkout, containers: Containers
) -> None:
    replace_in(copy.folder / "model" / "train.py", "DEFAULT_EPOCHS = 600", "DEFAULT_EPOCHS = 2")
    done = copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    ran = steps_run(done.stderr)
    assert ran >= {"train sine", "convert sine", "embed sine_int8", "reference sine_int8", FIRMWARE}
    assert steps_known(done.stderr) >= {"library cortex-m4+fp release"}
    assert len(containers.created(copy)) == len(ran)
    history = json.loads((copy.folder / "build" / "model" / "sine" / "history.json").read_text())
    assert history["epochs"] == len(history["loss"]) == 2
    assert sha256(copy.output / "hello_world.bin") != sha256(built.output / "hello_world.bin")


def test_a_model_trained_otherwise_is_shown_and_the_next_build_is_told_of(copy: Checkout) -> None:
    done = copy.invoke("train", "--epochs", "2", "--seed", "5", "--model-1-epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "build/model/sine/report.html" in done.stdout
    assert "the next build trains with the model's own options again" in done.stderr
    family = copy.folder / "build" / "model" / "sine"
    history = json.loads((family / "history.json").read_text())
    assert (history["epochs"], history["seed"]) == (2, 5)
    for name in ("sine_int8", "sine_float"):
        assert (family / f"{name}.tflite").read_bytes()[4:8] == b"TFL3"
        assert (family / name / "reference.json").exists()


def test_reports_stay_while_the_firmware_does_and_go_with_it(copy: Checkout) -> None:
    assert copy.invoke("verify", "--target", TARGET, "--model", "sine_int8").returncode == 0
    assert copy.invoke("simulate", "--target", TARGET, "--inferences", "40").returncode == 0
    written = {name: sha256(copy.output / name) for name in REPORTS}
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    assert {name: sha256(copy.output / name) for name in REPORTS} == written
    copy.touch_firmware()
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    assert not [name for name in REPORTS if (copy.output / name).exists()]


def test_outputs_that_were_changed_by_hand_are_put_right(
    copy: Checkout, containers: Containers
) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    before = copy.outputs()
    (copy.output / "hello_world.bin").write_bytes(b"mine")
    (copy.output / "hello_world.hex").unlink()
    (copy.output / "workspace" / "tflm" / "Makefile").write_text("")
    done = copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert copy.outputs() == before
    assert containers.created(copy) == []


def test_a_corrupt_blob_of_the_cache_is_reported_and_made_again(
    lone_copy: Checkout, containers: Containers
) -> None:
    first = lone_copy.invoke("build", "--target", TARGET)
    assert first.returncode == 0, first.stderr
    digest = sha256(lone_copy.output / "hello_world.bin")
    blob = lone_copy.cache / "cas" / "sha256" / digest[:2] / digest
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    done = lone_copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert f"warning: {blob} was not what its name says" in done.stderr
    assert steps_run(done.stderr) == {FIRMWARE}
    assert len(containers.created(lone_copy)) == 1
    assert done.stdout == first.stdout
    assert sha256(blob) == digest


def test_cleaning_removes_outputs_and_the_next_build_restores_them_without_a_step(
    copy: Checkout, containers: Containers
) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    before = copy.outputs()
    done = copy.invoke("clean")
    assert done.returncode == 0, done.stderr
    assert f"removed {copy.folder / 'build'}" in done.stderr
    assert not (copy.folder / "build").exists()
    assert "there is nothing to remove" in copy.invoke("clean").stderr
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    assert copy.outputs() == before
    assert containers.created(copy) == []


def test_cleaning_the_cache_leaves_nothing_of_it_but_locks(lone_copy: Checkout) -> None:
    done = lone_copy.invoke("clean", "--cache")
    assert done.returncode == 0, done.stderr
    left = {path.name for path in lone_copy.cache.iterdir()}
    assert left <= {"locks", "images.lock"}
