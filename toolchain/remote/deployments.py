"""The service of ``./invoke remote up`` for those who have a cluster: Compose and Kubernetes files.

Same image, scripts and settings; each part in a container of its own, tokens and encryption on.
Workers are not in them: a worker needs a Docker Engine of its own, see docs/how-to/remote.md.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from toolchain.remote.service_config import (
    Paths,
    ServiceConfig,
    acl_yaml,
    database_script,
    keys_script,
    local_database_url,
    redis_conf,
    server_script,
    server_yaml,
)

FOLDER = PurePosixPath("deploy")
COMPOSE = FOLDER / "compose.yaml"
KUBERNETES = FOLDER / "kubernetes.yaml"

PORT = 50051
_KEYS_PORT = 6379
_USER = 65534
_NAME = "tinyml-remote"
_HEADER = (
    "# Made by ./invoke schemas from toolchain/remote/deployments.py; how to use it:\n"
    "# docs/how-to/remote.md\n"
)
_FILES = ("server.yml", "acl.yml", "redis.conf")
_SECRETS = ("token.secret", "server.key", "server.pem")


def _config(keys_host: str) -> ServiceConfig:
    paths = Paths(config_folder="/config", secrets_folder="/secrets")
    return ServiceConfig(
        address=f"0.0.0.0:{PORT}",
        database_url=local_database_url(paths),
        keys_host=keys_host,
        keys_port=_KEYS_PORT,
        # It listens for the parts of the service only: on their own network, or inside their pod.
        keys_password="",
        tls=True,
        tokens=True,
        paths=paths,
    )


def _contents(config: ServiceConfig, bind: str) -> Mapping[str, str]:
    return {
        "server.yml": server_yaml(config),
        "acl.yml": acl_yaml(),
        "redis.conf": redis_conf(config, bind=bind),
    }


def _scripts(config: ServiceConfig) -> Mapping[str, str]:
    return {
        "database": database_script(config.paths),
        "keys": keys_script(config.paths),
        "server": server_script(config.paths, config.database_url),
    }


def compose_text() -> str:
    """Return ``deploy/compose.yaml``.

    ``SERVICE_IMAGE`` names the image; ``SECRETS`` the folder with ``token.secret``, ``server.key``
    and ``server.pem``, readable by user 65534.
    """
    config = _config("keys")
    services: dict[str, Any] = {}
    for part, script in _scripts(config).items():
        services[part] = {
            "image": "${SERVICE_IMAGE:?name the service image}",
            "entrypoint": ["/bin/sh", "-ec"],
            # A dollar of the shell's is written twice in Compose.
            "command": [script.replace("$", "$$")],
            "user": f"{_USER}:{_USER}",
            "environment": {"HOME": "/tmp", "LC_ALL": "C.UTF-8"},  # noqa: S108
            "read_only": True,
            "tmpfs": ["/tmp"],  # noqa: S108
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "init": True,
            "restart": "unless-stopped",
            "volumes": ["state:/state"],
            "networks": ["inside"],
        }
    services["keys"]["configs"] = [{"source": "redis.conf", "target": "/config/redis.conf"}]
    services["server"] |= {
        "configs": [
            {"source": name, "target": f"/config/{name}"} for name in ("server.yml", "acl.yml")
        ],
        "secrets": [{"source": name, "target": f"/secrets/{name}"} for name in _SECRETS],
        "ports": [f"{PORT}:{PORT}"],
        "networks": ["inside", "outside"],
        "depends_on": ["database", "keys"],
    }
    contents = _contents(config, "0.0.0.0")  # noqa: S104
    return _dumped(
        {
            "name": _NAME,
            "services": services,
            "volumes": {"state": {}},
            "networks": {"inside": {"internal": True}, "outside": {}},
            "configs": {
                name: {"content": text.replace("$", "$$")} for name, text in contents.items()
            },
            "secrets": {
                name: {"file": f"${{SECRETS:?name the folder of secrets}}/{name}"}
                for name in _SECRETS
            },
        }
    )


def kubernetes_text() -> str:
    """Return ``deploy/kubernetes.yaml``: one pod with all parts, its volume, and a service.

    One pod, because the database's socket is its only door. The image's name is to be replaced,
    and a secret called ``tinyml-remote`` has ``token.secret``, ``server.key`` and ``server.pem``.
    """
    config = _config("127.0.0.1")
    labels = {"app.kubernetes.io/name": _NAME}
    containers = []
    for part, script in _scripts(config).items():
        container: dict[str, Any] = {
            "name": part,
            "image": "SERVICE_IMAGE",
            "command": ["/bin/sh", "-ec", script],
            "env": [
                {"name": "HOME", "value": "/tmp"},  # noqa: S108
                {"name": "LC_ALL", "value": "C.UTF-8"},
            ],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
            "resources": {
                "requests": {"cpu": "250m", "memory": "256Mi"},
                "limits": {"memory": "2Gi"},
            },
            "volumeMounts": [
                {"name": "state", "mountPath": "/state"},
                {"name": "scratch", "mountPath": "/tmp", "subPath": part},  # noqa: S108
                {"name": "config", "mountPath": "/config", "readOnly": True},
            ],
        }
        if part == "server":
            container["volumeMounts"].append(
                {"name": "secrets", "mountPath": "/secrets", "readOnly": True}
            )
            container["ports"] = [{"name": "grpc", "containerPort": PORT}]
            container["readinessProbe"] = {"tcpSocket": {"port": "grpc"}, "periodSeconds": 5}
        containers.append(container)
    metadata = {"name": _NAME, "labels": labels}
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": dict(_contents(config, "127.0.0.1")),
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "selector": labels,
                "ports": [{"name": "grpc", "port": PORT, "targetPort": "grpc"}],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata,
            "spec": {
                "serviceName": _NAME,
                # The database and the blobs are one volume's: more than one pod cannot share it.
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": _USER,
                            "runAsGroup": _USER,
                            "fsGroup": _USER,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": containers,
                        "volumes": [
                            {"name": "scratch", "emptyDir": {}},
                            {"name": "config", "configMap": {"name": _NAME}},
                            {
                                "name": "secrets",
                                "secret": {"secretName": _NAME, "defaultMode": 0o440},
                            },
                        ],
                    },
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "state"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "50Gi"}},
                        },
                    }
                ],
            },
        },
    ]
    return _dumped(*documents)


def _dumped(*documents: Mapping[str, Any]) -> str:
    # Of requirements-remote.lock; only those who write these files need it.
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def readable(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: readable(each) for name, each in value.items()}
        if isinstance(value, list):
            return [readable(each) for each in value]
        if isinstance(value, str) and "\n" in value:
            return LiteralScalarString(value)
        return value

    writer = YAML()
    writer.width = 100_000
    writer.indent(mapping=2, sequence=4, offset=2)
    # Aliases would be right and hard to read.
    writer.representer.ignore_aliases = lambda _data: True
    target = io.StringIO()
    writer.dump_all([readable(dict(each)) for each in documents], target)
    return _HEADER + target.getvalue()
