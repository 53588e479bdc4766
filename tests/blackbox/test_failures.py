"""What goes wrong, and how the command says so: one message, an exit code of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.blackbox.support import (
    FIRMWARE,
    TARGET,
    Checkout,
    Containers,
    replace_in,
    sha256,
    steps_run,
    succeeds,
)
from toolchain.boards import board_names
from toolchain.console import PlainReporter
from toolchain.engine.connection import find_dockerd
from toolchain.engine.private import answers, private_engine
from toolchain.layout import Layout


def failed(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """Check that ``done`` ended with one error for the user and return what it said."""
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    return done.stderr


@pytest.mark.parametrize("command", ["build", "simulate", "verify", "plan", "shell"])
def test_an_unknown_target_is_told_with_the_known_ones(built: Checkout, command: str) -> None:
    said = failed(built.invoke(command, "--target", "sparkfun_egde"), 10)
    assert "there is no target 'sparkfun_egde'" in said
    assert "did you mean 'sparkfun_edge'?" in said
    known = said.partition("choose one of: ")[2].split(", ")
    assert [name.strip() for name in known] == list(board_names(built.folder / "boards"))


@pytest.mark.parametrize("command", ["build", "simulate", "verify", "plan"])
def test_an_unknown_model_or_build_type_is_told_with_the_known_ones(
    built: Checkout, command: str
) -> None:
    said = failed(built.invoke(command, "--model", "cosine"), 29)
    assert "choose one of: sine_int8, sine_float" in said
    said = failed(built.invoke(command, "--build-type", "fast"), 29)
    assert "choose one of: release, release_with_logs, default, debug" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--inferences", "0"),
        ("simulate", "--inferences", "many"),
        ("simulate", "--lines=-1"),
        ("build", "--jobs=-1"),
        ("train", "--epochs", "0"),
        ("train", "--seed=-1"),
        ("train", "--seed", str(1 << 32)),
    ],
)
def test_a_number_that_cannot_be_used_is_told_before_anything_runs(
    built: Checkout, arguments: Sequence[str]
) -> None:
    said = failed(built.invoke(*arguments), 29)
    assert "give it a whole number" in said
    assert ": cached" not in said


@pytest.mark.parametrize(
    "arguments", [("biuld",), ("build", "--tagret", "x"), ("build", "--target"), ("shell",)]
)
def test_a_command_line_that_invoke_does_not_understand_is_no_traceback(
    built: Checkout, arguments: Sequence[str]
) -> None:
    done = built.invoke(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("max_length = 0x000F_0000", "max_length = 0x0000_2000", "region `flash' overflowed by"),
        ("stack_size = 0x2000", "stack_size = 0x5_F800", "data and bss reach into the stack"),
    ],
)
def test_a_board_that_is_too_small_is_one_error_and_leaves_no_output(
    copy: Checkout, old: str, new: str, reason: str
) -> None:
    replace_in(copy.folder / "boards" / TARGET / "board.toml", old, new)
    said = failed(copy.invoke("build", "--target", TARGET), 20)
    assert f"the firmware does not fit the board's memory: step '{FIRMWARE}'" in said
    assert reason in said
    assert said.count("  next: ") == 1
    assert copy.outputs() == {}


def test_a_compiler_error_is_shown_with_its_line_and_its_log(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    before = copy.outputs()
    replace_in(copy.board_source, "  RunAt48MHz();\n", "  RunAt49MHz();\n")
    said = failed(copy.invoke("build", "--target", TARGET), 18)
    line = copy.board_source.read_text().split("  RunAt49MHz();")[0].count("\n") + 1
    assert f"boards/{TARGET}/board.cc:{line}:" in said
    log = Path(said.rpartition("read all that it wrote in ")[2].strip())
    assert "RunAt49MHz" in log.read_text()
    assert copy.outputs() == before


def test_a_firmware_that_computes_something_else_is_refused(copy: Checkout) -> None:
    replace_in(
        copy.folder / "tflm" / "hello_world" / "inference.cc",
        "const int8_t raw_output = g_output->data.int8[0];",
        "const int8_t raw_output = g_output->data.int8[0] + 1;",
    )
    said = failed(copy.invoke("verify", "--target", TARGET, "--model", "sine_int8"), 24)
    assert "sine_int8: 0/256 outputs equal tflite-micro" in said
    assert "quantisation step" in said
    report = json.loads((copy.output / "verify.json").read_text())
    assert not report["passed"]
    assert (report["test"]["equal"], report["image"]["equal"]) == (0, 0)
    assert report["image_sha256"] == sha256(copy.output / "hello_world.bin")


def test_a_firmware_that_quantises_its_input_wrongly_is_refused(copy: Checkout) -> None:
    replace_in(
        copy.folder / "tflm" / "hello_world" / "inference.cc",
        "return static_cast<int8_t>(scaled);",
        "return static_cast<int8_t>(scaled / 2);",
    )
    said = failed(copy.invoke("verify", "--target", TARGET, "--model", "sine_int8"), 24)
    assert "of 1000 inferences" in said
    report = json.loads((copy.output / "verify.json").read_text())
    assert not report["passed"]
    assert (report["test"]["equal"], report["image"]["equal"]) == (256, 1000)
    assert report["image"]["converted"] < 100


SETPRIV = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    # The Python environment may stand in root's home: the user is let in to read.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


@pytest.fixture
def without_engine(request: pytest.FixtureRequest, lone_copy: Checkout) -> Sequence[str]:
    """The beginning of a command line under which no engine can be had."""
    invoke = str(lone_copy.folder / "invoke")
    if os.geteuid() != 0:
        return [invoke]
    if request.param == "a user":
        if not succeeds(*SETPRIV, "true"):
            pytest.skip("not run: here root cannot become another user who may read everything")
        lone_copy.folder.chmod(0o777)
        for path in [lone_copy.cache, *lone_copy.cache.rglob("*")]:
            os.chown(path, 65534, 65534)
        return [*SETPRIV, invoke]
    request.getfixturevalue("may_mount")
    dockerd = find_dockerd(os.environ)
    hidden = f"mount --bind /dev/null '{dockerd.resolve()}' && " if dockerd else ""
    return ["unshare", "--mount", "sh", "-c", f'{hidden}exec "$@"', "sh", invoke]


@pytest.mark.parametrize("without_engine", ["root, without dockerd", "a user"], indirect=True)
def test_without_an_engine_the_message_gives_the_commands_to_type(
    lone_copy: Checkout, without_engine: Sequence[str], tmp_path: Path
) -> None:
    socket = tmp_path / "dead.sock"
    lone_copy.touch_firmware()
    said = failed(
        lone_copy.invoke(
            "build",
            program=without_engine,
            DOCKER_HOST=f"unix://{socket}",
            TOOLCHAIN_NO_INSTALL="1",
            HOME=str(lone_copy.cache),
        ),
        11,
    )
    assert "no Docker Engine answers" in said
    assert f"DOCKER_HOST=unix://{socket}: No such file or directory" in said
    installed = find_dockerd(os.environ) is not None and "unshare" not in without_engine
    if installed:
        assert "next: Docker is installed; start it: sudo systemctl start docker" in said
    elif shutil.which("apt-get"):
        assert "sudo apt-get install docker.io && sudo usermod -aG docker $USER" in said


@pytest.mark.parametrize("without_engine", ["root, without dockerd", "a user"], indirect=True)
def test_what_is_known_is_built_and_verified_without_an_engine(
    lone_copy: Checkout, without_engine: Sequence[str], tmp_path: Path
) -> None:
    done = lone_copy.invoke(
        *("build", "--target", TARGET),
        program=without_engine,
        DOCKER_HOST=f"unix://{tmp_path / 'dead.sock'}",
        TOOLCHAIN_NO_INSTALL="1",
        HOME=str(lone_copy.cache),
    )
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def fill(path: Path) -> None:
    """Leave no byte free on the file system of ``path``."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - any other one is no full disk


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("full_to_the_brim", [False, True])
def test_a_full_disk_under_the_cache_is_one_error_and_the_earlier_outputs_stay(
    built: Checkout, containers: Containers, tmp_path: Path, full_to_the_brim: bool
) -> None:
    cache = tmp_path / "cache"
    with small_disk(cache, "90m"):
        shutil.copytree(built.cache, cache, dirs_exist_ok=True)
        copy = built.copy_to(tmp_path / "another clone", cache=cache)
        assert copy.invoke("build", "--target", TARGET).returncode == 0
        before = copy.outputs()
        copy.touch_firmware()
        if full_to_the_brim:
            fill(cache / "filler")
        said = failed(copy.invoke("build", "--target", TARGET), 16)
        assert "the disk is full" in said
        assert str(cache) in said
        assert copy.outputs() == before
        assert copy.sandboxes() == []
        (cache / "filler").unlink(missing_ok=True)
        grow(cache, "300m")
        done = copy.invoke("build", "--target", TARGET)
        assert done.returncode == 0, done.stderr
        assert steps_run(done.stderr) == {FIRMWARE}
        assert len(containers.created(copy)) == 1


@pytest.mark.usefixtures("may_mount")
def test_a_full_disk_under_the_outputs_is_one_error_and_the_earlier_ones_stay(
    copy: Checkout,
) -> None:
    build = copy.folder / "build"
    with small_disk(build, "100m"):
        assert copy.invoke("build", "--target", TARGET).returncode == 0
        before = copy.outputs()
        copy.touch_firmware()
        fill(build / "logs")
        said = failed(copy.invoke("build", "--target", TARGET), 16)
        assert "the disk is full" in said
        assert copy.outputs() == before
        (build / "logs").unlink()
        done = copy.invoke("build", "--target", TARGET)
        assert done.returncode == 0, done.stderr
        assert steps_run(done.stderr) == set()
        assert copy.outputs() != before


@pytest.mark.parametrize("command", ["build", "clean", "plan"])
def test_a_cache_that_cannot_be_made_is_one_error(built: Checkout, command: str) -> None:
    place = built.folder / "LICENSE" / "cache"
    said = failed(built.invoke(command, TOOLCHAIN_CACHE=str(place)), 9)
    assert f"{place}" in said
    assert "Not a directory" in said
    assert "TOOLCHAIN_CACHE" in said


def test_a_result_that_cannot_be_written_is_one_error(built: Checkout) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("not run: this system has no /dev/full")
    shell = ["sh", "-c", '"$@" > /dev/full', "sh", str(built.folder / "invoke")]
    said = failed(built.invoke("build", program=shell), 9)
    assert "the result cannot be written to standard output: No space left on device" in said


def only_these_programs(folder: Path, *names: str) -> str:
    """Return a PATH on which nothing but these programs is found."""
    folder.mkdir()
    for name in names:
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return str(folder)


def test_without_a_python_that_can_be_used_the_message_says_which(
    built: Checkout, tmp_path: Path
) -> None:
    copy = built.copy_to(tmp_path / "another clone")
    (copy.folder / ".venv").unlink()
    path = only_these_programs(tmp_path / "bin", "sh", "dirname", "readlink", "cmp")
    done = copy.invoke("build", PATH=path, TOOLCHAIN_PYTHON="")
    assert (done.returncode, done.stdout) == (8, "")
    assert "no Python 3.11, 3.12 or 3.13 is installed" in done.stderr
    assert "next: install one" in done.stderr


def test_an_environment_that_could_not_be_finished_is_one_message(
    built: Checkout, tmp_path: Path
) -> None:
    copy = built.copy_to(tmp_path / "another clone")
    (copy.folder / ".venv").unlink()
    done = copy.invoke("build", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert (done.returncode, done.stdout) == (8, "")
    assert "invoke: making .venv from requirements.lock" in done.stderr
    assert "pip could not install requirements.lock" in done.stderr
    assert "Traceback" not in done.stderr
    # Without its stamp the next command takes it for half-made.
    assert not (copy.folder / ".venv" / "requirements.lock").exists()


def test_the_cache_is_not_removed_under_a_command_that_uses_it(
    lone_copy: Checkout, containers: Containers, tmp_path: Path
) -> None:
    other = lone_copy.copy_to(tmp_path / "a third clone")
    lone_copy.touch_firmware()
    with lone_copy.start("build", "--target", TARGET) as running:
        containers.wait_for_one(lone_copy, running)
        said = failed(other.invoke("clean", "--cache"), 29)
        assert f"another command uses the cache {lone_copy.cache}" in said
        done = running.end()
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("may_mount")
def test_a_private_engine_is_removed_with_the_cache_but_not_while_it_is_used(
    built: Checkout, tmp_path: Path
) -> None:
    dockerd = find_dockerd(os.environ)
    if dockerd is None:
        pytest.skip("not run: dockerd is not installed")
    cache = tmp_path / "cache"
    copy = built.copy_to(tmp_path / "another clone", cache=cache)
    layout = Layout(copy.folder, cache)
    with private_engine(layout, dockerd, PlainReporter(quiet=True), os.environ) as socket:
        said = failed(copy.invoke("clean", "--cache"), 29)
        assert "wait until that command has ended" in said
        assert answers(socket)
    done = copy.invoke("clean", "--cache")
    assert done.returncode == 0, done.stderr
    assert not layout.engine.exists()
    assert not socket.parent.exists()
