"""A remote service on this machine: start, look at, end; tokens; and a worker for any service."""

from __future__ import annotations

import ipaddress
import re
import signal
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from toolchain.console import Reporter
from toolchain.errors import RemoteServiceError, UsageError
from toolchain.extra_packages import require_packages
from toolchain.layout import project_layout
from toolchain.pins import REMOTE_LOCK
from toolchain.remote.endpoint import Endpoint, parse_endpoint
from toolchain.remote.service_config import Listen
from toolchain.remote.settings import (
    Credentials,
    chosen_remote,
    require_encryption,
)

if TYPE_CHECKING:
    from toolchain.remote.keeper import KeeperPaths, KeeperState

_PARTS = ("database", "keys", "server")

ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104
"""Addresses that stand for every one of this machine."""


@dataclass(frozen=True)
class RemoteStatus:
    """What ``./invoke remote status`` tells.

    Attributes:
        running: whether the service was started and answers.
        endpoint: its address for clients; empty when it does not run.
        slots: of its own worker.
        tokens: whether a token is asked for.
        token_file: of a client on this machine; empty for none.
        ca_file: certificates that clients need; empty for none.
        parts: how each container is, by its name.
        executes: whether it says that it runs actions.
    """

    running: bool
    endpoint: str = ""
    slots: int = 0
    tokens: bool = False
    token_file: str = ""
    ca_file: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    executes: bool = False

    def as_json(self) -> dict[str, object]:
        """Return the fields of the document."""
        return {**asdict(self), "parts": dict(self.parts)}


def chosen_listen(host: str, port: int, *, tokens: bool, encrypt: bool) -> Listen:
    """Return where a service listens: encrypted and with tokens unless only this machine can come.

    Args:
        host: name or address; an IPv6 address with or without its brackets.
        port: 1 to 65535.
        tokens: ask for tokens in any case.
        encrypt: encrypt in any case.

    Raises:
        UsageError: ``host`` is neither a name nor an address.
    """
    given = host
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _is_host(host):
        raise UsageError(
            f"--listen cannot be {given!r}",
            why="it is neither a name nor an IPv4 or IPv6 address",
            next_step="write the address alone, such as 127.0.0.1 or ::1, and the port with --port",
        )
    outside = not Endpoint(host, port, tls=False).is_loopback
    return Listen(host, port, tls=outside or encrypt, tokens=outside or tokens)


def _is_host(text: str) -> bool:
    if ":" not in text:
        return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", text) is not None
    try:
        return not ipaddress.IPv6Address(text).scope_id
    except ValueError:
        return False


def certificate_warning(listen: Listen) -> str:
    """Return what is to be said of the certificate of a service; empty for nothing."""
    # An address that stands for all of this machine's is none that a certificate could be for.
    if not listen.tls or listen.host not in ALL_ADDRESSES:
        return ""
    return (
        f"the certificate of a service at {listen.host} is for localhost, 127.0.0.1 and ::1 only: "
        "clients on other machines refuse it; they need --listen with the name or address by which "
        "they know this machine"
    )


def up(reporter: Reporter, listen: Listen, slots: int) -> RemoteStatus:
    """Start the service of this cache, unless it runs already.

    Args:
        reporter: told what goes on.
        listen: where and how it is reached.
        slots: of its own worker; 0 for none.

    Raises:
        RemoteServiceError: it cannot be started, or runs otherwise than asked for.
        ToolchainError: there is no engine, or an image cannot be made.
    """
    require_packages(REMOTE_LOCK, "grpc", reporter)
    from toolchain.engine import open_engine
    from toolchain.images import project_pins
    from toolchain.images.ensure import ensure_images
    from toolchain.remote.hosted import WORKER_KINDS
    from toolchain.remote.keeper import is_held, keeper_paths, launch, read_state

    layout = project_layout()
    paths = keeper_paths(layout)
    state = read_state(paths)
    if state is not None:
        if (state.listen, state.slots) != (listen, slots):
            raise RemoteServiceError(
                f"the service runs already, at {state.endpoint} with {state.slots} slots",
                next_step="end it first with: ./invoke remote down",
            )
        return _status(paths, state)
    if is_held(paths.lock):
        raise RemoteServiceError(
            "another command starts or ends the service", next_step="wait for it, and look again"
        )
    warning = certificate_warning(listen)
    if warning:
        reporter.warning(warning)
    pins = project_pins(layout)
    with open_engine(layout, reporter) as engine:
        kinds = ("service", *(WORKER_KINDS if slots else ()))
        ensure_images(engine, kinds, layout=layout, pins=pins, reporter=reporter)
        # Launched while the engine is held, so that a private one does not end in between.
        return _status(paths, launch(paths, listen, slots, reporter))


def _status(paths: KeeperPaths, state: KeeperState) -> RemoteStatus:
    listen = state.listen
    return RemoteStatus(
        running=True,
        endpoint=state.endpoint,
        slots=state.slots,
        tokens=listen.tokens,
        token_file=str(paths.token("client")) if listen.tokens else "",
        ca_file=str(paths.authority) if listen.tls else "",
    )


def status(reporter: Reporter) -> RemoteStatus:
    """Return how the service of this cache is."""
    require_packages(REMOTE_LOCK, "grpc", reporter)
    import grpc

    from toolchain.actions.store import Store
    from toolchain.engine import open_engine
    from toolchain.images import image_name, project_pins
    from toolchain.remote.blobs import Blobs
    from toolchain.remote.connection import Connection
    from toolchain.remote.keeper import endpoint_of, keeper_paths, read_state
    from toolchain.remote.service import Service

    layout = project_layout()
    paths = keeper_paths(layout)
    state = read_state(paths)
    if state is None:
        return RemoteStatus(running=False)
    found = _status(paths, state)
    with open_engine(layout, reporter) as engine:
        service = Service(engine, image_name("service", project_pins(layout), layout), layout)
        parts = tuple((part.name, part.status) for part in service.status())
    files = [found.token_file, found.ca_file]
    connection = Connection(
        endpoint_of(state.listen), Credentials(*(Path(each) if each else None for each in files))
    )
    try:
        executes = Blobs(connection, Store(layout.store)).capabilities().execution
    except grpc.RpcError:
        return replace(found, running=False, parts=parts)
    finally:
        connection.close()
    return replace(found, parts=parts, executes=executes)


def logs(reporter: Reporter, lines: int) -> str:
    """Return the end of what keeper and containers wrote."""
    require_packages(REMOTE_LOCK, "grpc", reporter)
    from toolchain.engine import open_engine
    from toolchain.images import image_name, project_pins
    from toolchain.remote.keeper import keeper_paths, read_state
    from toolchain.remote.service import Service

    layout = project_layout()
    paths = keeper_paths(layout)
    texts = []
    try:
        said = paths.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        texts.append("\n".join(["== keeper and its worker", *said]))
    except OSError:
        texts.append("the service was never started here")
    if read_state(paths) is not None:
        with open_engine(layout, reporter) as engine:
            service = Service(engine, image_name("service", project_pins(layout), layout), layout)
            texts += [f"== {part}\n{service.log(part, lines).rstrip()}" for part in _PARTS]
    return "\n".join(texts)


def down(reporter: Reporter, *, delete: bool) -> bool:
    """End the service of this cache; return whether it ran.

    Args:
        reporter: told what goes on.
        delete: also remove its state: blobs, results, certificates and the secret of its tokens.

    Raises:
        RemoteServiceError: it does not end.
        ToolchainError: its state is to be removed and there is no engine.
    """
    require_packages(REMOTE_LOCK, "grpc", reporter)
    from toolchain.engine import open_engine
    from toolchain.files import remove_tree
    from toolchain.images import image_name, project_pins
    from toolchain.remote.keeper import end, keeper_paths
    from toolchain.remote.service import Service

    layout = project_layout()
    paths = keeper_paths(layout)
    with reporter.activity("ending the service"):
        ran = end(paths)
    if delete or not ran:
        # A keeper that was killed leaves its containers behind.
        with open_engine(layout, reporter) as engine:
            service = Service(engine, image_name("service", project_pins(layout), layout), layout)
            service.stop()
            if delete:
                service.delete_state()
    if delete:
        remove_tree(paths.folder)
    return ran


def token(reporter: Reporter, role: str, holder: str, days: float) -> str:
    """Return a token for the service of this cache.

    Args:
        reporter: told when packages have to be installed.
        role: ``client``, ``worker`` or ``writer``.
        holder: who gets it; stands in the service's log.
        days: for how long it is good, more than 0.

    Raises:
        RemoteServiceError: it was never started.
        UsageError: a value cannot be used.
    """
    require_packages(REMOTE_LOCK, "grpc", reporter)
    from toolchain.remote.keeper import keeper_paths
    from toolchain.remote.tokens import make_token

    paths = keeper_paths(project_layout())
    try:
        secret = paths.secret.read_text(encoding="ascii")
    except FileNotFoundError:
        raise RemoteServiceError(
            "there is no service whose tokens could be made",
            next_step="start one with: ./invoke remote up",
        ) from None
    return make_token(secret, role, holder, days)


@dataclass(frozen=True)
class WorkerChoice:
    """What a worker is to do.

    Attributes:
        endpoint: of the service that it works for.
        slots: how many actions run at once.
        name: of the worker; empty for one that stays the same.
        credentials: for the service.
    """

    endpoint: Endpoint
    slots: int
    name: str
    credentials: Credentials


def chosen_worker(
    server: str, slots: int, name: str, *, token_file: str, ca_file: str
) -> WorkerChoice:
    """Return what the options mean.

    Raises:
        UsageError: an option cannot be used.
    """
    if not server:
        raise UsageError("--server is missing", next_step="name one: --server grpc://HOST:PORT")
    endpoint = parse_endpoint(server, "--server")
    require_encryption(endpoint, "--server")
    credentials = chosen_remote("none", "none", token_file, ca_file).credentials
    return WorkerChoice(endpoint, slots, name, credentials)


def work(reporter: Reporter, choice: WorkerChoice) -> int:
    """Work for a service until interrupted; return how many actions were finished.

    The first interrupt or SIGTERM lets what runs finish, the second ends it.

    Raises:
        UsageError: the name cannot be used.
        RemoteRefusedError: the service does not let this worker in.
        WorkerError: another worker has its name.
        ToolchainError: there is no engine, or an image cannot be made.
    """
    require_packages(REMOTE_LOCK, "grpc", reporter)
    from toolchain.engine import open_engine
    from toolchain.images import project_pins
    from toolchain.remote.hosted import open_worker

    layout = project_layout()
    with open_engine(layout, reporter) as engine:
        worker = open_worker(
            engine,
            choice.endpoint,
            choice.credentials,
            slots=choice.slots,
            name=choice.name,
            layout=layout,
            pins=project_pins(layout),
            reporter=reporter,
        )

        def drain(_number: int, _frame: FrameType | None) -> None:
            worker.drain()

        before = {
            number: signal.signal(number, drain) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            reporter.note(
                f"working for {choice.endpoint} with {choice.slots} slots; Ctrl-C ends it"
            )
            return worker.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
