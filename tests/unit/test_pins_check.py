"""What is outdated and what has vanished, as the real uv finds it in an index on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.registry_support import Server, add_wheel, closed_port, serve, sha256
from toolchain.errors import NetworkError
from toolchain.images.faults import WAYS_OUT
from toolchain.pinning.check import PinState, check_lock, vanished_error
from toolchain.pinning.update import Lock, lock_text

OPTIONS = ("--universal", "--python-version", "3.11")
LOCK = Lock("a.lock", {"big": "2.0"}, OPTIONS, "")


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        add_wheel(server, "tiny", "1.0")
        add_wheel(server, "big", "2.0", "tiny<3")
        yield server


@pytest.fixture
def environ(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        # uv remembers pages; a check has to see what is offered now.
        "UV_NO_CACHE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_RETRIES": "0",
        "PIP_INDEX_URL": f"{server.url}/simple/",
    }


@pytest.fixture
def text(environ: dict[str, str]) -> str:
    return lock_text(LOCK.requirements, OPTIONS, environ)


def states(text: str, environ: dict[str, str]) -> dict[str, PinState]:
    return {state.name: state for state in check_lock(LOCK, text, environ)}


def withdraw(server: Server, name: str) -> None:
    server.files[f"/simple/{name}/"] = b"<!DOCTYPE html>"


def test_what_is_the_newest_is_current(text: str, environ: dict[str, str]) -> None:
    assert states(text, environ) == {
        "big": PinState("wheel", "big", "a.lock", "2.0", "2.0", "current")
    }


def test_what_has_a_newer_version_is_outdated(
    server: Server, text: str, environ: dict[str, str]
) -> None:
    add_wheel(server, "big", "2.1", "tiny<3")
    # What only others need follows them.
    add_wheel(server, "tiny", "1.5")
    found = states(text, environ)
    assert {name: state.state for name, state in found.items()} == {"big": "outdated"}
    assert found["big"].offered == "2.1"


@pytest.mark.parametrize("name", ["big", "tiny"])
def test_a_version_that_was_withdrawn_has_vanished(
    server: Server, text: str, environ: dict[str, str], name: str
) -> None:
    withdraw(server, name)
    add_wheel(server, name, "2.5", "tiny<3" if name == "big" else "")
    found = states(text, environ)
    assert found[name].state == "vanished"
    assert found[name].offered == "2.5"
    assert found[name].note
    error = vanished_error(list(found.values()))
    assert error is not None
    assert f"{name} {found[name].pinned}" in error.what
    assert WAYS_OUT in error.next_step
    assert "TOOLCHAIN_BUNDLE" in error.next_step
    assert "TOOLCHAIN_DEBIAN_MIRROR" in error.next_step


def test_a_file_that_was_replaced_has_vanished(
    server: Server, text: str, environ: dict[str, str]
) -> None:
    old = sha256(server.files["/files/tiny-1.0-py3-none-any.whl"])
    withdraw(server, "tiny")
    assert sha256(add_wheel(server, "tiny", "1.0", "big")) != old
    found = states(text, environ)
    assert found["tiny"].state == "vanished"
    assert "1 of 1 locked files" in found["tiny"].note
    assert found["big"].state == "current"


def test_an_index_that_cannot_be_reached_is_a_matter_of_the_network(
    text: str, environ: dict[str, str]
) -> None:
    environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{closed_port()}/"
    with pytest.raises(NetworkError):
        states(text, environ)


def test_what_is_there_is_no_error() -> None:
    assert vanished_error([PinState("crate", "x", "pins.toml", "1", "2", "outdated")]) is None
