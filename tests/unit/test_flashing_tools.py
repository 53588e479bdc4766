"""The ways of flashing, with small real programs where bossac and OpenOCD would be."""

from __future__ import annotations

import os
import shlex
import tempfile
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.ambiq_emulator import emulated
from tests.unit.flashing_support import DISCO, EDGE, NANO, Programs, file_of, host
from tests.unit.image_support import make_image
from toolchain.boards import Board
from toolchain.commands.flash import FlashRequest, flash, plan, prepare
from toolchain.console import PlainReporter
from toolchain.errors import (
    DeviceAccessError,
    DeviceNotFoundError,
    FlashError,
    FlashToolError,
    UsageError,
)
from toolchain.firmware.formats import file_name
from toolchain.flashing.host import Host, SerialPort, list_serial_ports, open_port, this_host
from toolchain.flashing.job import Job
from toolchain.flashing.ports import choose_port

BOOTLOADER = SerialPort("/dev/ttyACM1", "Nano 33 BLE", "2341:005a")
APPLICATION = SerialPort("/dev/ttyACM0", "Nano 33 BLE", "2341:805a")
ADAPTER = SerialPort("/dev/ttyUSB0", "USB Serial", "1a86:7523")
BUILT_IN = SerialPort("/dev/ttyS0", "n/a", "")
FORK = "Basic Open Source SAM-BA Application (BOSSA) Version 1.9.1-arduino2\nFlash programmer"
QUIET = PlainReporter(quiet=True)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody for a while, where this is root, who may open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "programs")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    (folder / "DIS_F746NG").mkdir(parents=True)
    (folder / "DIS_F746NG" / "DETAILS.TXT").write_text("Version: 0221")
    return folder


def job(tmp_path: Path, board: Board, tool: str, where: Host, port: str = "") -> Job:
    folder = tmp_path / "build of mine"
    folder.mkdir(exist_ok=True)
    for name in board.package.formats:
        (folder / file_name("hello_world", name)).write_bytes(
            file_of(board, name, make_image(board))
        )
    return prepare(FlashRequest(board, folder, port=port, tool=tool), where, dry_run=True)


def test_bossac_gets_the_command_line_of_the_ide_and_no_offset(
    tmp_path: Path, programs: Programs
) -> None:
    program = programs.add("bossac", FORK)
    ready = job(tmp_path, NANO, "bossac", host(programs.environ, [BUILT_IN, BOOTLOADER]))
    said = flash(ready, QUIET, quiet=True)
    version, write = programs.calls("bossac")
    assert version == [str(program), "--help"]
    assert write == [
        *(str(program), "-d", "--port=ttyACM1", "-U", "-i", "-e", "-w"),
        *(str(ready.file), "-R"),
    ]
    assert not any(argument.startswith(("-o", "--offset")) for argument in write)
    assert f"{len(ready.data):,} bytes" in said


def test_bossac_may_be_named_by_a_variable(tmp_path: Path, programs: Programs) -> None:
    program = programs.add("my bossac", FORK)
    where = host({"PATH": "/usr/bin:/bin", "BOSSAC": str(program)}, [BOOTLOADER])
    flash(job(tmp_path, NANO, "bossac", where), QUIET, quiet=True)
    assert programs.calls("my bossac")[1][0] == str(program)


@pytest.mark.parametrize(
    "version", ["1.9.1", "1.7.0-arduino3", "1.9.1-arduino1", "1.9.1-arduino", ""]
)
def test_another_bossac_is_refused_and_writes_nothing(
    tmp_path: Path, programs: Programs, version: str
) -> None:
    programs.add("bossac", FORK.replace("1.9.1-arduino2", version))
    ready = job(tmp_path, NANO, "bossac", host(programs.environ, [BOOTLOADER]))
    with pytest.raises(FlashToolError) as caught:
        flash(ready, QUIET, quiet=True)
    assert "1.9.1-arduino2" in str(caught.value)
    assert "BOSSAC" in str(caught.value)
    assert len(programs.calls("bossac")) == 1


def test_a_newer_build_of_the_fork_is_taken(tmp_path: Path, programs: Programs) -> None:
    programs.add("bossac", FORK.replace("arduino2", "arduino12"))
    flash(job(tmp_path, NANO, "bossac", host(programs.environ, [BOOTLOADER])), QUIET, quiet=True)
    assert len(programs.calls("bossac")) == 2


def test_without_bossac_the_error_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(FlashToolError, match="Arduino IDE") as caught:
        flash(job(tmp_path, NANO, "bossac", host(ports=[BOOTLOADER])), QUIET, quiet=True)
    assert caught.value.exit_code == 34


def test_a_bossac_that_cannot_run_is_one_error(tmp_path: Path, programs: Programs) -> None:
    programs.folder.mkdir()
    broken = programs.folder / "bossac"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    ready = job(tmp_path, NANO, "bossac", host(programs.environ, [BOOTLOADER]))
    with pytest.raises(FlashToolError, match="cannot be run"):
        flash(ready, QUIET, quiet=True)


def test_a_bossac_that_fails_is_quoted(tmp_path: Path, programs: Programs) -> None:
    programs.add("bossac", f"{FORK}\nNo device found on ttyACM1", exit_code=1)
    ready = job(tmp_path, NANO, "bossac", host(programs.environ, [BOOTLOADER]))
    with pytest.raises(FlashError) as caught:
        flash(ready, QUIET, quiet=True)
    assert "No device found on ttyACM1" in str(caught.value)
    assert "twice" in str(caught.value)


class Sketch:
    """A running sketch on a pseudo-terminal, whose board changes to its bootloader when touched."""

    def __init__(self, answers: bool) -> None:
        self.others: tuple[SerialPort, ...] = ()
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        os.close(slave)
        self._answers = answers
        self.looks = 0

    def ports(self) -> Sequence[SerialPort]:
        self.looks += 1
        if self.looks <= 2 or not self._answers:
            return [*self.others, SerialPort(self.name, "Nano 33 BLE", APPLICATION.usb)]
        return [*self.others, BOOTLOADER]

    def speed_was(self) -> int:
        return int(termios.tcgetattr(self.master)[4])


@pytest.fixture
def make_sketch() -> Iterator[Callable[[bool], Sketch]]:
    made: list[Sketch] = []

    def make(answers: bool) -> Sketch:
        made.append(Sketch(answers))
        return made[-1]

    yield make
    for sketch in made:
        os.close(sketch.master)


def test_a_running_sketch_is_touched_and_its_bootloaders_port_is_waited_for(
    tmp_path: Path, programs: Programs, make_sketch: Callable[[bool], Sketch]
) -> None:
    programs.add("bossac", FORK)
    sketch = make_sketch(True)
    where = replace(host(programs.environ), list_ports=sketch.ports)
    ready = job(tmp_path, NANO, "bossac", where)
    sketch.looks = 0
    flash(ready, QUIET, quiet=True)
    assert sketch.looks > 2
    assert sketch.speed_was() == termios.B1200
    assert "--port=ttyACM1" in programs.calls("bossac")[1]


def test_another_board_that_is_in_its_bootloader_already_is_left_alone(
    tmp_path: Path, programs: Programs, make_sketch: Callable[[bool], Sketch]
) -> None:
    programs.add("bossac", FORK)
    sketch = make_sketch(True)
    sketch.others = (SerialPort("/dev/ttyACM0", "Nano 33 BLE", BOOTLOADER.usb),)
    where = replace(host(programs.environ), list_ports=sketch.ports)
    ready = job(tmp_path, NANO, "bossac", where, port=sketch.name)
    sketch.looks = 0
    flash(ready, QUIET, quiet=True)
    assert "--port=ttyACM1" in programs.calls("bossac")[1]


def test_a_sketch_that_does_not_react_ends_in_the_hint_to_tap_twice(
    tmp_path: Path, programs: Programs, make_sketch: Callable[[bool], Sketch]
) -> None:
    programs.add("bossac", FORK)
    sketch = make_sketch(False)
    where = replace(host(programs.environ), list_ports=sketch.ports, port_seconds=0)
    with pytest.raises(DeviceNotFoundError, match="twice in quick succession"):
        flash(job(tmp_path, NANO, "bossac", where), QUIET, quiet=True)
    assert len(programs.calls("bossac")) == 1


def test_openocd_programs_verifies_and_resets(tmp_path: Path, programs: Programs) -> None:
    program = programs.add("openocd")
    ready = job(tmp_path, DISCO, "openocd", host(programs.environ))
    flash(ready, QUIET, quiet=True)
    assert programs.calls("openocd") == [
        [
            *(str(program), "-f", "board/stm32f746g-disco.cfg", "-c"),
            f"program {{{ready.file}}} verify reset exit",
        ]
    ]


def test_openocd_is_told_the_address_of_a_bin(tmp_path: Path, programs: Programs) -> None:
    programs.add("openocd")
    way = DISCO.flashing[1].model_copy(update={"format": "bin"})
    board = DISCO.model_copy(update={"flashing": (way,)})
    file = tmp_path / "hello_world.bin"
    file.write_bytes(make_image(DISCO))
    flash(prepare(FlashRequest(board, tmp_path), host(programs.environ)), QUIET, quiet=True)
    assert programs.calls("openocd")[0][-1] == (f"program {file} 0x08000000 verify reset exit")


@pytest.mark.parametrize("name", ["a}b.hex", "a\\b.hex", "{a.hex"])
def test_a_name_that_would_be_another_command_is_refused(
    tmp_path: Path, programs: Programs, name: str
) -> None:
    programs.add("openocd")
    file = tmp_path / name
    file.write_bytes(file_of(DISCO, "hex", make_image(DISCO)))
    ready = prepare(FlashRequest(DISCO, tmp_path, image=file), host(programs.environ))
    with pytest.raises(UsageError, match="braces"):
        flash(ready, QUIET, quiet=True)
    assert programs.calls("openocd") == []


def test_an_openocd_that_fails_is_quoted(tmp_path: Path, programs: Programs) -> None:
    programs.add("openocd", "Info : hla_swd\nError: open failed", exit_code=1)
    with pytest.raises(FlashError) as caught:
        flash(job(tmp_path, DISCO, "openocd", host(programs.environ)), QUIET, quiet=True)
    assert "Error: open failed" in str(caught.value)
    assert "udev" in str(caught.value)


def test_without_openocd_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FlashToolError, match="apt-get install openocd"):
        flash(job(tmp_path, DISCO, "openocd", host()), QUIET, quiet=True)


def test_the_file_is_copied_to_the_boards_volume(tmp_path: Path, volumes: Path) -> None:
    ready = job(tmp_path, DISCO, "mass_storage", host(volumes=volumes))
    said = flash(ready, QUIET, quiet=True)
    copied = volumes / "DIS_F746NG" / "hello_world.bin"
    assert copied.read_bytes() == make_image(DISCO)
    assert "were copied" in said


def test_a_volume_of_a_users_own_folder_is_found(tmp_path: Path, volumes: Path) -> None:
    where = replace(host(), volume_folders=(tmp_path / "*",))
    flash(job(tmp_path, DISCO, "mass_storage", where), QUIET, quiet=True)
    assert (volumes / "DIS_F746NG" / "hello_world.bin").is_file()


def test_folders_of_other_users_are_passed_by() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        for user in ("me", "somebody", os.fsdecode(b"M\xfcller")):
            volume = Path(name) / user / "DIS_F746NG"
            volume.mkdir(parents=True)
            (volume / "DETAILS.TXT").touch()
            if user != "me":
                volume.parent.chmod(0)
        where = replace(host(), volume_folders=(Path(name) / "*",))
        ready = job(Path(name), DISCO, "mass_storage", where)
        with without_privileges():
            (line, _) = plan(ready)[1:]
        assert line.endswith(f"to {name}/me/DIS_F746NG")


def test_a_folder_that_is_no_probes_volume_is_left_alone(tmp_path: Path, volumes: Path) -> None:
    (volumes / "DIS_F746NG" / "DETAILS.TXT").unlink()
    with pytest.raises(DeviceNotFoundError, match="not mounted"):
        flash(job(tmp_path, DISCO, "mass_storage", host(volumes=volumes)), QUIET, quiet=True)
    assert list((volumes / "DIS_F746NG").iterdir()) == []


def test_two_volumes_are_one_error_with_both(tmp_path: Path, volumes: Path) -> None:
    other = tmp_path / "other" / "DIS_F746NG"
    other.mkdir(parents=True)
    (other / "MBED.HTM").touch()
    where = replace(host(), volume_folders=(volumes, tmp_path / "other"))
    with pytest.raises(DeviceNotFoundError) as caught:
        flash(job(tmp_path, DISCO, "mass_storage", where), QUIET, quiet=True)
    assert str(volumes) in str(caught.value)
    assert str(other) in str(caught.value)


def reacting(volumes: Path, *reactions: Callable[[], object]) -> Host:
    """Return a computer on which something happens in each pause of waiting."""
    left = list(reactions)

    def sleep(_seconds: float) -> None:
        left.pop(0)()

    return replace(host(volumes=volumes), volume_seconds=3600, sleep=sleep)


def test_a_failure_that_the_board_tells_is_an_error(tmp_path: Path, volumes: Path) -> None:
    failure = volumes / "DIS_F746NG" / "FAIL.TXT"
    where = reacting(
        volumes,
        lambda: None,
        lambda: failure.write_text("The application file is not valid\n"),
    )
    with pytest.raises(FlashError) as caught:
        flash(job(tmp_path, DISCO, "mass_storage", where), QUIET, quiet=True)
    assert "The application file is not valid" in str(caught.value)


def test_a_failure_of_before_counts_only_when_the_volume_came_back(
    tmp_path: Path, volumes: Path
) -> None:
    volume, away = volumes / "DIS_F746NG", volumes / "away"
    (volume / "FAIL.TXT").write_text("of last week")
    flash(job(tmp_path, DISCO, "mass_storage", host(volumes=volumes)), QUIET, quiet=True)
    where = reacting(volumes, lambda: volume.rename(away), lambda: away.rename(volume))
    with pytest.raises(FlashError, match="of last week"):
        flash(job(tmp_path, DISCO, "mass_storage", where), QUIET, quiet=True)


def test_a_volume_that_comes_back_without_a_failure_has_taken_the_file(
    tmp_path: Path, volumes: Path
) -> None:
    volume, away = volumes / "DIS_F746NG", volumes / "away"
    where = reacting(volumes, lambda: volume.rename(away), lambda: away.rename(volume))
    said = flash(job(tmp_path, DISCO, "mass_storage", where), QUIET, quiet=True)
    assert "were copied" in said


def test_a_volume_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name) / "DIS_F746NG"
        volume.mkdir()
        (volume / "MBED.HTM").touch()
        Path(name).chmod(0o755)
        volume.chmod(0o555)
        ready = job(tmp_path, DISCO, "mass_storage", host(volumes=Path(name)))
        with without_privileges(), pytest.raises(DeviceAccessError, match="may not be written"):
            flash(ready, QUIET, quiet=True)


def test_a_volume_without_room_is_one_error(tmp_path: Path, volumes: Path) -> None:
    (volumes / "DIS_F746NG" / "hello_world.bin").mkdir()
    with pytest.raises(FlashError, match="could not be copied"):
        flash(job(tmp_path, DISCO, "mass_storage", host(volumes=volumes)), QUIET, quiet=True)


def test_the_edge_is_flashed_over_its_serial_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with emulated() as (emulator, port):
        ready = job(tmp_path, EDGE, "ambiq_bootloader", host(), port=port)
        said = flash(ready, PlainReporter())
    image = make_image(EDGE)
    load = EDGE.application.load_address
    assert bytes(emulator.flash[load : load + len(image)]) == image
    assert "restarts" in said
    shown = capsys.readouterr().err
    assert "by hand: Hold button 14" in shown
    assert "100 %" in shown


def test_a_line_that_breaks_is_one_error(tmp_path: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)

    def hang_up() -> None:
        os.read(master, 1)
        os.close(master)

    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    with pytest.raises(FlashError, match="broke while it was written"):
        flash(job(tmp_path, EDGE, "", host(), port=name), QUIET, quiet=True)
    thread.join()
    os.close(slave)


def test_a_port_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "ttyUSB7")
    with pytest.raises(DeviceAccessError, match="check the cable") as caught:
        flash(job(tmp_path, EDGE, "", host(), port=nowhere), QUIET, quiet=True)
    assert nowhere in str(caught.value)
    assert caught.value.exit_code == 33


def test_a_port_that_is_in_use_is_one_error() -> None:
    refused = pytest.raises(DeviceAccessError, match="close the program that uses it")
    with emulated() as (_, port), open_port(port, 115_200), refused:
        open_port(port, 115_200)


def test_a_port_of_somebody_else_is_one_error_with_the_group() -> None:
    with emulated() as (_, port):
        Path(port).chmod(0)
        with without_privileges(), pytest.raises(DeviceAccessError, match="dialout"):
            open_port(port, 115_200)


def test_a_file_that_is_no_port_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceAccessError, match="is a serial port"):
        open_port(str(tmp_path / "file"), 115_200)


@pytest.mark.parametrize(
    ("board", "ports", "chosen"),
    [
        (EDGE, [BUILT_IN, ADAPTER], ADAPTER),
        (NANO, [BUILT_IN, ADAPTER, BOOTLOADER], BOOTLOADER),
        (NANO, [APPLICATION, ADAPTER], APPLICATION),
    ],
)
def test_the_only_port_that_can_be_the_board_is_chosen(
    board: Board, ports: list[SerialPort], chosen: SerialPort
) -> None:
    assert choose_port(board, board.flashing[0], ports, "") == chosen


@pytest.mark.parametrize(
    ("board", "ports", "message"),
    [
        (EDGE, [], "there is no serial port at all"),
        (EDGE, [BUILT_IN], r"there are /dev/ttyS0 \(n/a\)"),
        (NANO, [ADAPTER], "looked for USB 2341:005a or 2341:805a"),
        (NANO, [ADAPTER], "Press the reset button twice"),
        (EDGE, [ADAPTER, BOOTLOADER], r"2 serial ports can be .*ttyUSB0.*ttyACM1"),
        (NANO, [APPLICATION, BOOTLOADER], "name one with --port"),
    ],
)
def test_no_port_or_several_are_one_error_with_the_candidates(
    board: Board, ports: list[SerialPort], message: str
) -> None:
    with pytest.raises(DeviceNotFoundError, match=message) as caught:
        choose_port(board, board.flashing[0], ports, "")
    assert "--port" in str(caught.value)
    assert caught.value.exit_code == 32


def test_a_named_port_is_taken_as_it_is() -> None:
    way = NANO.flashing[0]
    assert choose_port(NANO, way, [APPLICATION], "/dev/ttyACM0") == APPLICATION
    assert choose_port(NANO, way, [APPLICATION], "/dev/ttyX").device == "/dev/ttyX"


def test_this_computers_ports_can_be_listed() -> None:
    ports = list_serial_ports()
    assert list(ports) == sorted(ports, key=lambda port: port.device)
    assert all(port.device and (not port.usb or len(port.usb) == 9) for port in ports)
    assert this_host().list_ports() == ports


def test_a_dry_run_sends_nothing_and_shows_what_would_be_done(
    tmp_path: Path, programs: Programs, volumes: Path
) -> None:
    program = programs.add("bossac", FORK)
    programs.add("openocd")
    where = host(programs.environ, [BOOTLOADER], volumes)

    nano = job(tmp_path, NANO, "", where)
    command = f"{program} -d --port=ttyACM1 -U -i -e -w {shlex.quote(str(nano.file))} -R"
    assert plan(nano)[1:] == ("by hand: Press the reset button twice in quick succession.", command)

    disco = job(tmp_path, DISCO, "openocd", where)
    (line,) = plan(disco)[1:]
    assert shlex.split(line)[-1] == f"program {{{disco.file}}} verify reset exit"

    copy = job(tmp_path, DISCO, "mass_storage", where)
    assert f"copy {copy.file} to {volumes / 'DIS_F746NG'}" in plan(copy)

    with emulated() as (emulator, port):
        edge = job(tmp_path, EDGE, "", where, port=port)
        lines = plan(edge)
        assert emulator.received == []
    assert f"open {port} at 921600 baud, 8N1" in lines
    assert any(line.startswith("send UPDATE of ") and "1 DATA" in line for line in lines)

    assert programs.calls("bossac") == []
    assert programs.calls("openocd") == []
    assert not (volumes / "DIS_F746NG" / "hello_world.bin").exists()


def test_a_dry_run_needs_neither_board_nor_tool(tmp_path: Path) -> None:
    for board in (EDGE, NANO, DISCO):
        for way in board.flashing:
            assert plan(job(tmp_path, board, way.tool, host()))


def test_a_dry_run_shows_the_touch_that_a_running_sketch_needs(tmp_path: Path) -> None:
    lines = plan(job(tmp_path, NANO, "", host(ports=[APPLICATION])))
    assert "open and close /dev/ttyACM0 at 1200 baud: starts the bootloader" in lines
    assert "--port=PORT" in lines[-1]
