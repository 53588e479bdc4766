"""Two clones and one service: what the first has built, the second need not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.support import Checkout, copy_tracked, failed, sha256, steps_known, steps_run
from tests.blackbox.test_json import checked
from tests.containers.remote_support import free_port
from toolchain.engine import Engine
from toolchain.layout import Layout

BOARDS = ("arduino_nano_33_ble", "sparkfun_edge", "stm32f746g_disco")


@pytest.fixture(scope="module")
def places(
    layout: Layout, engine: Engine, environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, Checkout, Checkout]:
    """The service's clone, and those of two users; each with a cache of its own."""
    folder = tmp_path_factory.mktemp("remote")
    found = []
    for name in ("service", "one", "another one, elsewhere"):
        copy_tracked(layout.project, folder / name / "clone")
        (folder / name / "clone" / ".venv").symlink_to(environment)
        found.append(Checkout(folder / name / "clone", folder / name / "cache", engine.address.url))
    return found[0], found[1], found[2]


@pytest.fixture(scope="module")
def endpoint(
    places: tuple[Checkout, Checkout, Checkout],
    train_image: str,
    cross_image: str,
    host_image: str,
) -> Iterator[str]:
    del train_image, cross_image, host_image
    service, port = places[0], free_port()
    done = service.invoke("remote", "up", "--port", str(port), "--workers", "2")
    try:
        assert done.returncode == 0, done.stderr
        assert f"--remote-executor grpc://127.0.0.1:{port}" in done.stdout
        yield f"grpc://127.0.0.1:{port}"
    finally:
        ended = service.invoke("remote", "down", "--delete")
    assert ended.returncode == 0, ended.stderr
    assert "has ended" in ended.stdout


def images(checkout: Checkout) -> dict[str, str]:
    return {
        board: sha256(checkout.folder / "build" / board / "sine_int8" / "hello_world.bin")
        for board in BOARDS
    }


def test_the_second_clone_executes_nothing_and_the_bytes_are_a_local_builds(
    places: tuple[Checkout, Checkout, Checkout], endpoint: str, layout: Layout, engine: Engine
) -> None:
    _, one, other = places
    first = one.invoke("build", "--target", "all", "--remote-executor", endpoint)
    assert first.returncode == 0, first.stderr
    assert len(steps_run(first.stderr)) > 10
    assert not steps_known(first.stderr)
    second = other.invoke("build", "--target", "all", "--remote-executor", endpoint)
    assert second.returncode == 0, second.stderr
    assert steps_run(second.stderr) == set()
    assert steps_known(second.stderr) == steps_run(first.stderr)
    assert f": cached at {endpoint}" in second.stderr
    here = Checkout(layout.project, layout.cache, engine.address.url)
    local = here.invoke("build", "--target", "all")
    assert local.returncode == 0, local.stderr
    assert images(one) == images(other) == images(here)


def test_what_was_built_elsewhere_is_verified_packed_and_tells_where_it_ran(
    places: tuple[Checkout, Checkout, Checkout], endpoint: str
) -> None:
    _, one, _ = places
    verified = one.invoke("verify", "--target", "all", "--remote-executor", endpoint)
    assert verified.returncode == 0, verified.stderr
    packed = one.invoke("package", "--remote-executor", endpoint)
    assert packed.returncode == 0, packed.stderr
    assert one.invoke("verify-release", "dist").returncode == 0
    provenance: dict[str, Any] = json.loads((one.folder / "dist" / "provenance.json").read_text())
    steps = provenance["predicate"]["buildDefinition"]["internalParameters"]["steps"]
    assert len(steps) > 10
    for step in steps:
        place = step["ranOn"]
        assert place["server"] == endpoint, step["name"]
        assert place["worker"], step["name"]
        assert (place["engine"], place["isolated"], place["pinned"]) == ("docker", True, True)


def test_the_status_is_a_document(
    places: tuple[Checkout, Checkout, Checkout], endpoint: str
) -> None:
    done = places[0].invoke("remote", "status", "--json")
    found = checked(json.loads(done.stdout))
    assert found["endpoint"] == endpoint
    assert found["slots"] == 2


def test_nobody_at_the_address_is_one_error_and_a_cache_of_nobody_one_warning(
    places: tuple[Checkout, Checkout, Checkout], tmp_path: Path
) -> None:
    _, one, _ = places
    nobody = f"grpc://127.0.0.1:{free_port()}"
    empty = Checkout(one.folder, tmp_path / "cache", one.engine)
    said = failed(
        empty.invoke("build", "--target", "sparkfun_edge", "--remote-executor", nobody), 45
    )
    assert nobody in said
    known = one.invoke("build", "--target", "sparkfun_edge", "--remote-cache", nobody)
    assert known.returncode == 0
    assert "warning" not in known.stderr
    plain = failed(one.invoke("build", "--remote-executor", "grpc://192.0.2.1:1"), 29)
    assert "is not encrypted" in plain
