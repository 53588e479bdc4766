"""The main job as a stranger does it: from a fresh checkout to a verified, flashable image."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from pathlib import Path

import pytest

from tests.blackbox.conftest import Checkout
from toolchain.boards import find_board
from toolchain.engine import Engine

TARGET = "sparkfun_edge"
MAKE_LINE = "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=sparkfun_edge hello_world_bin"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def output(checkout: Checkout) -> str:
    """What the first build printed."""
    done = checkout.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(checkout: Checkout, output: str) -> Path:
    assert output
    return checkout.folder / "build" / TARGET / "sine_int8"


def test_the_build_ends_with_a_table_of_true_digests(output: str, folder: Path) -> None:
    for name in ("hello_world.bin", "hello_world.elf", "hello_world.hex", "hello_world.map"):
        (row,) = [line for line in output.splitlines() if f"{name} " in line]
        assert sha256(folder / name) in row
        assert f"{(folder / name).stat().st_size:,}" in row
    for word in ("runtime", "kernels", "model", "libc", "board"):
        assert word in output


def test_the_elf_is_for_arm_and_the_image_starts_as_the_bootloader_wants(
    checkout: Checkout, folder: Path
) -> None:
    board = find_board(checkout.folder / "boards", TARGET)
    elf = (folder / "hello_world.elf").read_bytes()
    assert elf[:6] == b"\x7fELF\x01\x01"
    assert struct.unpack_from("<H", elf, 18) == (40,)
    image = (folder / "hello_world.bin").read_bytes()
    stack_pointer, reset = struct.unpack_from("<II", image)
    assert stack_pointer <= 0x1005_FFF8
    load = board.application.load_address
    assert reset & 1
    assert load < reset < load + len(image)


def test_sizes_are_within_the_promise(folder: Path) -> None:
    size = json.loads((folder / "size.json").read_text())
    assert size["flash_used"] == (folder / "hello_world.bin").stat().st_size
    assert size["flash_used"] <= 20 * 1024
    assert size["ram_used"] <= 6 * 1024
    assert sum(layer["flash"] for layer in size["layers"]) == size["flash_used"]


class ContainerEvents:
    """Containers that the engine creates from now on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._start = time.time_ns()

    def created(self) -> list[str]:
        events = self._engine.client.events(
            since=self._start // 1_000_000_000,
            until=int(time.time()) + 1,
            filters={"type": "container", "event": "create"},
            decode=True,
        )
        return [
            event["Actor"]["Attributes"]["name"]
            for event in events
            if event["timeNano"] >= self._start
        ]


def test_the_second_build_starts_no_container_and_prints_the_same(
    checkout: Checkout, output: str, engine: Engine
) -> None:
    events = ContainerEvents(engine)
    done = checkout.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert done.stdout == output
    assert events.created() == []


def test_the_event_log_would_show_a_container(engine: Engine, base_image: str) -> None:
    events = ContainerEvents(engine)
    engine.client.containers.run(base_image, ["true"], network_mode="none", remove=True)
    assert len(events.created()) == 1


def test_it_works_from_another_folder(checkout: Checkout, output: str, tmp_path: Path) -> None:
    done = checkout.invoke("build", "--target", TARGET, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (firmware,) = json.loads(done.stdout)["firmwares"]
    assert {sha256(Path(each["path"])) for each in firmware["artifacts"]} == {
        each["sha256"] for each in firmware["artifacts"]
    }
    assert output


def test_the_line_of_the_guides_builds_the_same_bytes_without_network(
    engine: Engine, cross_image: str, folder: Path
) -> None:
    command = f"{MAKE_LINE} >&2 && cat tensorflow/lite/micro/tools/make/gen/*/bin/hello_world.bin"
    image = engine.client.containers.run(
        cross_image,
        ["/bin/sh", "-c", command],
        network_mode="none",
        volumes={str(folder / "workspace"): {"bind": "/project", "mode": "ro"}},
        remove=True,
    )
    assert image == (folder / "hello_world.bin").read_bytes()


def test_simulation_shows_console_and_leds_and_counts_the_same_every_time(
    checkout: Checkout, folder: Path
) -> None:
    runs = []
    for _ in range(2):
        done = checkout.invoke("simulate", "--target", TARGET, "--inferences", "1000")
        assert done.returncode == 0, done.stderr
        runs.append((done.stdout, (folder / "simulation.json").read_bytes()))
    assert runs[0] == runs[1]
    assert "x_value" in runs[0][0]
    report = json.loads(runs[0][1])
    assert len(report["inferences"]) == 1000
    assert report["image_sha256"] == sha256(folder / "hello_world.bin")
    assert all(each["instructions"] > 0 for each in report["inferences"])
    assert (folder / "simulation.png").read_bytes().startswith(b"\x89PNG")


def test_verification_compares_every_int8_input(checkout: Checkout, folder: Path) -> None:
    done = checkout.invoke("verify", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert "256/256" in done.stdout
    report = json.loads((folder.parent / "verify.json").read_text())
    assert report["passed"]
    models = {each["model"]: each for each in report["models"]}
    assert (models["sine_int8"]["cases"], models["sine_int8"]["equal"]) == (256, 256)
    assert models["sine_int8"]["largest_sine_error"] < 0.12
    assert models["sine_float"]["cases"] == 1000
    assert models["sine_float"]["largest_difference"] <= 1


def test_an_unknown_target_is_one_error(checkout: Checkout, output: str) -> None:
    assert output
    done = checkout.invoke("build", "--target", "sparkfun_egde")
    assert done.returncode == 10
    assert "did you mean 'sparkfun_edge'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_board_that_is_too_small_is_one_error_and_leaves_no_output(
    checkout: Checkout, output: str, tmp_path: Path
) -> None:
    assert output
    other = checkout.copy_to(tmp_path / "small")
    description = other.folder / "boards" / TARGET / "board.toml"
    text = description.read_text()
    description.write_text(text.replace("max_length = 0x000F_0000", "max_length = 0x0000_2000"))
    done = other.invoke("build", "--target", TARGET)
    assert done.returncode == 20, done.stderr
    assert "Traceback" not in done.stderr
    assert not (other.folder / "build" / TARGET).exists()


def test_a_model_option_that_does_not_exist_is_one_error(checkout: Checkout, output: str) -> None:
    assert output
    done = checkout.invoke("build", "--target", TARGET, "--model", "cosine")
    assert done.returncode == 29
    assert "choose one of: sine_int8, sine_float" in done.stderr
