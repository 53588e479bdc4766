"""What a user says of remote services: options, or settings of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import UsageError
from toolchain.paths import user_path
from toolchain.remote.endpoint import Endpoint, parse_endpoint

CACHE_VARIABLE = "TOOLCHAIN_REMOTE_CACHE"
EXECUTOR_VARIABLE = "TOOLCHAIN_REMOTE_EXECUTOR"
TOKEN_VARIABLE = "TOOLCHAIN_REMOTE_TOKEN_FILE"  # noqa: S105 - a variable's name
CA_VARIABLE = "TOOLCHAIN_REMOTE_CA_FILE"
PLAINTEXT_VARIABLE = "TOOLCHAIN_REMOTE_PLAINTEXT"
"""When 1, what is sent to other machines need not be encrypted: their network is trusted."""

_NONE = "none"


@dataclass(frozen=True)
class Credentials:
    """What a connection needs to be let in, and to know whom it talks to.

    Attributes:
        token_file: holds a bearer token (a JWT, or what the service takes); read when a connection
            is opened.
        ca_file: certificates in PEM of the authorities that are trusted; ``None`` for the ones
            that gRPC brings.
    """

    token_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True)
class RemoteChoice:
    """Which remote services a command uses.

    Attributes:
        cache: whose action cache is asked; the executor's when only that is given, ``None`` for
            none.
        executor: where actions are run; ``None`` for here.
        credentials: for both.
    """

    cache: Endpoint | None = None
    executor: Endpoint | None = None
    credentials: Credentials = Credentials()

    def __bool__(self) -> bool:
        """Whether any is used."""
        return self.cache is not None or self.executor is not None


def chosen_remote(
    cache: str = "",
    executor: str = "",
    token_file: str = "",
    ca_file: str = "",
    environ: Mapping[str, str] = os.environ,
) -> RemoteChoice:
    """Return the choice that options mean; for one not given its variable's value counts.

    ``none`` is for none: as an option whatever the variable says, and for the cache also where an
    executor has one.

    Raises:
        UsageError: an address is malformed, a file is missing, or something would be sent to
            another machine without encryption.
    """

    def value(option: str, given: str, variable: str) -> tuple[str, str]:
        name, text = (option, given) if given else (variable, environ.get(variable, ""))
        return name, "" if text == _NONE else text

    endpoints = []
    for option, given, variable in (
        ("--remote-cache", cache, CACHE_VARIABLE),
        ("--remote-executor", executor, EXECUTOR_VARIABLE),
    ):
        name, text = value(option, given, variable)
        endpoint = parse_endpoint(text, name) if text else None
        if endpoint is not None:
            require_encryption(endpoint, name, environ)
        endpoints.append(endpoint)
    files = []
    for option, given, variable in (
        ("--remote-token-file", token_file, TOKEN_VARIABLE),
        ("--remote-ca-file", ca_file, CA_VARIABLE),
    ):
        name, text = value(option, given, variable)
        files.append(_file(name, text) if text else None)
    chosen, run_at = endpoints
    if not chosen and (cache or environ.get(CACHE_VARIABLE)) != _NONE:
        chosen = run_at
    return RemoteChoice(chosen, run_at, Credentials(*files))


def require_encryption(
    endpoint: Endpoint, option: str, environ: Mapping[str, str] = os.environ
) -> None:
    """Refuse an address of another machine to which nothing is encrypted.

    Raises:
        UsageError: it is one, and the user has not said that its network is trusted.
    """
    if endpoint.tls or endpoint.is_loopback or environ.get(PLAINTEXT_VARIABLE) == "1":
        return
    raise UsageError(
        f"{option} is {endpoint}: sources and tokens would cross the network for all to read",
        why="grpc:// is not encrypted, and the host is another machine",
        next_step=f"use grpcs://{endpoint.target}; or set {PLAINTEXT_VARIABLE}=1 where the network "
        "itself is encrypted",
    )


def _file(option: str, text: str) -> Path:
    path = user_path(text)
    if not path.is_file():
        raise UsageError(
            f"{option} names {path}, which is no file",
            next_step="name a file that exists, or leave the option out",
        )
    return path
