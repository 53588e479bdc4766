"""What the commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, sha256
from toolchain.boards import board_names

TASKS = (
    *("build", "bundle", "cache", "cache-export", "cache-import", "clean", "images", "pins"),
    *("ci", "plan", "shell", "package", "reproduce", "verify-release"),
    *("flash", "schemas", "simulate", "targets", "test", "train", "verify"),
)
WITH_JSON = ("build", "simulate", "verify", "plan", "targets", "images", "cache")


def test_json_is_one_document_with_a_schema_and_nothing_beside_it(
    built: Checkout, tmp_path: Path
) -> None:
    documents = {}
    for command in WITH_JSON:
        board = () if command in {"targets", "images", "cache"} else ("--target", TARGET)
        done = built.invoke(command, *board, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        documents[command] = json.loads(done.stdout)
    schemas = {command: document["schema"] for command, document in documents.items()}
    assert schemas == {
        "build": "tinyml-toolchain/build/1",
        "simulate": "tinyml-toolchain/simulations/1",
        "verify": "tinyml-toolchain/verifications/1",
        "plan": "tinyml-toolchain/plan/1",
        "targets": "tinyml-toolchain/targets/1",
        "images": "tinyml-toolchain/images/1",
        "cache": "tinyml-toolchain/cache/1",
    }
    (firmware,) = documents["build"]["firmwares"]
    assert {Path(each["path"]).name for each in firmware["artifacts"]} >= {
        *("hello_world.bin", "hello_world.elf", "hello_world.hex", "hello_world.map"),
    }
    for each in firmware["artifacts"]:
        assert sha256(Path(each["path"])) == each["sha256"]
        assert Path(each["path"]).stat().st_size == each["size_bytes"]
    (simulation,) = documents["simulate"]["simulations"]
    assert simulation == json.loads((built.output / "simulation.json").read_text())
    verifications = {each["model"]: each for each in documents["verify"]["verifications"]}
    assert set(verifications) == {"sine_int8", "sine_float"}
    assert verifications["sine_int8"] == json.loads((built.output / "verify.json").read_text())
    assert [step["will_run"] for step in documents["plan"]["steps"]].count(False) == len(
        documents["plan"]["steps"]
    )
    assert TARGET in {board["name"] for board in documents["targets"]["targets"]}
    assert all(image["size_bytes"] > 0 for image in documents["images"]["images"])


def test_results_go_to_standard_output_and_progress_to_standard_error(built: Checkout) -> None:
    done = built.invoke("build", "--target", TARGET)
    assert "  train sine: cached\n" in done.stderr
    assert "cached" not in done.stdout
    assert "sha256" in done.stdout
    assert "sha256" not in done.stderr
    quiet = built.invoke("build", "--target", TARGET, "--quiet")
    assert quiet.stderr == ""
    assert "next:" not in quiet.stdout
    assert done.stdout.startswith(quiet.stdout)


def test_the_commands_to_type_next_are_for_what_was_built(built: Checkout) -> None:
    done = built.invoke("build", "--target", TARGET, "--model", "sine_float")
    assert done.returncode == 0, done.stderr
    line = f"next: ./invoke simulate --target {TARGET} --model sine_float "
    assert line in done.stdout
    after = built.invoke(*line.split()[2:])
    assert after.returncode == 0, after.stderr
    assert "SparkFun Edge, sine_float, simulated" in after.stdout


def test_tasks_are_listed_and_each_option_is_explained(built: Checkout) -> None:
    listed = built.invoke("--list")
    assert listed.returncode == 0
    names = {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")}
    assert names >= set(TASKS)
    for name in TASKS:
        shown = built.invoke("--help", name)
        assert shown.returncode == 0
        options = shown.stdout.partition("Options:\n")[2].splitlines()
        unexplained = [line for line in options if line.startswith("  -") and "   " not in line[3:]]
        assert unexplained == [], name


def test_targets_plan_and_images_are_tables_for_people(built: Checkout) -> None:
    names = board_names(built.folder / "boards")
    targets = built.invoke("targets").stdout
    assert re.search(rf"^{TARGET} +SparkFun Edge +cortex-m4 48 MHz", targets, re.MULTILINE)
    assert re.search(
        rf"^{TARGET} .* ambiq_bootloader \(ambiq_wired_update\)$", targets, re.MULTILINE
    )
    first_words = [line.partition(" ")[0] for line in targets.splitlines()]
    listed = [word for word in first_words if word in names]
    # One table after another, each with all boards.
    assert listed == list(names) * (len(listed) // len(names))
    assert listed
    planned = built.invoke("plan", "--target", TARGET).stdout.splitlines()
    assert "cached  train sine" in planned
    assert {line.split()[0] for line in planned} == {"cached"}
    images = built.invoke("images").stdout
    for kind in ("base", "train", "cross"):
        assert f"tinyml-toolchain/{kind}:" in images


def test_a_shell_command_runs_in_the_cross_image_without_network_and_power(built: Checkout) -> None:
    if shutil.which("docker") is None:
        pytest.skip("not run: the docker command line client is not installed")
    command = "ls /project && id -u && cat /proc/net/dev && grep CapEff /proc/self/status; exit 7"
    done = built.invoke("shell", "--target", TARGET, "--command", command)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["boards", "lib", "model", "tflm"]
    assert lines[4] != "0"
    interfaces = [line.partition(":")[0].strip() for line in lines[5:-1] if ":" in line]
    assert interfaces == ["lo"]
    assert lines[-1] == "CapEff:\t0000000000000000"


@pytest.mark.parametrize("name", ["inv", "invoke"])
def test_plain_invoke_of_the_environment_does_the_same_from_any_folder(
    built: Checkout, first_build: subprocess.CompletedProcess[str], tmp_path: Path, name: str
) -> None:
    program = [str(built.folder / ".venv" / "bin" / name)]
    inside = built.invoke("build", "-t", TARGET, program=program, cwd=built.folder / "boards")
    assert inside.returncode == 0, inside.stderr
    assert sha256(built.output / "hello_world.bin") in inside.stdout
    root = ["--search-root", str(built.folder)]
    outside = built.invoke(*root, "build", "-t", TARGET, program=program, cwd=tmp_path)
    assert outside.returncode == 0, outside.stderr
    assert str(built.output / "hello_world.bin") in outside.stdout
    here = built.invoke("build", "-t", TARGET, program=program)
    assert here.stdout == first_build.stdout


def test_the_command_works_through_a_link_from_another_folder(
    built: Checkout, tmp_path: Path
) -> None:
    link = tmp_path / "tinyml"
    link.symlink_to(built.folder / "invoke")
    done = built.invoke("build", "--target", TARGET, program=[str(link)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(built.output / "hello_world.bin") in done.stdout


def test_it_works_in_a_folder_that_was_removed(built: Checkout, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = ["sh", "-c", f'rmdir "{gone}"; exec "$@"', "sh", str(built.folder / "invoke")]
    done = built.invoke("build", program=shell, cwd=gone)
    assert done.returncode == 0, done.stderr
    assert str(built.output / "hello_world.bin") in done.stdout


def test_where_characters_are_few_everything_is_ascii(built: Checkout) -> None:
    for command in (("build",), ("simulate", "--inferences", "2000"), ("verify",), ("targets",)):
        done = built.invoke(*command, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert "\\u" not in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(built: Checkout) -> None:
    script = '"$@" | head -n 1; echo "${PIPESTATUS[0]}" >&2'
    shell = ["bash", "-c", script, "bash", str(built.folder / "invoke")]
    done = built.invoke("simulate", "--lines", "1000", "--inferences", "3000", program=shell)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert done.stderr.splitlines()[-1] in {"0", "141"}


def test_a_traceback_is_shown_to_those_who_ask_for_one(built: Checkout) -> None:
    done = built.invoke("build", "--model", "cosine", TOOLCHAIN_DEBUG="1")
    assert done.returncode == 29
    assert "Traceback (most recent call last)" in done.stderr
    assert "find_model" in done.stderr
    assert "error: there is no model 'cosine'" in done.stderr
    assert done.stdout == ""
