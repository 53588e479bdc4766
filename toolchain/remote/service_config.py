"""The configuration of a remote execution service: BuildGrid on PostgreSQL, results kept in Redis.

Every deployment has the same: ``./invoke remote up``, and the Compose and Kubernetes files in
``deploy/``, which are made from here. Why each setting is as it is: docs/how-to/remote.md.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["client", "worker", "writer"]
ROLES: tuple[Role, ...] = ("client", "worker", "writer")
"""Who a token is for; ``writer`` is a client that may also store results it made itself."""

_BLOBS = (
    *("GetCapabilities", "FindMissingBlobs", "BatchUpdateBlobs", "BatchReadBlobs", "GetTree"),
    *("Read", "Write", "QueryWriteStatus"),
)
_CLIENT = (
    *("GetActionResult", "Execute", "WaitExecution"),
    *("GetOperation", "ListOperations", "CancelOperation"),
)
ALLOWED: Mapping[Role, Sequence[str]] = {
    "client": (*_BLOBS, *_CLIENT),
    "worker": (*_BLOBS, "CreateBotSession", "UpdateBotSession"),
    "writer": (*_BLOBS, *_CLIENT, "UpdateActionResult"),
}
"""Calls that each role may make. A client that could store results could give others any bytes."""

_RENEWED_SECONDS = 180 * 86400
"""A certificate that ends sooner is made anew."""

DATABASE = "buildgrid"
AUDIENCE = "tinyml-toolchain"


@dataclass(frozen=True)
class Paths:
    """Where a service's parts keep things, inside their containers."""

    state: str = "/state"
    config_folder: str = ""
    secrets_folder: str = ""

    @property
    def config(self) -> str:
        """Folder of the files that are made here."""
        return self.config_folder or f"{self.state}/config"

    @property
    def secrets(self) -> str:
        """Folder of the secret that signs tokens, and of key and certificate."""
        return self.secrets_folder or self.config

    @property
    def sockets(self) -> str:
        """Folder of the database's socket."""
        return f"{self.state}/run"

    @property
    def database(self) -> str:
        """Folder of the database."""
        return f"{self.state}/postgres"

    @property
    def keys(self) -> str:
        """Folder of Redis."""
        return f"{self.state}/redis"

    @property
    def blobs(self) -> str:
        """Folder of the content-addressed store."""
        return f"{self.state}/cas"


@dataclass(frozen=True)
class Listen:
    """Where and how a service is reached.

    Attributes:
        host: address to listen at.
        port: likewise.
        tls: whether connections are encrypted.
        tokens: whether a token is asked for.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    tls: bool = False
    tokens: bool = False


@dataclass(frozen=True)
class ServiceConfig:
    """What a service's files say.

    Attributes:
        address: where the server listens, ``HOST:PORT``.
        database_url: of PostgreSQL.
        keys_host: where Redis listens.
        keys_port: likewise.
        keys_password: needed to talk to it; empty for none.
        tls: whether connections are encrypted, with ``server.key`` and ``server.pem``.
        tokens: whether a token is asked for, signed with ``token.secret``.
        patience_seconds: a worker that is silent for so long is taken for dead, and its actions
            are leased to others; at least 5.
        paths: inside the containers.
    """

    address: str
    database_url: str
    keys_host: str
    keys_port: int
    keys_password: str
    tls: bool
    tokens: bool
    patience_seconds: int = 10
    paths: Paths = Paths()


def server_yaml(config: ServiceConfig) -> str:
    """Return ``server.yml`` of BuildGrid 0.9.

    Defaults that cost are changed: how often work is handed out (a second, with up to a second
    more at random), for how long a silent worker is waited for (ten minutes), threads (five for
    each processor, although each waiting client and worker holds one), and that failures are
    cached.
    """
    paths = config.paths
    text = _quoted
    lines = [
        "# Made by this project (toolchain/remote/service_config.py).",
        "server:",
        "  - !channel",
        f"    address: {text(config.address)}",
        f"    insecure-mode: {_yes(not config.tls)}",
    ]
    if config.tls:
        lines += [
            "    credentials:",
            f"      tls-server-key: {text(paths.secrets + '/server.key')}",
            f"      tls-server-cert: {text(paths.secrets + '/server.pem')}",
        ]
    if config.tokens:
        lines += [
            "authorization:",
            "  method: jwt",
            "  algorithm: hs256",
            f"  secret: {text(paths.secrets + '/token.secret')}",
            f"  audience: {text(AUDIENCE)}",
            f"  acl-config: {text(paths.config + '/acl.yml')}",
        ]
    lines += [
        "thread-pool-size: 256",
        "server-reflection: false",
        "connections:",
        "  - !sql-connection &database",
        f"    connection-string: {text(config.database_url)}",
        "    pool-size: 20",
        "    max-overflow: 20",
        "    pool-pre-ping: true",
        "  - !redis-connection &keys",
        f"    host: {text(config.keys_host)}",
        f"    port: {config.keys_port}",
    ]
    if config.keys_password:
        lines.append(f"    password: {text(config.keys_password)}")
    lines += [
        "storages:",
        "  - !disk-storage &blobs",
        f"    path: {text(paths.blobs)}",
        "caches:",
        *_cache("results", writable=True),
        # What clients see: without tokens nobody can be told from anybody.
        *_cache("clients-results", writable=config.tokens),
        "schedulers:",
        "  - !sql-scheduler &scheduler",
        "    sql: *database",
        "    storage: *blobs",
        "    action-cache: *results",
        "    property-set:",
        "      !dynamic-property-set",
        "      match-property-keys: [container-image, sandbox]",
        "      wildcard-property-keys: [working-directory]",
        "    assigners:",
        "      - !priority-age-assigner",
        "        interval: 0.05",
        "        jitter-factor: 0",
        "        failure-backoff: 1.0",
        f"    bot-session-keepalive-timeout: {config.patience_seconds}",
        "    session-expiry-timer-interval: 2",
        "    max-job-attempts: 5",
        "    poll-interval: 0.5",
        "    bot-poll-interval: 0.5",
        "    proactive-fetch-full-queue: true",
        "    pruner-job-max-age: {days: 7}",
        "instances:",
        '  - name: ""',
        "    services:",
        "      - !action-cache",
        "        cache: *clients-results",
        "      - !execution",
        "        scheduler: *scheduler",
        "        operation-stream-keepalive-timeout: 30",
        "      - !cas",
        "        storage: *blobs",
        "      - !bytestream",
        "        storage: *blobs",
    ]
    return "\n".join(lines) + "\n"


def _cache(name: str, *, writable: bool) -> list[str]:
    return [
        f"  - !redis-action-cache &{name}",
        "    redis: *keys",
        "    storage: *blobs",
        f"    allow-updates: {_yes(writable)}",
        "    cache-failed-actions: false",
    ]


def acl_yaml() -> str:
    """Return ``acl.yml``: what the subject of a token may ask for."""
    lines = ['"":', "  allow:"]
    for role in ROLES:
        # The subject is the role, then who has it: "client/ann".
        lines += [f"    - subject: {_quoted(f'^{role}(/|$)')}", "      requests:"]
        lines += [f"        - {call}" for call in sorted(ALLOWED[role])]
    return "\n".join(lines) + "\n"


def redis_conf(config: ServiceConfig, *, bind: str) -> str:
    """Return ``redis.conf``: results are written down at each second at the latest."""
    lines = [
        f"bind {bind}",
        f"port {config.keys_port}",
        f"dir {config.paths.keys}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        # Without a password Redis would answer its own machine only.
        f"protected-mode {'yes' if config.keys_password else 'no'}",
    ]
    if config.keys_password:
        lines.append(f"requirepass {config.keys_password}")
    return "\n".join(lines) + "\n"


def database_script(paths: Paths) -> str:
    """Return the shell script that makes the database if there is none, and runs it.

    A socket in the shared volume is its only door. UTF8 with this locale, because under another
    one the server gets bytes where it expects text.
    """
    return (
        f"mkdir -p {paths.sockets}; "
        f"if ! test -s {paths.database}/PG_VERSION; then "
        f"rm -rf {paths.database} {paths.database}.new; "
        f"initdb -D {paths.database}.new -E UTF8 --locale=C.UTF-8 -U {DATABASE} "
        "--auth-local=trust --auth-host=reject > /dev/null; "
        f"mv {paths.database}.new {paths.database}; fi; "
        f"rm -f {paths.database}/postmaster.pid; "
        f"exec postgres -D {paths.database} -k {paths.sockets} -c listen_addresses= "
        # No shared memory beyond what a container has by default.
        "-c dynamic_shared_memory_type=mmap"
    )


def keys_script(paths: Paths) -> str:
    """Return the shell script that runs Redis."""
    return f"mkdir -p {paths.keys}; exec redis-server {paths.config}/redis.conf"


def server_script(paths: Paths, database_url: str) -> str:
    """Return the shell script that waits for the database, migrates it and runs the server."""
    return (
        f"until pg_isready -q -h {paths.sockets} -U {DATABASE} -d postgres; do sleep 0.2; done; "
        f"createdb -h {paths.sockets} -U {DATABASE} {DATABASE} 2> /dev/null || true; "
        f"bgd migrate apply '{database_url}'; "
        f"exec bgd server start -v {paths.config}/server.yml"
    )


def certificate_script(paths: Paths, host: str) -> str:
    """Return the shell script that makes key and certificate of the server, and their authority.

    What is there and good for another half year stays: clients have the authority's certificate,
    and a service that runs on must not outlive its own.
    """
    kind = "IP" if _is_address(host) else "DNS"
    names = f"subjectAltName={kind}:{host},DNS:localhost,IP:127.0.0.1,IP:::1"
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    return (
        f"mkdir -p {paths.config}; cd {paths.config}; umask 077; "
        f'good() {{ test -s "$1" && openssl x509 -noout -checkend {_RENEWED_SECONDS} -in "$1" '
        "> /dev/null; }; "
        "if ! { test -s ca.key && good ca.pem; }; then rm -f ca.pem server.pem; "
        f"openssl req -x509 {key} -days 3650 "
        "-subj '/CN=tinyml-toolchain remote' -keyout ca.key -out ca.pem; fi; "
        f"if good server.pem && test \"$(cat names)\" = '{names}'; then exit 0; fi; "
        "rm -f server.pem; "
        f"openssl req {key} -subj '/CN=server' -keyout server.key -out server.csr; "
        f"printf '%s' '{names}' > names; "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 "
        "-extfile names -out server.pem"
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def local_database_url(paths: Paths) -> str:
    """Return the address of the database behind its socket."""
    return f"postgresql://{DATABASE}@/{DATABASE}?host={paths.sockets}"


def _quoted(text: str) -> str:
    # A JSON string is a YAML one.
    return json.dumps(text)


def _yes(value: bool) -> str:
    return "true" if value else "false"
