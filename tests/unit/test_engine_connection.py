"""Opening an engine: peers that speak its protocol, and what is said when there is none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions_support import RecordingReporter
from tests.unit.engine_support import engine_peer, open_folder, without_privileges
from toolchain.console import PlainReporter
from toolchain.engine import connection, discovery, open_engine
from toolchain.engine.advice import install_advice
from toolchain.engine.connection import api_number, find_dockerd
from toolchain.engine.private import answers
from toolchain.errors import EngineTooOldError, EngineUnavailableError
from toolchain.layout import Layout, project_layout
from toolchain.pins import PINS_FILE, load_pins

MINIMUM = load_pins(project_layout().project / PINS_FILE).engine.minimum_api


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a machine without engine and without dockerd."""
    monkeypatch.setattr(discovery, "DEFAULT_SOCKET", folder / "default.sock")
    monkeypatch.setattr(connection, "_SYSTEM_FOLDERS", str(folder))
    return {"PATH": str(folder), "DOCKER_CONFIG": str(folder), "TOOLCHAIN_NO_INSTALL": "1"}


@pytest.fixture
def layout(folder: Path) -> Layout:
    return Layout(project_layout().project, folder / "cache")


def refusal(layout: Layout, environ: dict[str, str]) -> EngineUnavailableError:
    with (
        pytest.raises(EngineUnavailableError) as caught,
        open_engine(layout, PlainReporter(), environ=environ),
    ):
        pytest.fail("an engine was found")
    return caught.value


def test_an_engine_is_described_as_it_describes_itself(layout: Layout, folder: Path) -> None:
    environ = {"DOCKER_HOST": f"unix://{folder}/s"}
    with (
        engine_peer(folder / "s", api=MINIMUM, SecurityOptions=["name=seccomp", "name=rootless"]),
        open_engine(layout, PlainReporter(), environ=environ) as engine,
    ):
        assert (engine.api_version, engine.version) == (MINIMUM, "0.9.1")
        assert (engine.rootless, engine.private) == (True, False)
        assert engine.data_root == Path("/data")
        assert engine.foreign_platform is None
        assert engine.origin == f"DOCKER_HOST=unix://{folder}/s"
    assert not layout.cache.exists()


def test_a_foreign_processor_is_told_and_given_the_images_platform(
    layout: Layout, folder: Path
) -> None:
    reporter = RecordingReporter()
    with (
        engine_peer(folder / "s", Architecture="aarch64"),
        open_engine(layout, reporter, environ={"DOCKER_HOST": f"unix://{folder}/s"}) as engine,
    ):
        assert engine.foreign_platform == "linux/amd64"
    (warning,) = reporter.warnings
    assert "aarch64" in warning


@pytest.mark.parametrize(
    ("api", "said"),
    [("1.40", "API 1.40,"), ("1.30", "API 1.30,"), ("1.9", "below 1."), ("0.99", "below 1.")],
)
def test_an_older_api_is_refused_with_both_numbers(
    layout: Layout, folder: Path, api: str, said: str
) -> None:
    with (
        engine_peer(folder / "s", api=api),
        pytest.raises(EngineTooOldError) as caught,
        open_engine(layout, PlainReporter(), environ={"DOCKER_HOST": f"unix://{folder}/s"}),
    ):
        pytest.fail("it was accepted")
    assert said in caught.value.why
    assert f"API {MINIMUM} is needed" in caught.value.why
    assert "Docker 20.10" in caught.value.why
    assert caught.value.exit_code == 12


@pytest.mark.parametrize("api", ["1.141", "2.0"])
def test_a_newer_api_is_spoken(layout: Layout, folder: Path, api: str) -> None:
    environ = {"DOCKER_HOST": f"unix://{folder}/s"}
    with (
        engine_peer(folder / "s", api=api) as asked,
        open_engine(layout, PlainReporter(), environ=environ) as engine,
    ):
        assert engine.api_version == api
    assert f"/v{api}/info" in asked


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.lists(st.integers(0, 300)))
def test_api_numbers_compare_as_numbers(left: list[int], right: list[int]) -> None:
    right = right or [0]
    texts = [".".join(map(str, numbers)) for numbers in (left, right)]
    assert (api_number(texts[0]) < api_number(texts[1])) is (left < right)


def test_the_first_that_answers_is_taken(
    layout: Layout, folder: Path, nowhere: dict[str, str]
) -> None:
    with (
        engine_peer(folder / "docker.sock"),
        open_engine(
            layout, PlainReporter(), environ={**nowhere, "XDG_RUNTIME_DIR": str(folder)}
        ) as engine,
    ):
        assert engine.origin == f"the rootless socket {folder}/docker.sock"
    with (
        engine_peer(folder / "docker.sock"),
        engine_peer(folder / "default.sock"),
        open_engine(
            layout, PlainReporter(), environ={**nowhere, "XDG_RUNTIME_DIR": str(folder)}
        ) as engine,
    ):
        assert engine.origin == f"the default socket {folder}/default.sock"


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n{}"])
def test_what_is_no_engine_is_not_taken_for_one(
    layout: Layout, folder: Path, nowhere: dict[str, str], said: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()

        def answer() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        error = refusal(layout, {**nowhere, "DOCKER_HOST": f"unix://{folder}/s"})
        assert not answers(folder / "absent")
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert f"DOCKER_HOST=unix://{folder}/s" in error.why


@pytest.mark.parametrize(
    "host", ["tcp://198.51.100.7:2375", "ssh://me@host.example", "https://host.example", "fd://"]
)
def test_an_engine_elsewhere_is_refused_without_being_asked(
    layout: Layout, nowhere: dict[str, str], host: str
) -> None:
    error = refusal(layout, {**nowhere, "DOCKER_HOST": host})
    assert f"DOCKER_HOST={host} is not on this machine" in error.what
    assert "bind mounts" in error.why
    assert "unset DOCKER_HOST" in error.next_step


def test_all_that_was_tried_is_told(layout: Layout, folder: Path, nowhere: dict[str, str]) -> None:
    (folder / "config.json").write_text('{"currentContext": "gone"}')
    with without_privileges():
        error = refusal(layout, nowhere)
    assert error.exit_code == 11
    assert "Docker context gone: there is no such context" in error.why
    assert f"default socket {folder}/default.sock: No such file or directory" in error.why


def test_a_chosen_context_that_is_not_there_is_told(
    layout: Layout, nowhere: dict[str, str]
) -> None:
    error = refusal(layout, {**nowhere, "DOCKER_CONTEXT": "mine"})
    assert "DOCKER_CONTEXT=mine: there is no such context" in error.why


def test_a_forbidden_installation_names_the_commands_and_the_switch(
    layout: Layout, nowhere: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "install_advice", lambda: "sudo apt-get install docker.io")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    error = refusal(layout, nowhere)
    assert error.next_step.startswith("sudo apt-get install docker.io")
    assert "TOOLCHAIN_NO_INSTALL=1 forbids" in error.next_step


def test_without_privileges_nothing_is_installed_or_started(
    layout: Layout, nowhere: dict[str, str]
) -> None:
    allowed = {**nowhere, "TOOLCHAIN_NO_INSTALL": "0"}
    with without_privileges():
        error = refusal(layout, allowed)
    assert error.next_step == install_advice()
    assert not layout.cache.exists()


def test_an_installed_engine_has_only_to_be_started(
    layout: Layout, folder: Path, nowhere: dict[str, str]
) -> None:
    (folder / "dockerd").write_text("#!/bin/sh\n")
    (folder / "dockerd").chmod(0o755)
    with without_privileges():
        error = refusal(layout, nowhere)
    assert "sudo systemctl start docker" in error.next_step
    assert "install docker.io" not in error.next_step


@pytest.mark.parametrize("place", ["s", "closed/s"])
def test_a_socket_that_may_not_be_opened_asks_for_the_group(
    layout: Layout, folder: Path, nowhere: dict[str, str], place: str
) -> None:
    environ = {**nowhere, "DOCKER_HOST": f"unix://{folder}/{place}"}
    (folder / "closed").mkdir(mode=0o700)
    with engine_peer(folder / place):
        (folder / place).chmod(0)
        (folder / "closed").chmod(0)
        with without_privileges():
            error = refusal(layout, environ)
        (folder / "closed").chmod(0o700)
    assert str(folder / place) in error.what
    assert "permission denied" in error.why
    assert "sudo usermod -aG docker $USER" in error.next_step


def test_dockerd_is_also_found_where_only_root_looks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SYSTEM_FOLDERS", str(folder / "sbin"))
    assert find_dockerd({"PATH": ""}) is None
    (folder / "sbin").mkdir()
    (folder / "sbin" / "dockerd").touch(mode=0o755)
    assert find_dockerd({"PATH": ""}) == folder / "sbin" / "dockerd"
