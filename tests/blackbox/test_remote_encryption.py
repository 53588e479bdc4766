"""A service that is encrypted and asks for tokens, as it is for other machines."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blackbox.support import Checkout, copy_tracked, failed, steps_run
from tests.containers.remote_support import free_port
from toolchain.engine import Engine
from toolchain.layout import Layout

STEP = "train sine"


@pytest.fixture(scope="module")
def users(
    layout: Layout, engine: Engine, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, Checkout]:
    """The service's clone and cache, and a user's."""
    folder = tmp_path_factory.mktemp("encrypted")
    copy_tracked(layout.project, folder / "clone")
    (folder / "clone" / ".venv").symlink_to(environment)
    return (
        Checkout(folder / "clone", folder / "service", engine.address.url),
        Checkout(folder / "clone", folder / "user", engine.address.url),
    )


@pytest.fixture(scope="module")
def status(
    users: tuple[Checkout, Checkout], train_image: str, cross_image: str, host_image: str
) -> Iterator[dict[str, str]]:
    del train_image, cross_image, host_image
    service = users[0]
    options = ("--port", str(free_port()), "--workers", "1", "--tokens", "--encrypt", "--json")
    done = service.invoke("remote", "up", *options)
    try:
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)
    finally:
        ended = service.invoke("remote", "down", "--delete")
    assert ended.returncode == 0, ended.stderr


def build(checkout: Checkout, cache: Path, endpoint: str, **files: Path | str) -> tuple[int, str]:
    """Build with an empty cache; return exit code and what was said."""
    apart = Checkout(checkout.folder, cache, checkout.engine)
    options = [
        word for name, file in files.items() for word in (f"--remote-{name}-file", str(file))
    ]
    done = apart.invoke(
        *("build", "--target", "sparkfun_edge", "--remote-executor", endpoint), *options
    )
    return done.returncode, done.stderr if done.returncode == 0 else failed(done, done.returncode)


def test_a_build_with_token_and_authority_goes_through(
    users: tuple[Checkout, Checkout], status: dict[str, str], tmp_path: Path
) -> None:
    endpoint = status["endpoint"]
    assert endpoint.startswith("grpcs://127.0.0.1:")
    token, authority = Path(status["token_file"]), Path(status["ca_file"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE((users[0].cache / "remote").stat().st_mode) == 0o700
    code, said = build(users[1], tmp_path / "cache", endpoint, token=token, ca=authority)
    assert code == 0, said
    assert STEP in steps_run(said)


@pytest.mark.parametrize("what", ["no token", "a worker's", "nonsense"])
def test_a_wrong_token_is_one_clear_error(
    users: tuple[Checkout, Checkout], status: dict[str, str], tmp_path: Path, what: str
) -> None:
    files = {"ca": Path(status["ca_file"])}
    if what == "a worker's":
        files["token"] = Path(status["token_file"]).with_name("worker.token")
    elif what == "nonsense":
        files["token"] = tmp_path / "token"
        files["token"].write_text("a.b.c")
    code, said = build(users[1], tmp_path / "cache", status["endpoint"], **files)
    assert code == 46, said
    assert "--remote-token-file" in said


def test_a_server_of_another_authority_is_not_believed(
    users: tuple[Checkout, Checkout], status: dict[str, str], tmp_path: Path
) -> None:
    token = Path(status["token_file"])
    code, said = build(users[1], tmp_path / "cache", status["endpoint"], token=token)
    assert code == 45, said
    assert "certificate" in said
    (tmp_path / "other.pem").write_text("no certificate")
    code, said = build(
        users[1], tmp_path / "cache", status["endpoint"], token=token, ca=tmp_path / "other.pem"
    )
    assert code == 29, said


def test_without_encryption_nobody_is_answered(
    users: tuple[Checkout, Checkout], status: dict[str, str], tmp_path: Path
) -> None:
    plain = status["endpoint"].replace("grpcs://", "grpc://")
    code, said = build(users[1], tmp_path / "cache", plain, token=Path(status["token_file"]))
    assert code == 45, said
