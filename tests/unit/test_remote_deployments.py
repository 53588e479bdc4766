"""Files for those who have a cluster: valid, and with the settings of ``./invoke remote up``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from toolchain.layout import project_layout
from toolchain.remote.deployments import COMPOSE, KUBERNETES, PORT
from toolchain.remote.service_config import (
    ALLOWED,
    ROLES,
    ServiceConfig,
    acl_yaml,
    redis_conf,
    server_yaml,
)

PROJECT = project_layout().project
PARTS = {"database", "keys", "server"}


class Tagged(dict[str, Any]):
    """A mapping behind a tag of BuildGrid's, such as ``!channel``."""


def loaded(text: str) -> Any:
    """Return YAML with BuildGrid's tags, which name what a mapping is of."""
    return YAML().load(text)


def compose() -> Any:
    return YAML(typ="safe").load((PROJECT / COMPOSE).read_text())


def kubernetes() -> dict[str, Any]:
    documents = YAML(typ="safe").load_all((PROJECT / KUBERNETES).read_text())
    return {document["kind"]: document for document in documents}


def test_compose_file_is_what_its_specification_says() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema"),
            *("vendor.compose-spec", str(PROJECT / COMPOSE)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "StatefulSet"])
def test_a_manifest_is_what_kubernetes_says(kind: str) -> None:
    kubernetes_validate.validate(kubernetes()[kind], "1.31", strict=True)


def test_a_planted_mistake_is_found() -> None:
    manifest = kubernetes()["StatefulSet"]
    manifest["spec"]["replica"] = manifest["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_nothing_runs_with_more_than_it_needs() -> None:
    services = compose()["services"]
    assert set(services) == PARTS
    for service in services.values():
        assert service["user"] == "65534:65534"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name in PARTS if "ports" in services[name]] == ["server"]
    pod = kubernetes()["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert {container["name"] for container in pod["containers"]} == PARTS
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        secrets = [each["mountPath"] for each in container["volumeMounts"]]
        assert ("/secrets" in secrets) == (container["name"] == "server")


def test_tokens_and_encryption_are_on_in_both() -> None:
    for text in (
        compose()["configs"]["server.yml"]["content"],
        kubernetes()["ConfigMap"]["data"]["server.yml"],
    ):
        config = loaded(text)
        (channel,) = config["server"]
        assert channel["insecure-mode"] is False
        assert channel["address"] == f"0.0.0.0:{PORT}"
        assert channel["credentials"]["tls-server-key"] == "/secrets/server.key"
        assert config["authorization"]["method"] == "jwt"
        assert config["authorization"]["secret"] == "/secrets/token.secret"


def config(**changes: Any) -> ServiceConfig:
    values: dict[str, Any] = {
        "address": "127.0.0.1:50051",
        "database_url": "postgresql://x@/x?host=/state/run",
        "keys_host": "127.0.0.1",
        "keys_port": 6379,
        "keys_password": 'a "quoted" one',
        "tls": False,
        "tokens": False,
    }
    return ServiceConfig(**{**values, **changes})


@pytest.mark.parametrize("tokens", [False, True])
def test_clients_cannot_write_results_where_nobody_is_known(tokens: bool) -> None:
    read = loaded(server_yaml(config(tokens=tokens)))
    service, clients = read["caches"]
    assert service["allow-updates"] is True
    assert clients["allow-updates"] is tokens
    assert not service["cache-failed-actions"]
    (instance,) = read["instances"]
    cache = instance["services"][0]["cache"]
    assert cache["allow-updates"] is tokens
    assert read["connections"][1]["password"] == 'a "quoted" one'
    assert ("authorization" in read) == tokens


def test_each_role_has_its_own_calls() -> None:
    rules = loaded(acl_yaml())[""]["allow"]
    assert [rule["subject"] for rule in rules] == [f"^{role}(/|$)" for role in ROLES]
    for role, rule in zip(ROLES, rules, strict=True):
        assert set(rule["requests"]) == set(ALLOWED[role])
    assert "UpdateActionResult" not in ALLOWED["client"]
    assert not {"CreateBotSession", "UpdateBotSession"} & {*ALLOWED["client"], *ALLOWED["writer"]}
    assert "Execute" not in ALLOWED["worker"]


def test_results_outlive_a_restart() -> None:
    text = redis_conf(config(), bind="127.0.0.1")
    assert "appendonly yes" in text
    assert "bind 127.0.0.1" in text


def test_the_files_are_where_the_page_says() -> None:
    page = (PROJECT / "docs" / "how-to" / "remote.md").read_text()
    for path in (COMPOSE, KUBERNETES):
        assert (PROJECT / path).is_file()
        assert str(path) in page
    assert Path(PROJECT / COMPOSE).read_text().startswith("# Made by ./invoke schemas")
