"""What the tests of ``toolchain.actions`` share: a reporter, and an executor on the host."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from toolchain.actions.action import PreparedAction
from toolchain.actions.executor import Execution
from toolchain.actions.failure import step_failure
from toolchain.actions.model import Input, Maker, Step
from toolchain.actions.sandbox import Owner, Sandbox
from toolchain.actions.store import Store
from toolchain.errors import CancelledError
from toolchain.layout import Layout

P = PurePosixPath


class RecordingActivity:
    def update(self, text: str) -> None:
        pass


class RecordingReporter:
    """Keeps every line; satisfies ``toolchain.console.Reporter``."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def activity(self, text: str) -> Iterator[RecordingActivity]:
        del text
        yield RecordingActivity()


class HostExecutor:
    """Runs commands on this machine, without isolation: in the input tree, with ``OUT`` set."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout = layout
        self._store = store
        self._guard = threading.Lock()
        self._cancelled = False
        self._processes: set[subprocess.Popen[bytes]] = set()
        self.prepared: list[tuple[str, ...]] = []
        self.ran: list[str] = []
        self.spans: dict[str, tuple[float, float]] = {}
        self.closed = False

    def prepare(self, images: Collection[str]) -> None:
        self.prepared.append(tuple(images))

    def run(self, action: PreparedAction, progress: Callable[[str], None]) -> Execution:
        step, started = action.step, time.monotonic()
        with Sandbox(self._layout.sandboxes) as sandbox:
            sandbox.lay_out(action.tree, self._store, Owner(os.geteuid(), os.getegid()))
            with self._guard:
                if self._cancelled:
                    raise CancelledError("cancelled")
                process = subprocess.Popen(
                    step.arguments,
                    cwd=sandbox.project,
                    env={**os.environ, **step.full_environment, "OUT": str(sandbox.out)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                self._processes.add(process)
            output, errors = process.communicate()
            with self._guard:
                self._processes.discard(process)
                self.ran.append(step.name)
                self.spans[step.name] = (started, time.monotonic())
                if self._cancelled:
                    raise CancelledError("cancelled")
            progress("ended")
            if process.returncode:
                raise step_failure(
                    step.name,
                    process.returncode,
                    output=output + errors,
                    error_output=errors,
                    log=sandbox.log,
                )
            return Execution(
                sandbox.collect(action, self._store), Maker("host", isolated=False, pinned=True)
            )

    def cancel(self) -> None:
        with self._guard:
            self._cancelled = True
            for process in self._processes:
                process.kill()

    def close(self) -> None:
        self.closed = True


def make_layout(folder: Path) -> Layout:
    project = folder / "project"
    project.mkdir(exist_ok=True)
    return Layout(project=project, cache=folder / "cache")


def shell(
    name: str,
    script: str,
    inputs: Mapping[PurePosixPath, Input] | None = None,
    outputs: tuple[str, ...] = ("out",),
    image: str = "image:1",
) -> Step:
    """Return a step that runs ``script`` in /bin/sh."""
    return Step(
        name=name,
        image=image,
        arguments=("/bin/sh", "-ec", script),
        inputs=inputs or {},
        outputs=tuple(P(output) for output in outputs),
    )


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
