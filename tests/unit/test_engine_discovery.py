"""Where an engine is looked for, with a real folder of Docker's settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docker.context import ContextAPI
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engine_support import open_folder, without_privileges
from toolchain.engine.discovery import DEFAULT_SOCKET, Candidate, candidates
from toolchain.errors import EngineUnavailableError

# As the SDK writes them; other programs write unix:// and tcp://.
HERE, THERE = "http+unix:///tmp/here.sock", "https://there.example:2376"
DEFAULT = f"unix://{DEFAULT_SOCKET}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings with two contexts, as another program writes them."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    ContextAPI.create_context("here", host=HERE)
    ContextAPI.create_context("there", host=THERE)
    return tmp_path


def urls(folder: Path, **environ: str) -> list[str]:
    return [item.url for item in candidates({"DOCKER_CONFIG": str(folder), **environ})]


def use(folder: Path, context: object) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": context}))


def test_docker_host_leaves_room_for_no_other(folder: Path) -> None:
    use(folder, "here")
    only = urls(folder, DOCKER_HOST="unix:///tmp/chosen.sock", DOCKER_CONTEXT="there")
    assert only == ["unix:///tmp/chosen.sock"]


def test_docker_context_leaves_room_for_no_other(folder: Path) -> None:
    use(folder, "here")
    (only,) = candidates({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "there"})
    assert only.origin == "DOCKER_CONTEXT=there"
    assert (only.url, only.chosen, only.local) == (THERE, True, False)


def test_the_current_context_comes_before_the_default_socket(folder: Path) -> None:
    use(folder, "here")
    first, second = candidates({"DOCKER_CONFIG": str(folder)})
    assert (first.origin, first.url) == ("Docker context here", HERE)
    assert (first.chosen, first.socket) == (False, Path("/tmp/here.sock"))
    assert second.url == DEFAULT


def test_the_context_called_default_is_the_default_socket(folder: Path) -> None:
    use(folder, "here")
    assert urls(folder, DOCKER_CONTEXT="default") == [DEFAULT]
    use(folder, "default")
    assert urls(folder) == [DEFAULT]


@pytest.mark.parametrize("current", ["", None, 3, ["here"]])
def test_a_senseless_current_context_is_none(folder: Path, current: object) -> None:
    use(folder, current)
    assert urls(folder) == [DEFAULT]


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", '"here"'])
def test_damaged_settings_leave_the_default_socket(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert urls(folder) == [DEFAULT]


def test_a_context_is_found_where_there_is_no_config_file(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert urls(folder, DOCKER_CONTEXT="here") == [HERE]


def test_contexts_in_the_working_directory_are_nobodys(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert urls(tmp_path_factory.mktemp("empty"), DOCKER_CONTEXT="here") == [""]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"Endpoints": 3}', '{"Endpoints": {"docker": 3}}']
)
def test_a_damaged_context_has_no_address(folder: Path, text: str) -> None:
    for meta in folder.glob("contexts/meta/*/meta.json"):
        meta.write_text(text)
    use(folder, "here")
    assert urls(folder, DOCKER_CONTEXT="there") == [""]
    assert urls(folder) == ["", DEFAULT]


def test_an_unknown_context_has_no_address_and_is_named(folder: Path) -> None:
    (only,) = candidates({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "nowhere"})
    assert (only.url, only.chosen, only.origin) == ("", True, "DOCKER_CONTEXT=nowhere")


def test_a_rootless_engines_socket_comes_last(tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert urls(tmp_path, **runtime) == [DEFAULT]
    (tmp_path / "docker.sock").touch()
    assert urls(tmp_path, **runtime) == [DEFAULT, f"unix://{tmp_path}/docker.sock"]


def test_a_runtime_folder_of_somebody_else_is_passed_over() -> None:
    with open_folder() as folder:
        (folder / "docker.sock").touch()
        folder.chmod(0)
        with without_privileges():
            assert urls(folder, XDG_RUNTIME_DIR=str(folder)) == [DEFAULT]


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///run/x.sock", True),
        ("http+unix:///run/x.sock", True),
        ("npipe:////./pipe/docker_engine", True),
        ("tcp://localhost:2375", True),
        ("tcp://127.0.0.1:2375", True),
        ("https://[::1]:2376", True),
        ("tcp://:2375", True),
        ("tcp://10.0.0.7:2375", False),
        ("tcp://localhost.example:2375", False),
        ("ssh://me@localhost", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_local_is_what_shares_this_machines_files(url: str, local: bool) -> None:
    assert Candidate("", url).local is local


def test_a_host_without_scheme_is_tcp(tmp_path: Path) -> None:
    (only,) = candidates({"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "127.0.0.1:2375"})
    assert (only.url, only.local) == ("tcp://127.0.0.1:2375", True)
    assert only.origin == "DOCKER_HOST=127.0.0.1:2375"


def test_tls_takes_the_certificates_of_the_named_folder(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    secured = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    (only,) = candidates({"DOCKER_HOST": "tcp://localhost:2376", **secured})
    assert only.tls.verify is True
    assert only.tls.cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    (only,) = candidates({"DOCKER_HOST": "tcp://localhost:2376"})
    assert only.tls is None


@pytest.mark.parametrize("named", [True, False])
def test_tls_without_certificates_is_refused_with_their_folder(tmp_path: Path, named: bool) -> None:
    environ = {"DOCKER_HOST": "tcp://localhost:2376", "DOCKER_TLS_VERIFY": "1"}
    environ |= {"DOCKER_CERT_PATH" if named else "DOCKER_CONFIG": str(tmp_path)}
    with pytest.raises(EngineUnavailableError) as caught:
        candidates(environ)
    assert str(tmp_path) in caught.value.what
    assert "unset DOCKER_TLS_VERIFY" in caught.value.next_step


def test_a_unix_socket_needs_no_certificates(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "unix:///tmp/x.sock", "DOCKER_TLS_VERIFY": "1"}
    (only,) = candidates({**environ, "DOCKER_CERT_PATH": str(tmp_path)})
    assert only.tls is None


def test_a_contexts_own_certificates_are_used(folder: Path) -> None:
    use(folder, "there")
    (meta,) = (
        path.parent
        for path in folder.glob("contexts/meta/*/meta.json")
        if "there.example" in path.read_text()
    )
    certificates = folder / "contexts" / "tls" / meta.name / "docker"
    certificates.mkdir(parents=True)
    with pytest.raises(EngineUnavailableError):
        urls(folder)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (certificates / name).touch()
    assert candidates({"DOCKER_CONFIG": str(folder)})[0].tls.ca_cert == str(certificates / "ca.pem")


@given(st.text(min_size=1))
def test_any_docker_host_is_one_candidate(host: str) -> None:
    (only,) = candidates({"DOCKER_HOST": host})
    assert only.chosen
    assert only.local in {True, False}
    assert only.socket is None or only.local
