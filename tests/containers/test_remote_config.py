"""BuildGrid's own check of every configuration that is made for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import RunInImage
from toolchain.layout import project_layout
from toolchain.remote.deployments import COMPOSE, KUBERNETES
from toolchain.remote.service_config import ServiceConfig, server_yaml

PROJECT = project_layout().project


def made(*, tls: bool, tokens: bool) -> str:
    return server_yaml(
        ServiceConfig(
            address="127.0.0.1:50051",
            database_url="postgresql://x@/x?host=/state/run",
            keys_host="127.0.0.1",
            keys_port=6379,
            keys_password="secret",
            tls=tls,
            tokens=tokens,
        )
    )


def deployed(path: Path) -> str:
    for document in YAML(typ="safe").load_all(path.read_text()):
        if "configs" in document:
            return str(document["configs"]["server.yml"]["content"])
        if document.get("kind") == "ConfigMap":
            return str(document["data"]["server.yml"])
    raise AssertionError(path)


CONFIGS = {
    "plain": made(tls=False, tokens=False),
    "tokens": made(tls=False, tokens=True),
    "encrypted": made(tls=True, tokens=True),
    "compose": deployed(PROJECT / COMPOSE),
    "kubernetes": deployed(PROJECT / KUBERNETES),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_passes_the_servers_check(
    run_in_image: RunInImage, service_image: str, name: str
) -> None:
    found = run_in_image(
        service_image,
        ["/bin/sh", "-c", "bgd server lint /project/server.yml > /out/said 2>&1 || true"],
        {"server.yml": CONFIGS[name].encode()},
        ["said"],
    )
    assert b"passed validation" in found["said"], found["said"].decode()


def test_a_planted_mistake_is_found(run_in_image: RunInImage, service_image: str) -> None:
    wrong = CONFIGS["plain"].replace("poll-interval", "pole-interval")
    found = run_in_image(
        service_image,
        ["/bin/sh", "-c", "bgd server lint /project/server.yml > /out/said 2>&1 || true"],
        {"server.yml": wrong.encode()},
        ["said"],
    )
    assert b"passed validation" not in found["said"]
