"""Private Docker Engines, started and ended for real."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.containers.images_support import start_python, tiny_root, wait_for
from tests.containers.sandbox_support import SilentReporter
from tests.unit.engine_support import open_folder
from toolchain.engine import discovery, open_engine, private
from toolchain.engine.connection import find_dockerd
from toolchain.engine.private import answers, engine_pid, mounts_below, private_paths
from toolchain.errors import EngineUnavailableError
from toolchain.layout import Layout, project_layout

_USE = """
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from toolchain.console import PlainReporter
from toolchain.engine.connection import find_dockerd
from toolchain.engine.private import private_engine
from toolchain.layout import Layout
layout = Layout(Path.cwd(), Path(sys.argv[1]))
with private_engine(layout, find_dockerd(os.environ), PlainReporter(), os.environ) as socket:
    print(socket, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module", autouse=True)
def _privileged() -> None:
    if os.geteuid() != 0 or find_dockerd(os.environ) is None:
        pytest.skip("a private engine needs root and dockerd")


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that name ``folder``, but for this test's own."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int(entry.name) == os.getpid():
                continue
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if f"{folder}/engine" in line:
                found.append(line)
    return found


@pytest.fixture
def layout() -> Iterator[Layout]:
    """A cache with a space in its name."""
    with open_folder() as folder:
        layout = Layout(project_layout().project, folder / "a cache")
        yield layout
        private.stop(private_paths(layout))
        assert wait_for(lambda: not processes_of(layout.cache))
        assert mounts_below(folder) == []


def nothing_runs(layout: Layout) -> bool:
    run = private_paths(layout).run
    return (
        not processes_of(layout.cache)
        and not list(run.iterdir())
        and not mounts_below(layout.cache)
    )


Use = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def use(layout: Layout) -> Iterator[Use]:
    """Start a command that uses the engine until it is told to end."""
    users: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
        users.append(start_python(_USE, str(layout.cache), environ=environ))
        return users[-1]

    yield start
    for user in users:
        user.kill()
        user.communicate()


def ready(user: subprocess.Popen[str]) -> Path:
    assert user.stdout is not None
    line = user.stdout.readline().strip()
    assert line, user.communicate()[1]
    return Path(line)


def test_two_commands_share_an_engine_and_the_last_one_stops_it(layout: Layout, use: Use) -> None:
    first, second = use(), use()
    sockets = {ready(first), ready(second)}
    assert sockets == {private_paths(layout).socket}
    pid = engine_pid(private_paths(layout))
    assert pid is not None
    first.communicate("\n")
    assert first.returncode == 0
    assert answers(*sockets)
    assert engine_pid(private_paths(layout)) == pid
    second.communicate("\n")
    assert nothing_runs(layout)
    assert private_paths(layout).data.is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_stops_its_engine(
    layout: Layout, use: Use, number: signal.Signals
) -> None:
    user = use()
    ready(user)
    user.send_signal(number)
    user.communicate()
    assert user.returncode == 128 + number
    assert nothing_runs(layout)


def test_the_engine_of_a_killed_command_is_taken_over_and_stopped(layout: Layout, use: Use) -> None:
    killed = use()
    socket_path = ready(killed)
    pid = engine_pid(private_paths(layout))
    killed.kill()
    killed.communicate()
    assert answers(socket_path)
    following = use()
    ready(following)
    assert engine_pid(private_paths(layout)) == pid
    following.communicate("\n")
    assert nothing_runs(layout)


def test_after_a_killed_engine_everything_of_it_is_cleared(layout: Layout, use: Use) -> None:
    import docker

    user = use()
    client = docker.DockerClient(base_url=f"unix://{ready(user)}", version="auto")
    client.api.import_image_from_data(tiny_root(), repository="tiny", tag="1")
    client.containers.run("tiny:1", ["/sleep", "600.25"], detach=True, network_mode="none")
    client.close()
    pid = engine_pid(private_paths(layout))
    assert pid is not None
    assert any("containerd-shim" in line for line in processes_of(layout.cache))
    user.kill()
    os.kill(pid, signal.SIGKILL)
    user.communicate()
    assert wait_for(lambda: not answers(private_paths(layout).socket))
    sleeping = subprocess.run(["pgrep", "-f", "sleep 600.25"], capture_output=True, check=False)
    assert sleeping.stdout.split(), "the container went by itself: this test proves nothing"

    following = use()
    client = docker.DockerClient(base_url=f"unix://{ready(following)}", version="auto")
    (container,) = client.containers.list(all=True)
    assert container.status == "exited"
    client.close()
    left = subprocess.run(["pgrep", "-f", "^/sleep 600.25"], capture_output=True, check=False)
    assert left.stdout == b""
    following.communicate("\n")
    assert nothing_runs(layout)


def test_a_dockerd_that_ends_is_told_with_what_it_said(layout: Layout, tmp_path: Path) -> None:
    dockerd = tmp_path / "dockerd"
    dockerd.write_text(
        f'#!/bin/sh\n[ "$1" = --help ] || exec {find_dockerd(os.environ)} --nonsense\n'
    )
    dockerd.chmod(0o755)
    with (
        pytest.raises(EngineUnavailableError, match="could not be started") as caught,
        private.private_engine(layout, dockerd, SilentReporter(), os.environ),
    ):
        pytest.fail("it started")
    assert "unknown flag: --nonsense" in caught.value.why
    assert str(private_paths(layout).log) in caught.value.next_step
    assert nothing_runs(layout)


def test_a_dockerd_that_never_answers_is_given_up_and_ended(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "START_SECONDS", 0.2)
    dockerd = tmp_path / "dockerd"
    dockerd.write_text('#!/bin/sh\n[ "$1" = --help ] || exec sleep 600.75\n')
    dockerd.chmod(0o755)
    with (
        pytest.raises(EngineUnavailableError, match="could not be started") as caught,
        private.private_engine(layout, dockerd, SilentReporter(), os.environ),
    ):
        pytest.fail("it started")
    assert "did not answer within" in caught.value.why
    left = subprocess.run(["pgrep", "-f", "sleep 600.75"], capture_output=True, check=False)
    assert left.stdout == b""


@pytest.mark.parametrize("chosen", [True, False])
def test_where_nothing_answers_root_gets_an_engine_of_its_own(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, chosen: bool
) -> None:
    absent = layout.cache.parent / "absent.sock"
    monkeypatch.setattr(discovery, "DEFAULT_SOCKET", absent)
    environ = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(layout.cache.parent)}
    if chosen:
        environ["DOCKER_HOST"] = f"unix://{absent}"
    reporter = SilentReporter()
    with open_engine(layout, reporter, environ=environ) as engine:
        assert engine.private
        assert engine.data_root == private_paths(layout).data
        assert engine.client.ping()
        assert engine.client.images.list() == []
    assert nothing_runs(layout)
    warned = [note for note in reporter.notes if "using a private engine" in note]
    assert len(warned) == (1 if chosen else 0)
    assert all(f"DOCKER_HOST=unix://{absent} does not answer" in note for note in warned)


def test_the_machines_own_engine_and_network_are_left_alone(use: Use) -> None:
    def interfaces() -> list[Any]:
        return sorted(name for _, name in socket.if_nameindex())

    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = interfaces(), forwarding.read_text()
    user = use()
    ready(user)
    assert (interfaces(), forwarding.read_text()) == before
    user.communicate("\n")
