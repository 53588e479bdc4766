"""The main job as a stranger does it: from a fresh checkout to a verified, flashable image."""

from __future__ import annotations

import base64
import io
import json
import struct
import subprocess
from pathlib import Path

from intelhex import IntelHex

from tests.blackbox.support import TARGET, Checkout, Containers, sha256
from toolchain.boards import find_board
from toolchain.engine import Engine

MAKE_LINE = "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=sparkfun_edge hello_world_bin"


def test_the_build_ends_with_a_table_of_true_digests(
    built: Checkout, first_build: subprocess.CompletedProcess[str]
) -> None:
    lines = first_build.stdout.splitlines()
    for name in ("hello_world.bin", "hello_world.elf", "hello_world.hex", "hello_world.map"):
        path = built.output / name
        shown = path.relative_to(built.folder)
        (row,) = [line.split() for line in lines if line.startswith(f"{shown} ")]
        assert row == [str(shown), f"{path.stat().st_size:,}", sha256(path)]
    for layer in ("runtime", "kernels", "model", "libc", "board", "application"):
        assert f" {layer} " in first_build.stdout


def test_the_elf_is_for_arm_and_the_image_starts_as_the_bootloader_wants(built: Checkout) -> None:
    board = find_board(built.folder / "boards", TARGET)
    elf = (built.output / "hello_world.elf").read_bytes()
    assert elf[:6] == b"\x7fELF\x01\x01"
    assert struct.unpack_from("<H", elf, 18) == (40,)
    image = (built.output / "hello_world.bin").read_bytes()
    stack_pointer, reset = struct.unpack_from("<II", image)
    assert stack_pointer <= 0x1005_FFF8
    load = board.application.load_address
    assert reset & 1
    assert load < reset < load + len(image)


def test_the_hex_file_holds_the_same_bytes_at_the_load_address(built: Checkout) -> None:
    board = find_board(built.folder / "boards", TARGET)
    text = (built.output / "hello_world.hex").read_text("ascii")
    image = IntelHex(io.StringIO(text))
    # Between sections there may be nothing, which the flat file fills with zeros.
    image.padding = 0
    assert image.minaddr() == board.application.load_address
    assert image.tobinstr() == (built.output / "hello_world.bin").read_bytes()


def test_sizes_are_within_the_promise(built: Checkout) -> None:
    size = json.loads((built.output / "size.json").read_text())
    assert size["flash_used"] == (built.output / "hello_world.bin").stat().st_size
    assert size["flash_used"] <= 20 * 1024
    assert size["ram_used"] <= 6 * 1024
    assert sum(layer["flash"] for layer in size["layers"]) == size["flash_used"]
    assert sum(layer["ram"] for layer in size["layers"]) == size["ram_used"]


def test_the_second_build_starts_no_container_and_prints_the_same(
    built: Checkout, first_build: subprocess.CompletedProcess[str], containers: Containers
) -> None:
    before = built.outputs()
    done = built.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert done.stdout == first_build.stdout
    assert built.outputs() == before
    assert containers.created(built) == []


def test_the_line_of_the_guides_builds_the_same_bytes_without_network(
    engine: Engine, cross_image: str, built: Checkout
) -> None:
    made = "tensorflow/lite/micro/tools/make/gen/*/bin/hello_world.bin"
    text = engine.client.containers.run(
        cross_image,
        ["/bin/sh", "-c", f"{MAKE_LINE} >&2 && base64 {made}"],
        network_mode="none",
        volumes={str(built.output / "workspace"): {"bind": "/project", "mode": "ro"}},
        remove=True,
    )
    assert base64.b64decode(text) == (built.output / "hello_world.bin").read_bytes()


def test_simulation_shows_console_and_leds_and_counts_the_same_every_time(
    built: Checkout,
) -> None:
    runs = []
    for _ in range(2):
        done = built.invoke("simulate", "--target", TARGET)
        assert done.returncode == 0, done.stderr
        files = [built.output / name for name in ("simulation.json", "simulation.png")]
        report, picture = (path.read_bytes() for path in files)
        runs.append((done.stdout, report, picture))
    assert runs[0] == runs[1]
    output, report, picture = runs[0]
    assert f"hello_world: board={TARGET} model=sine_int8" in output
    assert "x_value" in output
    for led in ("red", "blue", "green", "yellow"):
        assert f"{led} │" in output
    assert str((built.output / "simulation.json").relative_to(built.folder)) in output
    facts = json.loads(report)
    assert len(facts["inferences"]) == 1000
    assert facts["image_sha256"] == sha256(built.output / "hello_world.bin")
    assert all(each["instructions"] > 0 for each in facts["inferences"])
    assert facts["counted"] == "invoke"
    assert picture.startswith(b"\x89PNG")


def test_one_inference_has_no_picture_and_takes_the_old_one_away(built: Checkout) -> None:
    for number, drawn in ((3, True), (1, False)):
        done = built.invoke("simulate", "--target", TARGET, "--inferences", str(number))
        assert done.returncode == 0, done.stderr
        noun = "inference" if number == 1 else "inferences"
        assert f"\n{number} {noun}, " in done.stdout
        assert ("brightness" in done.stdout) == drawn
        assert ("simulation.png" in done.stdout) == drawn
        assert (built.output / "simulation.png").exists() == drawn
        report = json.loads((built.output / "simulation.json").read_text())
        assert len(report["inferences"]) == number


def test_verification_compares_every_int8_input_and_the_flashable_image(built: Checkout) -> None:
    done = built.invoke("verify", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    rows = {row[1]: row for line in done.stdout.splitlines() if len(row := line.split()) > 2}
    assert rows["sine_int8"][2:7] == ["256/256", "0", "steps", "(0", "allowed)"]
    assert rows["sine_float"][2] == "1000/1000"
    for model, cases in (("sine_int8", 256), ("sine_float", 1000)):
        folder = built.folder / "build" / TARGET / model
        report = json.loads((folder / "verify.json").read_text())
        assert report["passed"]
        assert report["image_sha256"] == sha256(folder / "hello_world.bin")
        test = report["test"]
        assert (test["cases"], test["equal"]) == (cases, cases)
        assert test["largest_difference"] <= test["allowed_difference"] <= 1
        assert test["largest_sine_error"] < 0.12
        image = report["image"]
        assert image["inferences"] == image["known"] == image["equal"] == image["converted"] == 1000
        assert str(Path("build", TARGET, model, "verify.json")) in done.stdout
