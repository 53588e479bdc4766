"""The process behind ``./invoke remote up``: keeps engine, service and worker until told to end.

A private engine lives as long as somebody uses it; this is who does.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from toolchain import flock
from toolchain.console import PlainReporter, Reporter
from toolchain.engine import open_engine
from toolchain.errors import RemoteServiceError, ToolchainError
from toolchain.files import write_atomically
from toolchain.images import image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.quoted import last_lines
from toolchain.remote.blobs import Blobs
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.service import Service
from toolchain.remote.service_config import ROLES, Listen
from toolchain.remote.settings import Credentials
from toolchain.remote.tokens import make_token

START_SECONDS = 120.0
STOP_SECONDS = 90.0
_POLL_SECONDS = 0.2
_LOCK_SECONDS = 2.0
_LOCK_POLL_SECONDS = 0.01
_OWN_TOKEN_DAYS = 3650
_SHOWN_LINES = 8


@dataclass(frozen=True)
class KeeperPaths:
    """Files of a service in the cache; only their owner may read them."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the keeper for as long as it lives."""
        return self.folder / "keeper.lock"

    @property
    def state(self) -> Path:
        """``KeeperState``: written when the service is ready."""
        return self.folder / "state.json"

    @property
    def log(self) -> Path:
        """What the keeper and its workers said."""
        return self.folder / "keeper.log"

    @property
    def secret(self) -> Path:
        """Signs tokens."""
        return self.folder / "token.secret"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that signed the server's."""
        return self.folder / "ca.pem"

    def token(self, role: str) -> Path:
        """Return the file of the token that ``remote up`` makes for a role."""
        return self.folder / f"{role}.token"


def keeper_paths(layout: Layout) -> KeeperPaths:
    """Return where this cache's service has its files."""
    return KeeperPaths(layout.cache / "remote")


@dataclass(frozen=True)
class KeeperState:
    """What a running keeper says of itself.

    Attributes:
        pid: of the process.
        endpoint: address for clients.
        listen: as it was started.
        slots: of its worker; 0 for none.
    """

    pid: int
    endpoint: str
    listen: Listen
    slots: int


def read_state(paths: KeeperPaths) -> KeeperState | None:
    """Return the state of the running keeper; None when none runs, or it is not ready yet."""
    if not is_held(paths.lock):
        return None
    try:
        document = json.loads(paths.state.read_text(encoding="utf-8"))
        return KeeperState(
            int(document["pid"]),
            str(document["endpoint"]),
            Listen(**document["listen"]),
            int(document["slots"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(lock: Path) -> bool:
    """Return whether a process holds the lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return flock.is_held(descriptor)
    finally:
        os.close(descriptor)


def endpoint_of(listen: Listen) -> Endpoint:
    """Return the address by which this machine itself reaches a service."""
    host = "127.0.0.1" if listen.host in {"0.0.0.0", "::"} else listen.host  # noqa: S104
    return Endpoint(host, listen.port, listen.tls)


def launch(paths: KeeperPaths, listen: Listen, slots: int, reporter: Reporter) -> KeeperState:
    """Start a keeper and return its state when the service is ready.

    Raises:
        RemoteServiceError: it ended, or was not ready in time.
    """
    paths.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.state.unlink(missing_ok=True)
    arguments = [sys.executable, "-P", "-c", _MAIN, str(project_layout().project)]
    with paths.log.open("wb") as log:
        process = subprocess.Popen(
            [*arguments, json.dumps({"listen": asdict(listen), "slots": slots})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C in this terminal is not meant for it.
            start_new_session=True,
        )
    try:
        with reporter.activity("starting the service"):
            state = _state_of(process, paths)
    except BaseException:
        # Nobody would know of it, and its session does not get this terminal's Ctrl-C.
        process.terminate()
        raise
    if state is not None:
        return state
    process.terminate()
    said = paths.log.read_text(encoding="utf-8", errors="replace")
    raise RemoteServiceError(
        "the service did not start",
        why=f"it said last:\n{last_lines(said, _SHOWN_LINES)}",
        next_step=f"read {paths.log}",
    )


def _state_of(process: subprocess.Popen[bytes], paths: KeeperPaths) -> KeeperState | None:
    """Return the state of a keeper that was just launched; None when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(paths)
        if state is not None and state.pid == process.pid:
            return state
        time.sleep(_POLL_SECONDS)
    return None


def end(paths: KeeperPaths) -> bool:
    """End the running keeper, what its workers do included; return whether there was one.

    Raises:
        RemoteServiceError: it does not end, or is not ready to be told so.
    """
    state = read_state(paths)
    if state is None:
        if is_held(paths.lock):
            raise RemoteServiceError(
                "the service is being started or ended by another command",
                next_step="wait for it, and try again",
            )
        return False
    deadline = time.monotonic() + STOP_SECONDS
    for number in (signal.SIGTERM, signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, number)
        time.sleep(_POLL_SECONDS)
    while is_held(paths.lock):
        if time.monotonic() > deadline:
            raise RemoteServiceError(
                f"process {state.pid}, which keeps the service, does not end",
                next_step=f"read {paths.log}",
            )
        time.sleep(_POLL_SECONDS)
    return True


_MAIN = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from toolchain.remote.keeper import main; sys.exit(main(sys.argv[2]))"
)


def main(text: str) -> int:
    """Keep a service as ``text`` says; return the exit code."""
    wanted = json.loads(text)
    listen, slots = Listen(**wanted["listen"]), int(wanted["slots"])
    layout, reporter = project_layout(), PlainReporter()
    paths = keeper_paths(layout)
    descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _only_one(descriptor):
        reporter.warning("another keeper runs already")
        return RemoteServiceError.exit_code
    try:
        _keep(layout, paths, listen, slots, reporter)
    except ToolchainError as error:
        reporter.warning(str(error))
        return error.exit_code
    return 0


def _only_one(descriptor: int) -> bool:
    """Return whether this process has the keeper's lock now.

    It is tried for a while: who looks whether it is held, as the command that launched us does,
    hinders us for that moment.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while not flock.try_exclusive(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOCK_POLL_SECONDS)
    return True


def _keep(
    layout: Layout, paths: KeeperPaths, listen: Listen, slots: int, reporter: PlainReporter
) -> None:
    ended = _Ended()
    signal.signal(signal.SIGTERM, ended.handle)
    signal.signal(signal.SIGINT, ended.handle)
    pins = project_pins(layout)
    secret = _secret(paths)
    with open_engine(layout, reporter) as engine:
        service = Service(engine, image_name("service", pins, layout), layout)
        if listen.tls:
            authority = service.make_certificate(endpoint_of(listen).host)
            write_atomically(paths.authority, authority)
        _own_tokens(paths, listen, secret)
        service.start(listen, secret)
        try:
            credentials = _credentials(paths, listen, "worker")
            _wait_until_ready(listen, credentials, layout, ended, service)
            worker = None
            if slots:
                from toolchain.remote.hosted import open_worker

                worker = open_worker(
                    engine,
                    endpoint_of(listen),
                    credentials,
                    slots=slots,
                    name="",
                    layout=layout,
                    pins=pins,
                    reporter=reporter,
                )
                ended.drain = worker.drain
            state = KeeperState(os.getpid(), str(endpoint_of(listen)), listen, slots)
            write_atomically(paths.state, json.dumps(asdict(state)).encode())
            if worker is not None and not ended.said:
                worker.run()
            while not ended.said:
                time.sleep(_POLL_SECONDS)
        finally:
            paths.state.unlink(missing_ok=True)
            service.stop()


class _Ended:
    """Whether the keeper was told to end; the first time what runs is finished."""

    def __init__(self) -> None:
        self.said = False
        self.drain: Callable[[], None] | None = None

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        self.said = True
        if self.drain is not None:
            self.drain()


def _secret(paths: KeeperPaths) -> str:
    try:
        return paths.secret.read_text(encoding="ascii")
    except FileNotFoundError:
        secret = secrets.token_hex(32)
        _write_private(paths.secret, secret)
        return secret


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as target:
        target.write(text)
    temporary.replace(path)


def _own_tokens(paths: KeeperPaths, listen: Listen, secret: str) -> None:
    for role in ROLES:
        if listen.tokens:
            token = make_token(secret, role, "this-machine", _OWN_TOKEN_DAYS)
            _write_private(paths.token(role), token + "\n")
        else:
            paths.token(role).unlink(missing_ok=True)


def _credentials(paths: KeeperPaths, listen: Listen, role: str) -> Credentials:
    return Credentials(
        paths.token(role) if listen.tokens else None, paths.authority if listen.tls else None
    )


def _wait_until_ready(
    listen: Listen, credentials: Credentials, layout: Layout, ended: _Ended, service: Service
) -> None:
    from toolchain.actions.store import Store

    deadline = time.monotonic() + START_SECONDS
    why = ""
    while time.monotonic() < deadline and not ended.said:
        connection = Connection(endpoint_of(listen), credentials)
        try:
            Blobs(connection, Store(layout.store)).capabilities()
        except Exception as error:
            why = str(error)[:300]
            time.sleep(_POLL_SECONDS)
        else:
            return
        finally:
            connection.close()
    said = "\n".join(service.log(part, 5) for part in ("database", "keys", "server"))
    raise RemoteServiceError("the service does not answer", why=f"{why}\n{said}")
