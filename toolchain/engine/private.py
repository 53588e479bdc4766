"""A Docker Engine of our own: own socket, data, run folder and containerd; shared by commands.

The commands that use it hold a shared lock each; who leaves last stops it. A command that was
killed leaves an engine behind that the next one uses and stops, or files that the next one clears.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from toolchain.console import Reporter
from toolchain.errors import EngineUnavailableError
from toolchain.flock import try_exclusive
from toolchain.layout import Layout

START_SECONDS = 60.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_PING_SECONDS = 5.0
_LOG_LINES = 5
# containerd takes 104 bytes for a socket, of the 107 that sun_path holds; the longest one that
# dockerd makes below its exec root is <exec>/containerd/containerd-debug.sock or
# <exec>/libnetwork/<12 digits>.sock.
_MAX_RUN_BYTES = 104 - len("/exec/containerd/containerd-debug.sock")
_SHORT_RUN_ROOT = Path("/run")
_SPECIAL = frozenset("#?;%")
"""What means something else in the address unix://..."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")
"""How the kernel writes spaces, line ends and backslashes in its list of mounts."""


@dataclass(frozen=True)
class PrivatePaths:
    """Files of a private engine.

    Attributes:
        folder: data, log and locks; in the cache.
        run: socket, pid file and exec root; short enough for Unix sockets.
    """

    folder: Path
    run: Path

    @property
    def socket(self) -> Path:
        """The engine's API socket."""
        return self.run / "docker.sock"

    @property
    def pid_file(self) -> Path:
        """Written by dockerd."""
        return self.run / "dockerd.pid"

    @property
    def exec_root(self) -> Path:
        """Run-time state of dockerd and its containerd."""
        return self.run / "exec"

    @property
    def data(self) -> Path:
        """Images and containers."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What dockerd said since its start."""
        return self.folder / "dockerd.log"


def private_paths(layout: Layout) -> PrivatePaths:
    """Return where this cache's engine keeps its files."""
    folder = layout.engine
    run = folder / "run"
    if len(os.fsencode(run)) > _MAX_RUN_BYTES or not _SPECIAL.isdisjoint(str(run)):
        short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        run = _SHORT_RUN_ROOT / f"tinyml-{short}"
    return PrivatePaths(folder, run)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PING_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def answers(path: Path) -> bool:
    """Return whether a Docker Engine answers at the Unix socket ``path``."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def private_engine(
    layout: Layout, dockerd: Path, reporter: Reporter, environ: Mapping[str, str]
) -> Iterator[Path]:
    """Run a private engine, or share the one that another command runs.

    Args:
        layout: tells the cache.
        dockerd: the program.
        reporter: told about start and waiting.
        environ: environment for dockerd; its proxies serve pulls.

    Yields:
        The engine's Unix socket.

    Raises:
        EngineUnavailableError: dockerd ended or did not answer in time.
    """
    paths = private_paths(layout)
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (paths.folder / "users.lock").open("a") as users, _termination_raises():
        try:
            with _exclusive(paths.folder / "start.lock", reporter):
                fcntl.flock(users, fcntl.LOCK_SH)
                if not answers(paths.socket):
                    _clear(paths)
                    _start(paths, dockerd, reporter, environ)
            yield paths.socket
        finally:
            with _exclusive(paths.folder / "start.lock", reporter):
                if try_exclusive(users):
                    stop(paths)
                else:
                    fcntl.flock(users, fcntl.LOCK_UN)


@contextmanager
def _exclusive(path: Path, reporter: Reporter) -> Iterator[None]:
    with path.open("a") as guard:
        if not try_exclusive(guard):
            with reporter.activity("another command starts or stops the private Docker Engine"):
                fcntl.flock(guard, fcntl.LOCK_EX)
        yield


@contextmanager
def _termination_raises() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that the engine is stopped on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    changed = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
            changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _arguments(paths: PrivatePaths, dockerd: Path) -> list[str]:
    known = subprocess.run(
        [str(dockerd), "--help"], capture_output=True, text=True, check=False
    ).stdout
    # No network of its own: nothing of the machine's firewall or routing is touched.
    wanted = [
        ("--bridge", ["--bridge", "none"]),
        ("--iptables", ["--iptables=false"]),
        ("--ip6tables", ["--ip6tables=false"]),
        ("--ip-forward", ["--ip-forward=false"]),
        # When it finds the system's containerd it uses that one: keep apart from the system's.
        ("--containerd-namespace", ["--containerd-namespace", "tinyml-toolchain"]),
        (
            "--containerd-plugins-namespace",
            ["--containerd-plugins-namespace", "tinyml-toolchain-plugins"],
        ),
    ]
    arguments = [
        *(str(dockerd), "--host", f"unix://{paths.socket}", "--data-root", str(paths.data)),
        *("--exec-root", str(paths.exec_root), "--pidfile", str(paths.pid_file)),
    ]
    for option, values in wanted:
        if option in known:
            arguments.extend(values)
    return arguments


def _start(
    paths: PrivatePaths, dockerd: Path, reporter: Reporter, environ: Mapping[str, str]
) -> None:
    with paths.log.open("wb") as log:
        process = _launch(_arguments(paths, dockerd), log, environ)
    deadline = time.monotonic() + START_SECONDS
    try:
        with reporter.activity("starting a private Docker Engine"):
            while not answers(paths.socket):
                if process.poll() is not None:
                    raise _not_started(paths, f"dockerd ended with {process.returncode}")
                if time.monotonic() > deadline:
                    raise _not_started(paths, f"it did not answer within {START_SECONDS:.0f} s")
                time.sleep(_POLL_SECONDS)
    except BaseException:
        _terminate(process.pid)
        _clear(paths)
        raise


def _launch(
    arguments: list[str], log: IO[bytes], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C must reach the command only, which then stops the engine.
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        start_new_session=True,
    )


def _not_started(paths: PrivatePaths, why: str) -> EngineUnavailableError:
    lines = paths.log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = "".join(f"\n    {line}" for line in lines[-_LOG_LINES:])
    return EngineUnavailableError(
        "a private Docker Engine could not be started",
        why=f"{why}; it said last:{said}" if said else why,
        next_step=f"read {paths.log}; inside a container, run that one privileged or give it "
        "the host's Docker socket",
    )


def engine_pid(paths: PrivatePaths) -> int | None:
    """Return the process that runs this engine, or None.

    The pid file alone proves nothing after a crash: the number may be another process by now.
    """
    try:
        pid = int(paths.pid_file.read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(paths.pid_file) in command and _alive(pid) else None


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _terminate(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    return
            except ChildProcessError:
                pass  # another command started it
            if not _alive(pid):
                return
            time.sleep(_POLL_SECONDS)


def stop(paths: PrivatePaths) -> None:
    """Stop this engine, and only it, and clear its run folder; nothing when none runs."""
    pid = engine_pid(paths)
    if pid is not None:
        _terminate(pid)
    _clear(paths)


def _clear(paths: PrivatePaths) -> None:
    """Remove what an engine left behind, so that dockerd does not take it for a running one."""
    pid = engine_pid(paths)
    if pid is not None:
        _terminate(pid)
    _kill_orphans(paths.exec_root)
    _unmount_below(paths.run)
    _unmount_below(paths.data)
    for path in (paths.socket, paths.pid_file):
        path.unlink(missing_ok=True)
    shutil.rmtree(paths.exec_root, ignore_errors=True)


def _kill_orphans(exec_root: Path) -> None:
    """Kill the containers of an engine that was killed itself, and what minds them.

    Nothing else would end them: the next engine starts without knowing of them.
    """
    inside = os.fsencode(exec_root) + b"/"
    parents, doomed = {}, set[int]()
    for entry in Path("/proc").iterdir():
        try:
            pid = int(entry.name)
            parents[pid] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if any(argument.startswith(inside) for argument in arguments):
            doomed.add(pid)
    while children := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= children
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def mounts_below(folder: Path) -> list[Path]:
    """Return the mount points at or below ``folder``, the innermost first."""
    try:
        lines = Path("/proc/self/mounts").read_bytes().split(b"\n")
    except OSError:
        return []
    # Bytes: a mount point of somebody else's may have a name in any encoding.
    points = [
        Path(os.fsdecode(_ESCAPE.sub(_unescaped, line.split(b" ")[1]))) for line in lines if line
    ]
    inside = {point for point in points if point.is_relative_to(folder)}
    return sorted(inside, key=lambda point: len(point.parts), reverse=True)


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])


def _unmount_below(folder: Path) -> None:
    for point in mounts_below(folder):
        arguments = [shutil.which("umount") or "/bin/umount", "--lazy", str(point)]
        subprocess.run(arguments, capture_output=True, check=False)
