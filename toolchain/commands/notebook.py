"""Serves the notebook to a browser on this machine, or makes it anew from its source."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from toolchain.actions.docker_executor import (
    LABEL_OWNER,
    LABEL_PROJECT,
    TMPFS_BYTES,
    command_owner,
)
from toolchain.actions.sandbox import Owner
from toolchain.console import Reporter
from toolchain.engine import Engine, open_engine
from toolchain.errors import StepFailedError, UsageError
from toolchain.files import write_atomically
from toolchain.forwarding import LOOPBACK, forwarded
from toolchain.images import image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.notebook import NOTEBOOK, SOURCE, pair_step
from toolchain.session import open_session

LABEL_NOTEBOOK = "tinyml-toolchain.notebook"
_WORK = "/work"
_RUNTIME = "/run/jupyter"
_SOCKET = "jupyter.sock"
_MEMORY_BYTES = 4 << 30
_START_SECONDS = 120
_LAST_LINES = 12


def pair_notebook(reporter: Reporter) -> Path:
    """Make the notebook from its source and return where it is.

    Raises:
        ToolchainError: the step failed.
    """
    layout = project_layout()
    with open_session(reporter, layout=layout) as session:
        step = pair_step(layout, image_name("notebook", session.pins, layout))
        (digest,) = session.runner.run([step])[step.name].outputs.values()
        write_atomically(layout.project / NOTEBOOK, session.runner.store.get(digest))
    return layout.project / NOTEBOOK


def serve_notebook(
    reporter: Reporter,
    announce: Callable[[str], None],
    *,
    port: int = 0,
    layout: Layout | None = None,
) -> None:
    """Serve the notebook on 127.0.0.1 until interrupted.

    Jupyter runs in the notebook image without network and without any power; it sees ``model/``
    and ``pins.toml`` read-only, and a work copy of the notebook under ``build/notebook``, which
    is kept from one time to the next. It listens on a Unix socket, to which this process forwards
    one port of this machine.

    Args:
        reporter: told what happens.
        announce: called with the address, its token included, once Jupyter answers there.
        port: to listen on; 0 for one that is free.
        layout: the checkout; None for the one that this code belongs to.

    Raises:
        UsageError: the port is taken.
        StepFailedError: Jupyter did not start, or ended.
        ToolchainError: there is no engine, or the image cannot be made.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    layout = layout or project_layout()
    try:
        _serve(reporter, announce, port, layout)
    except (DockerException, RequestException) as error:
        raise StepFailedError(
            "Jupyter's container cannot be run, or is gone",
            why=f"the engine says: {error}",
            next_step="look at the engine with ./invoke doctor, and run the command again; your "
            "copy of the notebook is kept",
        ) from error


def _serve(reporter: Reporter, announce: Callable[[str], None], port: int, layout: Layout) -> None:
    from toolchain.images.ensure import ensure_image

    pins = project_pins(layout)
    with ExitStack() as stack:
        stopped = stack.enter_context(_interruptible())
        engine = stack.enter_context(open_engine(layout, reporter))
        image = image_name("notebook", pins, layout)
        ensure_image(engine, image, layout=layout, pins=pins, reporter=reporter)
        _remove_abandoned(engine, layout)
        owner = command_owner(rootless=engine.rootless)
        server = _Jupyter(engine, image, layout, owner, secrets.token_urlsafe(24))
        # A socket's path may have some 100 characters, which a checkout's folder may exceed.
        runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jupyter-")))
        _give(runtime, owner)
        container = stack.enter_context(server.running(work_copy(layout, owner), runtime))
        try:
            chosen = stack.enter_context(forwarded(runtime / _SOCKET, port))
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be listened on: {os.strerror(error.errno or 0)}",
                next_step="choose another one with --port, or leave it out",
            ) from error
        address = f"http://{LOOPBACK}:{chosen}"
        with reporter.activity("starting Jupyter"):
            _wait_until_it_answers(container, f"{address}/api/status?token={server.token}", stopped)
        announce(f"{address}/lab/tree/{NOTEBOOK.name}?token={server.token}")
        while not stopped.wait(1):
            _check(container)


def work_copy(layout: Layout, owner: Owner) -> Path:
    """Return the folder of the user's own copy of the notebook, made if it is not there."""
    folder = layout.build / "notebook"
    folder.mkdir(parents=True, exist_ok=True)
    _give(folder, owner)
    for path in (NOTEBOOK, SOURCE):
        copy = folder / path.name
        if not copy.exists():
            shutil.copyfile(layout.project / path, copy)
            _give(copy, owner)
    return folder


def _give(path: Path, owner: Owner) -> None:
    """Let the container's user write to ``path``; a rootless engine's root is this user already."""
    if os.geteuid() == 0 and owner.uid != 0:
        os.chown(path, owner.uid, owner.gid)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, so that what was started is ended in order."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            return
        stopped.set()
        raise KeyboardInterrupt

    previous = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)


@dataclass(frozen=True)
class _Jupyter:
    """How Jupyter is run.

    Attributes:
        owner: user inside the container.
        token: what a browser has to know.
    """

    engine: Engine
    image: str
    layout: Layout
    owner: Owner
    token: str

    @contextmanager
    def running(self, work: Path, runtime: Path) -> Iterator[Any]:
        """Run Jupyter on a socket in ``runtime`` and yield its container."""
        from docker.errors import NotFound

        read_only = {self.layout.project / name: name for name in ("model", "pins.toml")}
        container = self.engine.client.containers.create(
            self.image,
            [
                *("/opt/notebook/bin/jupyter-lab", "--no-browser"),
                *(("--allow-root",) if self.owner.uid == 0 else ()),
                *(f"--ServerApp.sock={_RUNTIME}/{_SOCKET}", f"--ServerApp.root_dir={_WORK}"),
            ],
            working_dir=_WORK,
            user=f"{self.owner.uid}:{self.owner.gid}",
            environment={
                "HOME": "/tmp",  # noqa: S108
                "JUPYTER_TOKEN": self.token,
                "LC_ALL": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": "/project",
            },
            labels={
                LABEL_NOTEBOOK: "1",
                LABEL_PROJECT: str(self.layout.project),
                LABEL_OWNER: str(os.getpid()),
            },
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            read_only=True,
            tmpfs={"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={TMPFS_BYTES}"},  # noqa: S108
            mem_limit=_MEMORY_BYTES,
            memswap_limit=_MEMORY_BYTES,
            pids_limit=512,
            init=True,
            volumes=[
                *(f"{path}:/project/{name}:ro" for path, name in read_only.items()),
                *(f"{work}:{_WORK}:rw", f"{runtime}:{_RUNTIME}:rw"),
            ],
            platform=self.engine.foreign_platform,
        )
        try:
            container.start()
            yield container
        finally:
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)


def _remove_abandoned(engine: Engine, layout: Layout) -> None:
    """Remove what a killed command of this checkout left running."""
    from docker.errors import APIError

    labels = [f"{LABEL_NOTEBOOK}=1", f"{LABEL_PROJECT}={layout.project}"]
    for container in engine.client.containers.list(all=True, filters={"label": labels}):
        if not Path("/proc", container.labels.get(LABEL_OWNER, "0")).exists():
            with contextlib.suppress(APIError):
                container.remove(force=True, v=True)


def _wait_until_it_answers(container: Any, address: str, stopped: threading.Event) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            _check(container)
            if time.monotonic() > deadline:
                raise StepFailedError(
                    f"Jupyter did not answer within {_START_SECONDS} s",
                    why=f"{error}; it said last:\n{_said(container)}",
                ) from error
        stopped.wait(0.3)


def _check(container: Any) -> None:
    container.reload()
    if container.status in {"exited", "dead"}:
        raise StepFailedError("Jupyter ended", why=f"it said last:\n{_said(container)}")


def _said(container: Any) -> str:
    return str(container.logs(tail=_LAST_LINES).decode("utf-8", "replace").rstrip())
