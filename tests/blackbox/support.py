"""What the tests of the command share: checkouts, and what the engine did for them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.actions.docker_executor import LABEL_PROJECT
from toolchain.engine import Engine
from toolchain.layout import CACHE_VARIABLE

TARGET = "sparkfun_edge"
FIRMWARE = f"firmware hello_world {TARGET} sine_int8 release"
TEST_FIRMWARE = f"firmware hello_world_test {TARGET} sine_int8 release"

SETPRIV = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    # The Python environment may stand in root's home: the user is let in to read.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
"""Begins a command line that nobody runs, who may read everything."""

_STEP = re.compile(
    r"^  (?P<name>\S.*): (?:(?P<cached>cached)|[0-9.]+ s)(?: (?:at|on) \S+)?$", re.MULTILINE
)
_PATIENCE_SECONDS = 120.0


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def steps_run(stderr: str) -> set[str]:
    """Return the names of the steps that were not known."""
    return {match["name"] for match in _STEP.finditer(stderr) if not match["cached"]}


def steps_known(stderr: str) -> set[str]:
    return {match["name"] for match in _STEP.finditer(stderr) if match["cached"]}


def succeeds(*command: str) -> bool:
    """Return whether this machine has a command and lets us run it."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def failed(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """Check that ``done`` ended with one error for the user and return what it said."""
    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    return done.stderr


def copy_tracked(project: Path, folder: Path) -> None:
    """Copy the files that git knows, as they are now."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project, capture_output=True, check=True
    ).stdout
    for name in os.fsdecode(tracked).split("\0"):
        source = project / name
        if name and source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1))


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's tracked files.

    Attributes:
        folder: of the copy.
        cache: steps known to it; the engine, and so its images, is shared.
        engine: address of the engine.
    """

    folder: Path
    cache: Path
    engine: str

    @property
    def output(self) -> Path:
        return self.folder / "build" / TARGET / "sine_int8"

    @property
    def board_source(self) -> Path:
        return self.folder / "boards" / TARGET / "board.cc"

    def environment(self, **extra: str) -> dict[str, str]:
        # The tests' own environment must not decide what the command prints.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TOOLCHAIN_", "PYTEST_", "PYTHON", "INVOKE_"))
            or name == "TOOLCHAIN_PYTHON"
        }
        own = {CACHE_VARIABLE: str(self.cache), "DOCKER_HOST": self.engine, "LC_ALL": "C.UTF-8"}
        return kept | own | extra

    def invoke(
        self,
        *arguments: str,
        cwd: Path | None = None,
        program: Sequence[str] = (),
        without: Collection[str] = (),
        variables: Mapping[str, str] | None = None,
        **extra: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./invoke`` to its end.

        Args:
            arguments: words after it.
            cwd: where; in the checkout if not given.
            program: stands for ``./invoke`` where that is something else.
            without: variables that are not set.
            variables: more variables, as ``extra`` has them.
            extra: variables by name.
        """
        environment = self.environment(**(variables or {}), **extra)
        return subprocess.run(
            [*(program or [str(self.folder / "invoke")]), *arguments],
            cwd=cwd or self.folder,
            env={name: environment[name] for name in environment if name not in without},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Running]:
        """Start ``./invoke`` as a shell's foreground job: in a process group of its own.

        What has not ended by the end of the block is stopped.
        """
        with subprocess.Popen(
            [str(self.folder / "invoke"), *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            running = Running(process)
            try:
                yield running
            finally:
                if process.poll() is None:
                    running.send(signal.SIGINT)
                    running.end()

    def touch_firmware(self) -> None:
        """Change what the firmware prints to what no other checkout's does: it must be built."""
        replace_in(
            self.folder / "tflm" / "hello_world" / "main_functions.cc",
            'PrepareInference("hello_world")',
            f'PrepareInference("hello_world {hashlib.sha256(bytes(self.folder)).hexdigest()}")',
        )

    def outputs(self) -> Mapping[str, str]:
        """Return the sha256 of each file of ``build/``, hidden ones and links too, without logs."""
        build = self.folder / "build"
        return {
            str(path.relative_to(build)): sha256(path) if path.is_file() else "not a file"
            for path in build.rglob("*")
            if not path.is_dir() and path.relative_to(build).parts[0] != "logs"
        }

    def sandboxes(self) -> list[str]:
        folder = self.cache / "sandboxes"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def copy_to(self, folder: Path, *, cache: Path | None = None) -> Checkout:
        """Return a second checkout of the same sources and Python environment, without outputs."""
        shutil.copytree(
            self.folder, folder, ignore=shutil.ignore_patterns(".venv", "build"), symlinks=True
        )
        (folder / ".venv").symlink_to(self.folder / ".venv")
        return Checkout(folder, cache or self.cache, self.engine)


class Running:
    """A command that has not ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self) -> subprocess.CompletedProcess[str]:
        stdout, stderr = self.process.communicate(timeout=_PATIENCE_SECONDS)
        return subprocess.CompletedProcess(
            self.process.args, self.process.returncode, stdout, stderr
        )


class Containers:
    """The engine's containers that run steps of one checkout."""

    def __init__(self, engine: Engine) -> None:
        self._client = engine.client
        self._start = time.time_ns()

    def created(self, checkout: Checkout) -> list[str]:
        """Return those created since this object was made, also the ones that have gone."""
        events = self._client.events(
            since=self._start // 1_000_000_000,
            until=int(time.time()) + 1,
            filters={"type": "container", "event": "create"},
            decode=True,
        )
        return [
            event["Actor"]["Attributes"]["name"]
            for event in events
            if event["timeNano"] >= self._start
            and event["Actor"]["Attributes"].get(LABEL_PROJECT) == str(checkout.folder)
        ]

    def present(self, checkout: Checkout) -> list[str]:
        """Return those that exist, running or not."""
        label = f"{LABEL_PROJECT}={checkout.folder}"
        found = self._client.containers.list(
            all=True, filters={"label": label}, ignore_removed=True
        )
        return [container.name for container in found]

    def wait_for_one(self, checkout: Checkout, running: Running) -> str:
        """Wait until a step of the command that is ``running`` runs, and return its container."""
        label = f"{LABEL_PROJECT}={checkout.folder}"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = self._client.containers.list(
                filters={"label": label, "status": "running"}, ignore_removed=True
            )
            if found:
                return str(found[0].name)
            if running.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no step was started: {running.end().stderr}")
