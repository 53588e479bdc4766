"""Locks made anew by the real uv, from an index on this machine."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import tomlkit

from tests.unit.actions_support import RecordingReporter
from tests.unit.registry_support import Server, add_wheel, closed_port, serve, sha256
from toolchain.errors import NetworkError, PinsError
from toolchain.layout import Layout, project_layout
from toolchain.pinning.update import lock_text, update_locks
from toolchain.pins import (
    HOST_LOCK,
    NOTEBOOK_LOCK,
    PINS_FILE,
    REMOTE_LOCK,
    SERVICE_LOCK,
    TEST_LOCK,
    TRAIN_LOCK,
    read_lock,
)

OPTIONS = ["--universal", "--python-version", "3.11"]


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


def environ(folder: Path, url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_RETRIES": "0",
        "PIP_INDEX_URL": f"{url}/simple/",
    }


LOCKS = (HOST_LOCK, REMOTE_LOCK, TEST_LOCK, TRAIN_LOCK, NOTEBOOK_LOCK, SERVICE_LOCK)


def checkout(folder: Path, requirements: Mapping[str, Mapping[str, str]]) -> Layout:
    document = copy.deepcopy(tomllib.loads((project_layout().project / PINS_FILE).read_text()))
    for table, wanted in requirements.items():
        document[table]["requirements"] = wanted
    (folder / "docker").mkdir()
    (folder / PINS_FILE).write_text(tomlkit.dumps(document))
    return Layout(folder, folder / "cache")


def test_every_file_is_locked_by_its_digest(server: Server, tmp_path: Path) -> None:
    wheels = [add_wheel(server, "tiny", "1.0"), add_wheel(server, "big", "2.0", "tiny<2")]
    text = lock_text({"big": "2.0"}, OPTIONS, environ(tmp_path, server.url))
    (tmp_path / "a.lock").write_text(text)
    tiny, big = sorted(read_lock(tmp_path / "a.lock"), key=lambda item: item.version)
    assert (tiny.name, tiny.version, *tiny.hashes) == ("tiny", "1.0", sha256(wheels[0]))
    assert (big.name, big.version, *big.hashes) == ("big", "2.0", sha256(wheels[1]))
    assert text.startswith("# Made from pins.toml by ./invoke pins --update")
    assert "127.0.0.1" not in text


def test_all_locks_are_made_and_agree(server: Server, tmp_path: Path) -> None:
    for version in ("1.0", "1.1"):
        add_wheel(server, "tiny", version)
    add_wheel(server, "checker", "3.0", "tiny")
    add_wheel(server, "other", "0.1")
    wanted = {
        "host": {"tiny": "1.0"},
        "remote": {"other": "0.1"},
        "test": {"checker": "3.0"},
        "train": {"tiny": "1.0"},
        "notebook": {"checker": "3.0"},
        "service": {"other": "0.1"},
    }
    layout, reporter = checkout(tmp_path, wanted), RecordingReporter()
    update_locks(layout, reporter, environ(tmp_path, server.url))
    locked = {
        lock: {item.name: item.version for item in read_lock(tmp_path / lock)} for lock in LOCKS
    }
    assert locked == {
        HOST_LOCK: {"tiny": "1.0"},
        # The version below is taken, although there is a newer one.
        REMOTE_LOCK: {"other": "0.1", "tiny": "1.0"},
        TEST_LOCK: {"checker": "3.0", "other": "0.1", "tiny": "1.0"},
        TRAIN_LOCK: {"tiny": "1.0"},
        NOTEBOOK_LOCK: {"checker": "3.0", "tiny": "1.0"},
        SERVICE_LOCK: {"other": "0.1"},
    }
    assert reporter.steps == [f"{lock} made anew" for lock in locked]
    again = lock_text({"tiny": "1.0"}, OPTIONS, environ(tmp_path, server.url))
    assert again == (tmp_path / HOST_LOCK).read_text()


def test_a_version_that_is_not_there_leaves_the_locks_as_they_were(
    server: Server, tmp_path: Path
) -> None:
    add_wheel(server, "tiny", "1.0")
    wanted = {"host": {"tiny": "1.0"}, "remote": {"tiny": "1.0"}, "test": {"tiny": "1.7"}}
    layout = checkout(tmp_path, wanted)
    (tmp_path / HOST_LOCK).write_text("as it was")
    with pytest.raises(PinsError, match="cannot be met together") as caught:
        update_locks(layout, RecordingReporter(), environ(tmp_path, server.url))
    assert re.search(r"tiny.*1\.7", caught.value.why)
    assert (tmp_path / HOST_LOCK).read_text() == "as it was"
    assert not (tmp_path / TEST_LOCK).exists()


def test_requirements_that_exclude_each_other_are_told(server: Server, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        add_wheel(server, "tiny", version)
    add_wheel(server, "big", "1.0", "tiny>=2")
    with pytest.raises(PinsError, match="cannot be met together") as caught:
        lock_text({"big": "1.0", "tiny": "1.0"}, OPTIONS, environ(tmp_path, server.url))
    assert "tiny>=2" in caught.value.why


def test_an_index_that_cannot_be_reached_is_a_matter_of_the_network(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        lock_text({"tiny": "1.0"}, OPTIONS, environ(tmp_path, f"http://127.0.0.1:{closed_port()}"))
    assert "HTTPS_PROXY" in caught.value.next_step


def test_a_server_that_nobody_vouches_for_is_a_matter_of_the_network(tmp_path: Path) -> None:
    with serve(tls=tmp_path) as server, pytest.raises(NetworkError) as caught:
        lock_text({"tiny": "1.0"}, OPTIONS, environ(tmp_path, server.url))
    assert "SSL_CERT_FILE" in caught.value.next_step


def test_the_sites_certificates_are_taken_from_pips_settings(tmp_path: Path) -> None:
    with serve(tls=tmp_path) as server:
        add_wheel(server, "tiny", "1.0")
        site = environ(tmp_path, server.url) | {"PIP_CERT": str(tmp_path / "server.pem")}
        assert "tiny==1.0" in lock_text({"tiny": "1.0"}, OPTIONS, site)
