"""The containers of a service for trying and for small teams, on this machine's Docker Engine.

They use the host's network, because a private engine has none of its own. What they must not reach
of it they have no way to: no capability, no privilege, and no user but nobody. Their state is in a
named volume.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import socket
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker.errors
import docker.types
import requests.exceptions

from toolchain.errors import RemoteServiceError
from toolchain.layout import Layout
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.service_config import (
    Listen,
    Paths,
    ServiceConfig,
    acl_yaml,
    certificate_script,
    database_script,
    keys_script,
    local_database_url,
    redis_conf,
    server_script,
    server_yaml,
)

if TYPE_CHECKING:
    from toolchain.engine.connection import Engine

NOBODY = 65534
PARTS = ("database", "keys", "server")
LABEL = "tinyml-toolchain.remote"
_PATHS = Paths()
_LOG_LINES = 20
_STOP_SECONDS = 20


@dataclass(frozen=True)
class PartStatus:
    """A container of the service: ``running``, ``exited`` and so on, or ``absent``."""

    name: str
    status: str


def identity(layout: Layout) -> str:
    """Return what tells this cache's service from others on the same engine."""
    return hashlib.sha256(os.fsencode(layout.cache)).hexdigest()[:8]


class Service:
    """The service of one cache.

    Args:
        engine: on which it runs.
        image: with everything in it.
        layout: whose cache it belongs to.
    """

    def __init__(self, engine: Engine, image: str, layout: Layout) -> None:
        self._api = engine.client.api
        self._image = image
        self._identity = identity(layout)

    @property
    def volume(self) -> str:
        """Name of the volume with all its state."""
        return f"tinyml-toolchain-remote-{self._identity}"

    def container(self, part: str) -> str:
        """Return the name of a part's container."""
        return f"tinyml-remote-{self._identity}-{part}"

    def start(self, listen: Listen, secret: str) -> None:
        """Start the containers anew over the same state.

        Args:
            listen: where and how it is reached.
            secret: signs tokens.

        Raises:
            RemoteServiceError: one cannot be started.
        """
        self.stop()
        config = ServiceConfig(
            address=Endpoint(listen.host, listen.port, listen.tls).target,
            database_url=local_database_url(_PATHS),
            keys_host="127.0.0.1",
            keys_port=_free_port(),
            keys_password=secrets.token_hex(16),
            tls=listen.tls,
            tokens=listen.tokens,
        )
        files = {
            "server.yml": server_yaml(config),
            "acl.yml": acl_yaml(),
            "redis.conf": redis_conf(config, bind="127.0.0.1"),
            "token.secret": secret,
        }
        scripts = {
            "database": database_script(_PATHS),
            "keys": keys_script(_PATHS),
            "server": server_script(_PATHS, config.database_url),
        }
        try:
            self._api.create_volume(self.volume, labels={LABEL: self._identity})
            for part in PARTS:
                self._create(part, scripts[part])
                self._put(part, files)
                self._api.start(self.container(part))
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise RemoteServiceError(
                f"the service's containers cannot be started: {error}",
                next_step="look at the engine with ./invoke doctor",
            ) from error

    def make_certificate(self, host: str) -> bytes:
        """Make a key and a certificate for ``host`` unless the volume has good ones.

        Returns:
            The certificate of the authority that signed it, in PEM, which clients need.

        Raises:
            RemoteServiceError: openssl failed.
        """
        self._api.create_volume(self.volume, labels={LABEL: self._identity})
        folder, script = _PATHS.config, certificate_script(_PATHS, host)
        name = self.container("certificate")
        self._remove(name)
        try:
            self._create("certificate", script, restart=False)
            self._api.start(name)
            code = self._api.wait(name, timeout=60)["StatusCode"]
            if code != 0:
                raise RemoteServiceError(
                    f"a certificate for {host} cannot be made: {self.log('certificate')[-500:]}"
                )
            stream, _ = self._api.get_archive(name, f"{folder}/ca.pem")
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                member = archive.extractfile("ca.pem")
                return member.read() if member else b""
        finally:
            self._remove(name)

    def stop(self) -> None:
        """Stop and remove the containers; the state stays."""
        for part in reversed(PARTS):
            name = self.container(part)
            try:
                self._api.stop(name, timeout=_STOP_SECONDS)
            except docker.errors.NotFound:
                continue
            except (docker.errors.DockerException, requests.exceptions.RequestException):
                pass
            self._remove(name)

    def delete_state(self) -> None:
        """Remove the volume: blobs, results, tokens' secret and certificates."""
        try:
            self._api.remove_volume(self.volume)
        except docker.errors.NotFound:
            return

    def status(self) -> tuple[PartStatus, ...]:
        """Return how the containers are."""
        found = []
        for part in PARTS:
            try:
                state = self._api.inspect_container(self.container(part))["State"]["Status"]
            except docker.errors.NotFound:
                state = "absent"
            found.append(PartStatus(part, str(state)))
        return tuple(found)

    def log(self, part: str, lines: int = _LOG_LINES) -> str:
        """Return the end of what a part wrote; empty when it is not there."""
        try:
            data: bytes = self._api.logs(self.container(part), tail=lines)
        except docker.errors.NotFound:
            return ""
        return data.decode(errors="replace")

    def _create(self, part: str, script: str, *, restart: bool = True) -> None:
        host: dict[str, Any] = self._api.create_host_config(
            network_mode="host" if restart else "none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            read_only=True,
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,mode=1777"},  # noqa: S108
            mounts=[docker.types.Mount(_PATHS.state, self.volume, type="volume")],
            restart_policy={"Name": "unless-stopped"} if restart else None,
            pids_limit=1024,
            init=True,
            log_config=docker.types.LogConfig(
                type="json-file", config={"max-size": "10m", "max-file": "2"}
            ),
        )
        self._api.create_container(
            image=self._image,
            entrypoint=["/bin/sh", "-ec"],
            command=[script],
            environment={"HOME": "/tmp", "LC_ALL": "C.UTF-8"},  # noqa: S108
            user=f"{NOBODY}:{NOBODY}",
            labels={LABEL: self._identity},
            use_config_proxy=False,
            host_config=host,
            name=self.container(part),
        )

    def _put(self, part: str, files: Mapping[str, str]) -> None:
        """Put the configuration into the volume, readable by the containers' user only."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            folder = tarfile.TarInfo("config")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o700
            folder.uid = folder.gid = NOBODY
            archive.addfile(folder)
            for name, text in files.items():
                entry = tarfile.TarInfo(f"config/{name}")
                data = text.encode()
                entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
                entry.uid = entry.gid = NOBODY
                archive.addfile(entry, io.BytesIO(data))
        self._api.put_archive(self.container(part), _PATHS.state, buffer.getvalue())

    def _remove(self, name: str) -> None:
        try:
            self._api.remove_container(name, force=True, v=False)
        except docker.errors.NotFound:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
