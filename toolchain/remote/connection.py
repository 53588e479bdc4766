"""A connection to a remote service: encryption, token, deadlines, retries, cancellation."""

from __future__ import annotations

import base64
import json
import random
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc

from toolchain.errors import (
    CancelledError,
    RemoteRefusedError,
    RemoteUnavailableError,
    ToolchainError,
    UsageError,
)
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.settings import Credentials

T = TypeVar("T")

MAX_MESSAGE_BYTES = 64 << 20
CALL_SECONDS = 10.0
"""Deadline of a call that moves little."""

_ATTEMPTS = 4
_PATIENT_ATTEMPTS = 50
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
_LARGEST_TOKEN_BYTES = 16 << 10

# What a moment later may be different: a server that restarts, is busy, or lost its database.
RETRIABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
REFUSALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


class Connection:
    """Calls to one service; may be used by several threads.

    Args:
        endpoint: where it is.
        credentials: read now.
        patient: whether a service that answered before is waited for when it goes away, for about
            two minutes; otherwise for some seconds.

    Raises:
        UsageError: a file of ``credentials`` cannot be read, or is not what it should be.
        RemoteRefusedError: the token has expired.
    """

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, *, patient: bool = False
    ) -> None:
        self.endpoint = endpoint
        self._patient = patient
        self._reached = False
        self._token = read_token(credentials.token_file) if credentials.token_file else ""
        self.cancelled = threading.Event()
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # A peer that vanished without a word is noticed within half a minute.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 3_000),
            # A proxy for the registries is none for this machine itself.
            ("grpc.enable_http_proxy", 0 if endpoint.is_loopback else 1),
            # Connections are shared by endpoint within a process otherwise: closing one ends all.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if endpoint.tls:
            roots = _read_certificates(credentials.ca_file) if credentials.ca_file else None
            secrets = grpc.ssl_channel_credentials(root_certificates=roots)
            self.channel = grpc.secure_channel(endpoint.target, secrets, options)
        else:
            self.channel = grpc.insecure_channel(endpoint.target, options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent with every call."""
        return (("authorization", f"Bearer {self._token}"),) if self._token else ()

    def call(
        self,
        method: Callable[..., T],
        request: object,
        *,
        seconds: float = CALL_SECONDS,
    ) -> T:
        """Make a call, and again after a pause while the service says that this may help.

        Args:
            method: of a stub; one answer, or several that are read to their end by ``method``.
            request: its message, or a callable that makes an iterator of messages.
            seconds: deadline of each attempt.

        Raises:
            grpc.RpcError: the last attempt's, as ``status_of`` reads it.
            CancelledError: ``cancel`` was called.
        """
        attempt = 0
        while True:
            if self.cancelled.is_set():
                raise _cancelled()
            message = request() if callable(request) else request
            try:
                answer = method(message, timeout=seconds, metadata=self.metadata)
            except grpc.RpcError as error:
                if self.cancelled.is_set():
                    raise _cancelled() from error
                gone = status_of(error) is grpc.StatusCode.UNAVAILABLE
                waits = gone and self._patient and self._reached
                most = _PATIENT_ATTEMPTS if waits else _ATTEMPTS
                if status_of(error) not in RETRIABLE or attempt + 1 >= most:
                    raise
                self.pause(attempt)
                attempt += 1
            except ValueError as error:
                # A closed channel says so.
                if self.cancelled.is_set():
                    raise _cancelled() from error
                raise
            else:
                self._reached = True
                return answer

    def pause(self, attempt: int) -> None:
        """Wait before attempt ``attempt`` + 2: longer each time, and not in step with others.

        Raises:
            CancelledError: ``cancel`` was called.
        """
        longest = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
        if self.cancelled.wait(longest * random.uniform(0.5, 1.0)):  # noqa: S311
            raise _cancelled()

    def cancel(self) -> None:
        """End every call; from now on none can be made."""
        self.cancelled.set()
        self.channel.close()

    def close(self) -> None:
        """Let go of the connection."""
        self.cancel()


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Return the status that ended a call."""
    code = error.code() if hasattr(error, "code") else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def reason_of(error: grpc.RpcError) -> str:
    """Return what the service, or gRPC, said of a failure, in one line."""
    details = str(error.details() or "") if hasattr(error, "details") else ""
    text = " ".join("".join(c if c.isprintable() else " " for c in details).split())
    return f"{status_of(error).name}: {text[:300]}" if text else status_of(error).name


def service_error(error: grpc.RpcError, endpoint: Endpoint) -> ToolchainError:
    """Return the error for a service that refuses us, or cannot be had."""
    if status_of(error) in REFUSALS:
        return RemoteRefusedError(
            f"{endpoint} refuses this call: {reason_of(error)}",
            why="the token is missing, is not one of this service, has expired, or does not allow "
            "this",
            next_step="ask whoever runs the service for a token, and name its file with "
            "--remote-token-file",
        )
    return RemoteUnavailableError(
        f"{endpoint} cannot be used: {reason_of(error)}",
        why="it does not run, the address is another one, its certificate is not trusted, or the "
        "network is down",
        next_step="look at the service (./invoke remote status where it was started by this "
        "project), or build here without --remote-executor",
    )


def read_token(path: Path, now: Callable[[], float] = time.time) -> str:
    """Return the token in a file.

    Where it is a JWT, its time is looked at; its signature is the service's business.

    Raises:
        UsageError: the file cannot be read or holds no token.
        RemoteRefusedError: it has expired.
    """
    token = _read(path).decode("ascii", "replace").strip()
    if not token or len(token) > _LARGEST_TOKEN_BYTES or not token.isascii() or " " in token:
        raise UsageError(
            f"{path} holds no token",
            why="it must have one line of printable characters",
            next_step="get a token from whoever runs the service",
        )
    if not token.isprintable():
        raise UsageError(f"{path} holds no token: it has more than one line")
    expires = _expiry(token)
    if expires is not None and expires <= now():
        raise RemoteRefusedError(
            f"the token in {path} has expired",
            why=f"it was good until {time.strftime('%Y-%m-%d %H:%M', time.gmtime(expires))} UTC",
            next_step="get a new one from whoever runs the service (./invoke remote token where "
            "it was started by this project)",
        )
    return token


def _expiry(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", next_step="make it readable for this user"
        ) from error


def _read_certificates(path: Path) -> bytes:
    """Return the certificates in a file.

    gRPC takes any file, and then says of each call that the service does not answer.
    """
    data = _read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            # What stands around certificates may be text in any encoding.
            cadata=data.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{path} holds no certificates in PEM",
            why=str(error).partition(" (_ssl")[0],
            next_step="name the file with the certificate of the authority that signed the "
            "service's",
        ) from error
    return data


def _cancelled() -> CancelledError:
    return CancelledError("stopped while talking to a remote service")
