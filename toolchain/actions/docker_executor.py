"""Runs actions in containers of a local Docker Engine.

What a command can reach is its image (read-only), its inputs (read-only), ``/out`` and a tmpfs on
``/tmp``. It has no network, no capability, no way to gain privileges and no power of root; memory,
processes and time are limited.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import docker.errors
import docker.types
import requests.exceptions

from toolchain.actions.action import PreparedAction
from toolchain.actions.capture import Capture, keep_log, log_path
from toolchain.actions.executor import Execution
from toolchain.actions.failure import step_failure
from toolchain.actions.model import IN_DOCKER, OUTPUT_FOLDER, PROJECT_FOLDER, Step
from toolchain.actions.sandbox import Owner, Sandbox, remove_abandoned
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.disk import MINIMUM_FREE_BYTES, disk_full, free_bytes
from toolchain.errors import (
    CancelledError,
    EngineUnavailableError,
    StepFailedError,
    StepTimeoutError,
    ToolchainError,
)
from toolchain.layout import Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter

LABEL_CACHE = "tinyml-toolchain.cache"
LABEL_PROJECT = "tinyml-toolchain.project"
LABEL_SANDBOX = "tinyml-toolchain.sandbox"
LABEL_OWNER = "tinyml-toolchain.owner-pid"

HOSTNAME = "sandbox"
UNPRIVILEGED = Owner(65534, 65534)
TMPFS_BYTES = 1 << 30
_DRAIN_SECONDS = 10
_TIMER_SLACK_SECONDS = 0.1
# The engine went away, or the container was removed under us: the waiting side tells.
_GONE = (docker.errors.DockerException, requests.exceptions.RequestException, ValueError)


def command_owner(*, rootless: bool) -> Owner:
    """Return the user that commands run as.

    That is the invoking user, so that a file in ``/out`` is theirs; nobody when root invokes; and a
    rootless engine's root, which is the invoking user outside.
    """
    if rootless:
        return Owner(0, 0)
    if os.geteuid() == 0:
        return UNPRIVILEGED
    return Owner(os.geteuid(), os.getegid())


@dataclass(frozen=True)
class _End:
    """How a container ended."""

    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True)
class CommandEnd:
    """How a step's command ended.

    Attributes:
        exit_code: 0 for success.
        outputs: by path relative to ``/out``; empty unless it succeeded.
        output: the end of what it wrote, both streams.
        error_output: the end of what it wrote to standard error.
        why: the cause of a failure, where something else than the exit code tells it.
    """

    exit_code: int
    outputs: Mapping[PurePosixPath, Digest]
    output: bytes
    error_output: bytes
    why: str


class DockerExecutor:
    """Runs each action in a container of its own, which is always removed.

    Args:
        client: a ``docker.DockerClient`` of an engine that sees this machine's files.
        layout: where sandboxes and logs go.
        store: where inputs come from and outputs go.
        reporter: told about what earlier, killed runs left behind.
        rootless: whether the engine runs without root.
        ensure_images: makes images of these names available or raises; by default they must be
            there.

    Raises:
        EngineUnavailableError: the engine does not answer.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        layout: Layout,
        store: Store,
        reporter: Reporter,
        *,
        rootless: bool = False,
        ensure_images: Callable[[Collection[str]], object] | None = None,
    ) -> None:
        self._api = client.api
        self._layout = layout
        self._store = store
        self._reporter = reporter
        self._owner = command_owner(rootless=rootless)
        self._ensure_images = ensure_images or self._require_images
        self._guard = threading.Lock()
        self._cancelled = False
        self._running: set[str] = set()
        self._remove_leftovers()

    def prepare(self, images: Collection[str]) -> None:
        """Make ``images`` available."""
        self._ensure_images(images)

    def run(self, action: PreparedAction, progress: Callable[[str], None]) -> Execution:
        """Run ``action`` in a new container; see ``Executor.run``.

        Raises:
            EngineUnavailableError: the engine stopped answering.
        """
        end = self.run_to_end(action, progress)
        if end.exit_code != 0:
            raise self._failure(action.step, end)
        return Execution(end.outputs, IN_DOCKER)

    def run_to_end(self, action: PreparedAction, progress: Callable[[str], None]) -> CommandEnd:
        """Run ``action`` as ``run`` does, and return how its command ended, well or badly.

        Raises:
            StepFailedError: it could not be started, or an output is missing or no regular file.
            EngineUnavailableError: the engine stopped answering.
            StepTimeoutError, DiskFullError, CancelledError: as ``run``.
        """
        with Sandbox(self._layout.sandboxes) as sandbox:
            sandbox.lay_out(action.tree, self._store, self._owner)
            capture = Capture(sandbox.log, progress, _GONE)
            try:
                end = self._execute(action.step, sandbox, capture)
            finally:
                keep_log(sandbox.log, self._log(action.step))
            why = self._cause(action.step, end, capture) if end.exit_code else ""
            outputs = {} if end.exit_code else sandbox.collect(action, self._store)
        return CommandEnd(end.exit_code, outputs, capture.tail(), capture.error_tail(), why)

    def cancel(self) -> None:
        """Kill and remove every container; from now on none is started."""
        with self._guard:
            self._cancelled = True
            running = tuple(self._running)
        for name in running:
            self._remove(name)

    def close(self) -> None:
        """End what runs."""
        self.cancel()

    def _log(self, step: Step) -> Path:
        return log_path(self._layout, step.name)

    def _execute(self, step: Step, sandbox: Sandbox, capture: Capture) -> _End:
        name = f"tinyml-step-{sandbox.identity}"
        deadline = time.monotonic() + step.timeout_seconds
        with self._guard:
            if self._cancelled:
                raise _cancelled(step)
            self._running.add(name)
        try:
            with self._engine_errors(step, deadline):
                self._create(name, step, sandbox)
                # From here on cancel finds the container; before, it may have looked too early.
                if self._cancelled:
                    raise _cancelled(step)
                stream = self._api.attach(name, stream=True, logs=False, demux=True)
                reader = threading.Thread(target=capture.read, args=(stream,), daemon=True)
                reader.start()
                self._api.start(name)
                end = self._wait(name, deadline)
                reader.join(_DRAIN_SECONDS)
            if self._cancelled:
                raise _cancelled(step)
            if capture.failure is not None and end.exit_code == 0:
                # Only a full disk keeps the log from being written.
                raise disk_full(sandbox.folder) from capture.failure
            return end
        finally:
            self._remove(name)
            with self._guard:
                self._running.discard(name)

    def _create(self, name: str, step: Step, sandbox: Sandbox) -> None:
        mounts = [
            docker.types.Mount(str(target), str(source), type="bind", read_only=read_only)
            for target, source, read_only in (
                (PROJECT_FOLDER, sandbox.project, True),
                (OUTPUT_FOLDER, sandbox.out, False),
            )
        ]
        host: dict[str, Any] = self._api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            read_only=True,
            # Executable as /out is: the C++ tests of a model are built and run.
            tmpfs={"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={TMPFS_BYTES}"},  # noqa: S108
            mounts=mounts,
            mem_limit=step.memory_bytes,
            memswap_limit=step.memory_bytes,
            pids_limit=step.pids,
            ulimits=[docker.types.Ulimit(name="core", soft=0, hard=0)],
            log_config=docker.types.LogConfig(type="none"),
            init=True,
        )
        self._api.create_container(
            image=step.image,
            # An image's own entry point would be put before the command.
            entrypoint=[step.arguments[0]],
            command=list(step.arguments[1:]),
            environment=step.full_environment,
            working_dir=step.working_directory,
            user=f"{self._owner.uid}:{self._owner.gid}",
            hostname=HOSTNAME,
            network_disabled=True,
            healthcheck={"test": ["NONE"]},
            labels={
                LABEL_CACHE: str(self._layout.cache),
                LABEL_PROJECT: str(self._layout.project),
                LABEL_SANDBOX: sandbox.identity,
                LABEL_OWNER: str(os.getpid()),
            },
            # By default the SDK hands on the proxies of the user's Docker configuration.
            use_config_proxy=False,
            host_config=host,
            name=name,
        )

    def _wait(self, name: str, deadline: float) -> _End:
        self._api.wait(name, timeout=max(math.ceil(deadline - time.monotonic()), 1))
        state = self._api.inspect_container(name)["State"]
        return _End(int(state["ExitCode"]), bool(state["OOMKilled"]))

    @contextmanager
    def _engine_errors(self, step: Step, deadline: float) -> Iterator[None]:
        try:
            yield
        except docker.errors.ImageNotFound as error:
            raise _image_missing(step.image) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            if self._cancelled:
                raise _cancelled(step) from error
            # The system's timer may fire some milliseconds early.
            if time.monotonic() >= deadline - _TIMER_SLACK_SECONDS:
                raise StepTimeoutError(
                    f"step '{step.name}' ran longer than {step.timeout_seconds} s and was ended",
                    why="this machine may be busy with something else, or the step never ends",
                    next_step=f"read what it wrote in {self._log(step)}, and run it again",
                ) from error
            raise _engine_error(step, error, self._layout.cache) from error

    def _cause(self, step: Step, end: _End, capture: Capture) -> str:
        """Return why a command failed, where something else than its exit code tells.

        Raises:
            DiskFullError: no space is left.
        """
        if end.out_of_memory:
            return f"it needed more memory than its limit of {step.memory_bytes >> 20} MiB"
        if b"No space left on device" in capture.tail():
            if free_bytes(self._layout.cache) < MINIMUM_FREE_BYTES:
                raise disk_full(self._layout.cache)
            return f"it filled /tmp, which holds {TMPFS_BYTES >> 20} MiB"
        return ""

    def _failure(self, step: Step, end: CommandEnd) -> ToolchainError:
        return step_failure(
            step.name,
            end.exit_code,
            output=end.output,
            error_output=end.error_output,
            log=self._log(step),
            why=end.why,
        )

    def _remove(self, name: str) -> None:
        try:
            self._api.remove_container(name, force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:  # being removed already, by cancel or by us
                self._reporter.warning(f"the container {name} could not be removed: {error}")
            else:
                self._wait_until_gone(name)
        except requests.exceptions.RequestException as error:
            self._reporter.warning(
                f"the container {name} could not be removed ({error}); the next build will do it"
            )

    def _wait_until_gone(self, name: str) -> None:
        try:
            self._api.wait(name, timeout=_DRAIN_SECONDS, condition="removed")
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return

    def _require_images(self, images: Collection[str]) -> None:
        for image in images:
            try:
                self._api.inspect_image(image)  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound as error:
                raise _image_missing(image) from error
            except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
                raise _unreachable(error) from error

    def _remove_leftovers(self) -> None:
        try:
            containers = self._api.containers(
                all=True, filters={"label": f"{LABEL_CACHE}={self._layout.cache}"}
            )
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise _unreachable(error) from error
        by_sandbox = {item["Labels"].get(LABEL_SANDBOX, ""): item["Id"] for item in containers}
        # A container whose sandbox folder has gone altogether belongs to nobody either.
        for identity, container in by_sandbox.items():
            if identity and not (self._layout.sandboxes / f"{identity}.lock").exists():
                self._remove(container)

        def end(identity: str) -> None:
            if identity in by_sandbox:
                self._remove(by_sandbox[identity])

        removed = remove_abandoned(self._layout.sandboxes, end)
        if removed:
            self._reporter.note(f"removed what {len(removed)} interrupted step(s) left behind")


def _cancelled(step: Step) -> CancelledError:
    return CancelledError(f"step '{step.name}' was stopped; nothing of it is left")


def _image_missing(image: str) -> StepFailedError:
    return StepFailedError(
        f"the image {image} is not in the Docker Engine",
        why="it may have been removed, or belong to another engine",
        next_step="make it with: ./invoke images",
    )


def _unreachable(error: Exception) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"the Docker Engine does not answer: {error}",
        next_step="look at it with: docker info",
    )


def _engine_error(step: Step, error: Exception, folder: Path) -> ToolchainError:
    if not isinstance(error, docker.errors.APIError):
        return _unreachable(error)
    explanation = str(error.explanation or error)
    if "no space left on device" in explanation:
        return disk_full(folder)
    return StepFailedError(
        f"step '{step.name}' could not be started: {explanation}",
        why="the Docker Engine refused its container or its command",
        next_step="look at the engine with: docker info",
    )
