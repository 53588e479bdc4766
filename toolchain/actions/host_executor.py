"""Runs actions on this machine itself, without isolation.

It is for places where Docker cannot be had, such as the inside of a development container. The
commands are those of the sandbox; what they name by the sandbox's places is given by this machine's
(``/project``, ``/out`` and ``/tmp`` by folders of a scratch folder, ``/opt/tflm`` by the pinned
tree, ``/opt/venv/bin/python`` by a Python with TensorFlow). The outputs are the same bytes, because
the Makefile keeps all places out of them; ``./invoke repro`` proves that.

A command sees its arguments' environment, ``PATH``, and nothing else of the user's. It can reach
the network and every file of the user; memory and processes are not limited.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from toolchain.actions.action import PreparedAction
from toolchain.actions.capture import Capture, keep_log, log_path
from toolchain.actions.executor import Execution
from toolchain.actions.failure import step_failure
from toolchain.actions.model import Maker, Step
from toolchain.actions.sandbox import Owner, Sandbox, remove_abandoned
from toolchain.actions.store import Store
from toolchain.disk import disk_full
from toolchain.errors import (
    CancelledError,
    StepFailedError,
    StepTimeoutError,
    UnpinnedToolError,
    UsageError,
)
from toolchain.layout import CACHE_VARIABLE, Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter
    from toolchain.host_tools.tools import HostTools

_CHUNK_BYTES = 1 << 16
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+-]+")
# A place of the sandbox where a path begins: not inside another path.
_PLACE = r"(?<![A-Za-z0-9_./-]){}(?![A-Za-z0-9_.-])"
_PAUSE_SECONDS = 0.02
_DRAIN_SECONDS = 10


class HostExecutor:
    """Runs each action as a child process in a process group of its own.

    Args:
        layout: where sandboxes and logs go.
        store: where inputs come from and outputs go.
        reporter: told that nothing is isolated.
        tools: what stands in the images' place.
        allow_unpinned: whether other tools than the pinned ones may be used.

    Raises:
        UsageError: make could not work in the cache's folder.
    """

    def __init__(
        self,
        layout: Layout,
        store: Store,
        reporter: Reporter,
        tools: HostTools,
        *,
        allow_unpinned: bool = False,
    ) -> None:
        if not _PLAIN_PATH.fullmatch(str(layout.sandboxes)):
            raise UsageError(
                f"the host engine cannot work in {layout.sandboxes}",
                why="make takes no path with spaces or special characters",
                next_step=f"let {CACHE_VARIABLE} name a folder without them",
            )
        self._layout = layout
        self._store = store
        self._tools = tools
        self._allow_unpinned = allow_unpinned
        self._guard = threading.Lock()
        self._cancelled = False
        self._running: set[subprocess.Popen[bytes]] = set()
        removed = remove_abandoned(layout.sandboxes, lambda _: None)
        if removed:
            reporter.note(f"removed what {len(removed)} interrupted step(s) left behind")
        reporter.warning(
            "isolation is off: steps run on this machine itself, with its network, all its files "
            "and the tools on PATH"
        )
        self._reporter = reporter

    def prepare(self, images: Collection[str]) -> None:
        """Find the tools that stand in the place of ``images``.

        Raises:
            UnpinnedToolError: there are none, or they are others than the pinned ones and are not
                allowed, or they are others than the step's key names.
        """
        for image in images:
            self._find_tool(image)

    def _find_tool(self, image: str) -> None:
        kind = self._tools.kind(image)
        tool = self._tools.tool(kind)
        if tool.pinned:
            return
        if not self._allow_unpinned:
            raise UnpinnedToolError(
                f"{tool.program} is not the pinned tool",
                why=tool.differs,
                next_step="use --engine docker, or --engine host --allow-unpinned for firmware "
                "with other bytes",
            )
        if image != self._tools.image(kind):
            raise UnpinnedToolError(
                f"{tool.program} is not the pinned tool, so that its results need another key",
                next_step="this is a mistake of the toolchain: please report it",
            )
        self._reporter.warning(
            f"{tool.program} is not the pinned tool: {tool.differs}; the outputs will have other "
            "bytes than everybody else's"
        )

    def run(self, action: PreparedAction, progress: Callable[[str], None]) -> Execution:
        """Run ``action`` as a child process; see ``Executor.run``."""
        with Sandbox(self._layout.sandboxes) as sandbox:
            sandbox.lay_out(action.tree, self._store, Owner(os.geteuid(), os.getegid()))
            (sandbox.folder / "tmp").mkdir()
            capture = Capture(sandbox.log, progress)
            log = log_path(self._layout, action.step.name)
            try:
                code = self._execute(action.step, sandbox, capture)
            finally:
                keep_log(sandbox.log, log)
            if code != 0:
                raise step_failure(
                    action.step.name,
                    code,
                    output=capture.tail(),
                    error_output=capture.error_tail(),
                    log=log,
                )
            tool = self._tools.tool(self._tools.kind(action.step.image))
            return Execution(
                sandbox.collect(action, self._store),
                Maker("host", isolated=False, pinned=tool.pinned),
            )

    def cancel(self) -> None:
        """Kill every command with all its children; from now on none is started."""
        with self._guard:
            self._cancelled = True
            for process in self._running:
                _kill(process)

    def close(self) -> None:
        """End what runs."""
        self.cancel()

    def _execute(self, step: Step, sandbox: Sandbox, capture: Capture) -> int:
        places = self._places(step, sandbox)
        arguments = [replace_places(argument, places) for argument in step.arguments]
        if PurePosixPath(step.arguments[0]).name == "make":
            arguments += make_variables(places, self._tools)
        environment = {
            **step.full_environment,
            "PATH": self._tools.path,
            "HOME": str(sandbox.folder / "tmp"),
            "TMPDIR": str(sandbox.folder / "tmp"),
        }
        deadline = time.monotonic() + step.timeout_seconds
        folder = replace_places(step.working_directory, places)
        process = self._start(step, arguments, folder, environment)
        reader = threading.Thread(target=capture.read, args=(_chunks(process),), daemon=True)
        reader.start()
        try:
            ended = _wait(process, deadline)
        finally:
            # Whatever the command left running must not write while outputs are collected. Only
            # now is the process waited for: until then its number means no other one.
            with self._guard:
                self._running.discard(process)
                _kill(process)
            code = process.wait()
            # Not for ever: what left the process group may have the pipes open still.
            reader.join(_DRAIN_SECONDS)
        if self._cancelled:
            raise CancelledError(f"step '{step.name}' was stopped; nothing of it is left")
        if not ended:
            raise StepTimeoutError(
                f"step '{step.name}' ran longer than {step.timeout_seconds} s and was ended",
                why="this machine may be busy with something else, or the step never ends",
                next_step=f"read what it wrote in {log_path(self._layout, step.name)}, and run it "
                "again",
            )
        if capture.failure is not None and code == 0:
            raise disk_full(sandbox.folder) from capture.failure
        return code

    def _start(
        self, step: Step, arguments: list[str], folder: str, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._cancelled:
                raise CancelledError(f"step '{step.name}' was stopped; nothing of it is left")
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    umask=0o022,
                )
            except OSError as error:
                raise StepFailedError(
                    f"step '{step.name}' could not be started: {os.strerror(error.errno or 0)}",
                    why=f"{arguments[0]} cannot be run in {folder}",
                    next_step="look at PATH",
                ) from error
            self._running.add(process)
            return process

    def _places(self, step: Step, sandbox: Sandbox) -> Mapping[str, str]:
        places = {
            "/project": str(sandbox.project),
            "/out": str(sandbox.out),
            "/tmp": str(sandbox.folder / "tmp"),  # noqa: S108 - the sandbox's own
        }
        if self._tools.kind(step.image) == "train":
            places["/opt/venv/bin/python"] = str(self._tools.tool("train").program)
        elif step.working_directory == "/opt/tflm":
            places["/opt/tflm"] = str(self._tools.tree().folder)
        return places


def replace_places(text: str, places: Mapping[str, str]) -> str:
    """Return ``text`` with this machine's paths where it names places of the sandbox."""
    pattern = _PLACE.format("(" + "|".join(map(re.escape, places)) + ")")
    return re.sub(pattern, lambda match: places[match[1]], text)


def make_variables(places: Mapping[str, str], tools: HostTools) -> list[str]:
    """Return how make is told where things are that its arguments do not name."""
    return [f"PROJECT={places['/project']}", f"LICENCE_DIR={tools.tree().licence}"]


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield what a process writes to its two outputs, until both are closed."""
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                source = key.fileobj
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(source)
                    _close(source)
                elif source is process.stdout:
                    yield chunk, None
                else:
                    yield None, chunk


def _close(stream: IO[bytes] | int | object) -> None:
    if not isinstance(stream, int):
        stream.close()  # type: ignore[attr-defined]


def _wait(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Return whether the process ends before ``deadline``; it stays a zombie when it does."""
    while True:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was not waited for, and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
