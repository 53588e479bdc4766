"""Flashing by the command, to an emulated board and to programs that note their call."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout
from tests.unit.ambiq_emulator import emulated
from tests.unit.flashing_support import Programs, hex_file
from tests.unit.image_support import make_image
from toolchain.boards import find_board

pytestmark = pytest.mark.usefixtures("built")


def flash(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return checkout.invoke("flash", "--target", TARGET, *arguments)


def test_the_emulated_board_ends_up_with_the_image_that_was_built(built: Checkout) -> None:
    with emulated() as (emulator, port):
        done = flash(built, "--port", port)
    assert done.returncode == 0, done.stderr
    image = (built.output / "hello_world.bin").read_bytes()
    load = find_board(built.folder / "boards", TARGET).application.load_address
    assert emulator.has_installed
    assert bytes(emulator.flash[load : load + len(image)]) == image
    assert "took all" in done.stdout
    assert "115200 baud" in done.stdout
    assert "by hand: Hold button 14" in done.stderr
    assert "100 %" in done.stderr


def test_a_dry_run_shows_everything_and_sends_nothing(built: Checkout) -> None:
    with emulated() as (emulator, port):
        done = flash(built, "--port", port, "--dry-run")
        assert emulator.received == []
    assert done.returncode == 0, done.stderr
    assert f"open {port} at 921600 baud, 8N1" in done.stdout
    assert "hello_world_ambiq_wired_update.bin" in done.stdout
    assert re.search(r"send UPDATE of [\d,]+ bytes and 3 DATA messages", done.stdout)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hello_world.bin", "no wired update"),
        ("hello_world.elf", "no wired update"),
        ("hello_world.hex", "no wired update"),
        ("hello_world_ambiq_image.bin", "no wired update"),
    ],
)
def test_another_file_of_the_same_firmware_is_refused(
    built: Checkout, name: str, message: str
) -> None:
    with emulated() as (emulator, port):
        done = flash(built, "--port", port, "--image", str(built.output / name))
        assert emulator.received == []
    assert done.returncode == 31
    assert message in done.stderr
    assert f"{name} is not a file of the format 'ambiq_wired_update'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_file_is_refused_and_the_right_one_is_taken(
    built: Checkout, tmp_path: Path
) -> None:
    good = (built.output / "hello_world_ambiq_wired_update.bin").read_bytes()
    file = tmp_path / "update.bin"
    file.write_bytes(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
    done = flash(built, "--image", str(file), "--dry-run")
    assert done.returncode == 31
    assert "its CRC is" in done.stderr
    file.write_bytes(good)
    done = flash(built, "--image", str(file), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--port", "/nowhere/ttyUSB9"), 33, "check the cable"),
        (("--tool", "bossac"), 29, "choose one of: ambiq_bootloader"),
        (("--image", "nothing.bin"), 29, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_error(
    built: Checkout, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    done = flash(built, *arguments)
    assert done.returncode == exit_code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_one_board_is_flashed_at_a_time(built: Checkout) -> None:
    done = built.invoke("flash", "--target", "all")
    assert done.returncode == 29
    assert "one board is flashed at a time" in done.stderr


def test_openocd_is_run_with_the_file_that_was_named(built: Checkout, tmp_path: Path) -> None:
    board = find_board(built.folder / "boards", "stm32f746g_disco")
    file = tmp_path / "hello_world.hex"
    file.write_bytes(hex_file(make_image(board), board.application.load_address))
    programs = Programs(tmp_path / "programs")
    program = programs.add("openocd")
    done = built.invoke(
        *("flash", "--target", board.name, "--tool", "openocd", "--image", str(file)),
        PATH=programs.environ["PATH"],
    )
    assert done.returncode == 0, done.stderr
    assert programs.calls("openocd") == [
        [
            *(str(program), "-f", "board/stm32f746g-disco.cfg", "-c"),
            f"program {file} verify reset exit",
        ]
    ]
    assert "wrote and verified hello_world.hex" in done.stdout


def test_every_firmware_has_its_instructions(built: Checkout) -> None:
    text = (built.output / "FLASHING.md").read_text()
    assert f"./invoke flash --target {TARGET}" in text
    named = re.findall(r"^\| `(hello_world\S*)` \|", text, re.MULTILINE)
    assert "hello_world.bin" in named
    for name in named:
        assert (built.output / name).is_file()


def test_schemas_are_up_to_date(built: Checkout) -> None:
    assert built.invoke("schemas", "--check").returncode == 0
