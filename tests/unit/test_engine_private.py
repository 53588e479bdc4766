"""Files and processes of a private engine, without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.engine_support import engine_peer, open_folder
from toolchain.engine import private
from toolchain.engine.private import answers, engine_pid, mounts_below, private_paths
from toolchain.layout import Layout

_WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"
_WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def wait_until_dead(pid: int) -> None:
    state = Path(f"/proc/{pid}/stat")
    for _ in range(500):
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} lives")


@pytest.fixture
def paths(tmp_path: Path) -> private.PrivatePaths:
    paths = private.PrivatePaths(tmp_path / "engine", tmp_path / "run")
    paths.run.mkdir()
    return paths


@pytest.fixture
def bystander(paths: private.PrivatePaths) -> Iterator[subprocess.Popen[str]]:
    """A process that names the engine's pid file, and is not the one that it tells."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAIT, str(paths.pid_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.communicate("")


@pytest.mark.parametrize("name", ["c", "a cache", "küche", "c" * 52])
def test_the_run_folder_is_in_the_cache(name: str) -> None:
    paths = private_paths(Layout(Path("/p"), Path("/t") / name))
    assert paths.run == Path("/t") / name / "engine" / "run"
    assert paths.socket.parent == paths.run


@pytest.mark.parametrize("name", ["c" * 53, "ü" * 30, "a#b", "a?b", "a;b", "a%20b"])
def test_the_run_folder_is_elsewhere_where_sockets_cannot_be(name: str) -> None:
    paths = private_paths(Layout(Path("/p"), Path("/t") / name))
    assert paths.run.parent == Path("/run")
    assert paths.run != private_paths(Layout(Path("/p"), Path("/u") / name)).run
    assert paths.data == Path("/t") / name / "engine" / "data"


def test_the_deepest_socket_always_fits() -> None:
    for length in range(1, 140):
        paths = private_paths(Layout(Path("/p"), Path("/" + "c" * length)))
        deepest = paths.exec_root / "containerd" / "containerd-debug.sock"
        # containerd refuses longer ones, although Linux has room for 107.
        assert len(os.fsencode(deepest)) <= 104


def test_the_pid_file_is_believed_only_for_the_process_that_wrote_it(
    paths: private.PrivatePaths, bystander: subprocess.Popen[str]
) -> None:
    assert engine_pid(paths) is None
    paths.pid_file.write_text(str(bystander.pid))
    assert engine_pid(paths) == bystander.pid
    paths.pid_file.write_text(str(os.getpid()))
    assert engine_pid(paths) is None


@pytest.mark.parametrize("text", ["", "x", "-1", "4194305", "1 2"])
def test_a_senseless_pid_file_tells_no_process(paths: private.PrivatePaths, text: str) -> None:
    paths.pid_file.write_text(text)
    assert engine_pid(paths) is None


def test_stopping_ends_the_engine_and_nobody_else(
    paths: private.PrivatePaths, bystander: subprocess.Popen[str]
) -> None:
    paths.pid_file.write_text(str(os.getpid()))
    paths.socket.touch()
    private.stop(paths)
    assert bystander.poll() is None
    assert list(paths.run.iterdir()) == []
    paths.pid_file.write_text(str(bystander.pid))
    private.stop(paths)
    assert bystander.poll() is not None
    private.stop(paths)


def test_what_a_killed_engine_minded_is_ended_with_its_children(
    paths: private.PrivatePaths, bystander: subprocess.Popen[str]
) -> None:
    address = str(paths.exec_root / "containerd" / "containerd.sock")
    with subprocess.Popen(
        [sys.executable, "-c", _WITH_CHILD, "-address", address], stdout=subprocess.PIPE, text=True
    ) as shim:
        assert shim.stdout is not None
        child = int(shim.stdout.readline())
        try:
            private.stop(paths)
            assert shim.wait(timeout=20) == -9
            wait_until_dead(child)
        finally:
            for process in (child, shim.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
    assert bystander.poll() is None


def test_an_engine_answers_its_ping() -> None:
    with open_folder() as folder:
        assert not answers(folder / "s")
        with engine_peer(folder / "s"):
            assert answers(folder / "s")
        assert not answers(folder / "s")
        assert not answers(folder / ("s" * 200))


def test_mounts_are_listed_from_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mounts_below(Path("/proc"))[-1] == Path("/proc")
    assert mounts_below(Path("/nowhere")) == []
    lines = (
        b"a /t/x\\040y x 0 0\nb /t x 0 0\nc /t/x\\040y/z\\134 x 0 0\nd /tt x 0 0\n"
        b"e /media/M\xfcll\x0ber x 0 0\nf /t/x\\040y/z\\134/\xfc\\012 x 0 0\n"
    )
    monkeypatch.setattr(Path, "read_bytes", lambda _: lines)
    assert mounts_below(Path("/t")) == [
        Path(os.fsdecode(b"/t/x y/z\\/\xfc\n")),
        Path("/t/x y/z\\"),
        Path("/t/x y"),
        Path("/t"),
    ]
