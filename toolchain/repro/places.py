"""Runs a recipe's script under given conditions: in a container, or on this machine itself."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from toolchain.actions.failure import readable_lines
from toolchain.disk import free_bytes
from toolchain.errors import EngineUnavailableError, StepFailedError, StepTimeoutError
from toolchain.repro.recipe import Places, Recipe, script, write_lists
from toolchain.repro.variations import Conditions, processors

if TYPE_CHECKING:
    from toolchain.engine import Engine
    from toolchain.host_tools.tools import HostTools
    from toolchain.layout import Layout

_CLOCK = "clock.so"
_MOST_SECONDS = 1800
_LINES_SHOWN = 20
_TIMER_SLACK_SECONDS = 0.1
_TMPFS_BYTES = 1 << 30
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has a random name
_NEEDED_BYTES = 512 << 20


@dataclass(frozen=True)
class Made:
    """What a run made.

    Attributes:
        outputs: content by the step's name and the output's path.
        facts: what the circumstances were, as read inside.
    """

    outputs: Mapping[tuple[str, PurePosixPath], bytes]
    facts: Mapping[str, str]


class Place(Protocol):
    """Where recipes are run."""

    def run(
        self, recipe: Recipe, conditions: Conditions, image: str, library_sources: str = ""
    ) -> Made:
        """Run ``recipe`` from clean.

        Args:
            recipe: what is built; ``write_lists`` was called for it.
            conditions: of the build.
            image: of the recipe's steps.
            library_sources: what the library is made of; empty for all.

        Raises:
            StepFailedError: a command failed, or none could be started.
            StepTimeoutError: it took too long.
            EngineUnavailableError: the engine stopped answering.
        """


class ContainerPlace:
    """Runs each recipe in a new container, without network, capabilities and new privileges.

    seccomp is off, because it would forbid to switch address randomisation off; and the root can be
    written to, because the outputs are read from it.

    Args:
        engine: that has the images.
        clock: the library that shifts the clock.
        labels: of the containers, by which the next command finds what a killed one left.
    """

    def __init__(
        self, engine: Engine, clock: bytes, labels: Mapping[str, str] | None = None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._labels = dict(labels or {})

    def run(
        self, recipe: Recipe, conditions: Conditions, image: str, library_sources: str = ""
    ) -> Made:
        """Run ``recipe`` in a container; see ``Place``."""
        places = Places(
            inputs="/in",
            work="/varied",
            result="/result",
            tree="/opt/tflm",
            licence="/usr/share/doc/tflm",
            python="/opt/venv/bin/python",
            clock=f"/in/{_CLOCK}",
        )
        (recipe.folder / _CLOCK).write_bytes(self._clock)
        (recipe.folder / _CLOCK).chmod(0o755)
        text = script(recipe, conditions, places, library_sources)
        container = self._create(recipe, conditions, image, text)
        try:
            container.put_archive("/", _folders())
            container.start()
            code = _waited_for(container)
            if code:
                raise _failed(code, container.logs())
            stream, _ = container.get_archive("/result")
            return _made(recipe, b"".join(stream))
        finally:
            container.remove(force=True, v=True)

    def _create(self, recipe: Recipe, conditions: Conditions, image: str, text: str) -> Any:
        environment = dict(conditions.environment)
        # What an image sets itself can only be emptied.
        environment.setdefault("LC_ALL", "")
        setarch = ["setarch", *conditions.arch_options, "--"] if conditions.arch_options else []
        allowed = sorted(os.sched_getaffinity(0))
        tmpfs = {"/tmp": f"rw,exec,mode=1777,size={_TMPFS_BYTES}"}  # noqa: S108 - the container's
        if conditions.in_memory:
            tmpfs["/varied"] = tmpfs["/tmp"]  # noqa: S108 - likewise
        return self._engine.client.containers.create(
            image,
            entrypoint=[*setarch, conditions.make_shell],
            command=["-c", text],
            environment=environment,
            user=f"{conditions.user}:{conditions.group}",
            hostname=conditions.hostname,
            network_mode="none",
            network_disabled=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", "seccomp=unconfined"],
            cpuset_cpus=",".join(map(str, allowed[: conditions.cpus])) if conditions.cpus else None,
            tmpfs=tmpfs,
            volumes=[f"{recipe.folder}:/in:ro,z"],
            healthcheck={"test": ["NONE"]},
            labels=self._labels,
            init=True,
            use_config_proxy=False,
        )


def _waited_for(container: Any) -> int:
    """Return the exit code of a container."""
    import requests.exceptions

    deadline = time.monotonic() + _MOST_SECONDS
    try:
        return int(container.wait(timeout=_MOST_SECONDS)["StatusCode"])
    except requests.exceptions.RequestException as error:
        # The system's timer may fire some milliseconds early.
        if time.monotonic() >= deadline - _TIMER_SLACK_SECONDS:
            raise _too_long() from error
        raise EngineUnavailableError(
            f"the Docker Engine does not answer: {error}", next_step="look at it with: docker info"
        ) from error


def _folders() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("varied", "result"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
    return stream.getvalue()


def _made(recipe: Recipe, result: bytes) -> Made:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(result)) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                files[member.name.partition("/")[2]] = stream.read()
    return Made(
        outputs={
            (step.name, path): files[f"{number}/{path}"]
            for number, step in enumerate(recipe.steps)
            for path in step.outputs
        },
        facts=dict(line.split("=", 1) for line in files["facts"].decode().splitlines()),
    )


def _failed(code: int, output: bytes) -> StepFailedError:
    lines = readable_lines(output)
    step = next((line[3:] for line in reversed(lines) if line.startswith("== ")), "the preparation")
    shown = "\n".join(f"    {line}" for line in lines[-_LINES_SHOWN:])
    return StepFailedError(
        f"step '{step}' failed with exit code {code} in a varied build; the end of what it wrote:\n"
        f"{shown}"
    )


def _too_long() -> StepTimeoutError:
    return StepTimeoutError(
        f"a varied build ran longer than {_MOST_SECONDS} s and was ended",
        why="this machine may be busy with something else",
        next_step="run it again when it is not",
    )


class HostPlace:
    """Runs each recipe on this machine itself, with its tools.

    User, group and the machine's name are changed only where this process may do so; the facts that
    the script reads tell whether they were.

    Args:
        layout: where scratch folders are made.
        tools: that stand in the images' place.
    """

    def __init__(self, layout: Layout, tools: HostTools) -> None:
        self._layout = layout
        self._tools = tools

    def run(
        self, recipe: Recipe, conditions: Conditions, image: str, library_sources: str = ""
    ) -> Made:
        """Run ``recipe`` as a child process; see ``Place``."""
        kind = self._tools.kind(image)
        tool, tree = self._tools.tool(kind), self._tools.tree()
        with _scratch(conditions, self._layout) as folder:
            clock = _compiled_clock(folder) if conditions.clock_shift else ""
            places = Places(
                inputs=str(recipe.folder),
                work=str(folder / "work"),
                result=str(folder / "result"),
                tree=str(tree.folder),
                licence=str(tree.licence),
                python=str(tool.program) if kind == "train" else "",
                clock=clock,
            )
            text = script(recipe, conditions, places, library_sources)
            output = io.BytesIO()
            read = (str(recipe.folder), places.tree, places.licence)
            code = self._run(_changes(conditions, places.work, read), conditions, text, output)
            if code:
                raise _failed(code, output.getvalue())
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as archive:
                archive.add(folder / "result", "result")
            return _made(recipe, stream.getvalue())

    def _run(
        self, changes: list[str], conditions: Conditions, text: str, output: io.BytesIO
    ) -> int:
        environment = {**conditions.environment, "PATH": self._tools.path}
        command = [*changes, conditions.make_shell, "-c", text]
        allowed = sorted(os.sched_getaffinity(0))
        try:
            process = subprocess.Popen(
                command,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailedError(
                f"a varied build cannot begin: {command[0]}: {os.strerror(error.errno or 0)}",
                next_step="install that program, or name the other variations with --vary",
            ) from error
        if conditions.cpus:
            os.sched_setaffinity(process.pid, allowed[: conditions.cpus])
        try:
            output.write(process.communicate(timeout=_MOST_SECONDS)[0])
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _too_long() from error
            raise
        return process.returncode


@contextlib.contextmanager
def _scratch(conditions: Conditions, layout: Layout) -> Iterator[Path]:
    parent = layout.cache
    # Docker gives a container 64 MiB of it, in which no build has room.
    if conditions.in_memory and _has_room(_MEMORY):
        parent = _MEMORY
    folder = Path(tempfile.mkdtemp(prefix="repro-", dir=parent))
    try:
        folder.chmod(0o755)
        for name in ("work", "result"):
            (folder / name).mkdir()
            (folder / name).chmod(0o1777)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK) and free_bytes(folder) >= _NEEDED_BYTES
    except OSError:
        return False


def _changes(conditions: Conditions, work: str, read: tuple[str, ...]) -> list[str]:
    """Return the programs that change what the script cannot change itself.

    Args:
        conditions: what to change.
        work: folder that must stay writable.
        read: folders that must stay readable.
    """
    command: list[str] = []
    if conditions.hostname != Conditions.hostname and os.geteuid() == 0:
        unshare = ["unshare", "--uts", "sh", "-c"]
        if _works([*unshare, "hostname probe"]):
            command += [*unshare, f'hostname {conditions.hostname}; exec "$@"', "sh"]
    for option in conditions.arch_options:
        # One by one: a container may forbid one and allow the other.
        if _works(["setarch", option, "--", "true"]):
            command += ["setarch", option, "--"]
    if os.geteuid() == 0:
        identity = [f"--reuid={conditions.user}", f"--regid={conditions.group}", "--clear-groups"]
        # Another user may not get to root's cache.
        tests = [["test", "-w", work], *(["test", "-r", folder] for folder in read)]
        if all(_works(["setpriv", *identity, *test]) for test in tests):
            command += ["setpriv", *identity]
    return command


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _compiled_clock(folder: Path) -> str:
    """Return the library that shifts the clock; empty where there is no C compiler for it."""
    source, target = Path(__file__).with_name("clock.c"), folder / _CLOCK
    for compiler in ("cc", "gcc", "x86_64-linux-gnu-gcc"):
        if _works([compiler, "-O1", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl"]):
            target.chmod(0o755)
            return str(target)
    return ""


__all__ = ["ContainerPlace", "HostPlace", "Made", "Place", "processors", "write_lists"]
