"""A copy of the checkout with a step cache of its own, in which the commands are timed."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.layout import CACHE_VARIABLE, Layout

_COPIED = (
    *("boards", "docker", "model", "simulator", "tflm", "toolchain", "docs"),
    *("invoke", "tasks.py", "pins.toml", "requirements.lock", "requirements-test.lock"),
)
_MAKEFILE = "tensorflow/lite/micro/tools/make/Makefile"


@dataclass(frozen=True)
class Checkout:
    """The copy.

    Attributes:
        layout: of the copy; its cache is beside it.
        engine_url: of the engine that has the images.
    """

    layout: Layout
    engine_url: str
    _changes: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def copy(cls, project: Path, folder: Path, engine_url: str) -> Checkout:
        """Copy ``project`` into ``folder``; its Python environment is used as it is."""
        copy = folder / "checkout"
        copy.mkdir()
        for name in _COPIED:
            source = project / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy2(source, copy / name)
        (copy / ".venv").symlink_to(project / ".venv")
        return cls(Layout(copy, folder / "cache"), engine_url)

    def invoke(self, *arguments: str) -> None:
        """Run ``./invoke`` in the copy.

        Raises:
            CalledProcessError: it failed; what it wrote is in the error.
        """
        environment = {
            **os.environ,
            CACHE_VARIABLE: str(self.layout.cache),
            "DOCKER_HOST": self.engine_url,
        }
        # Byte code is kept, as Python does unless it is told otherwise.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            [self.layout.project / "invoke", *arguments],
            cwd=self.layout.project,
            env=environment,
            check=True,
            capture_output=True,
        )

    def change(self, *names: str) -> None:
        """Append a comment that was never there to each file, so that it has to be read again."""
        number = next(self._changes)
        for name in names:
            path = self.layout.project / name
            mark = "//" if path.suffix in {".cc", ".h"} else "#"
            with path.open("a", encoding="utf-8") as stream:
                stream.write(f"{mark} {number}\n")

    def forget_outputs(self) -> None:
        """Remove what was published; the step cache stays."""
        shutil.rmtree(self.layout.build, ignore_errors=True)


@dataclass(frozen=True)
class BareMake:
    """GNU make by hand in the image of the compiler, as one would without this project.

    Attributes:
        client: of the engine.
        workspace: what make sees as /project.
        outputs: folder for what it makes.
    """

    client: Any
    image: str
    workspace: Path
    outputs: Path

    def forget_outputs(self) -> None:
        """Remove everything that was made."""
        shutil.rmtree(self.outputs, ignore_errors=True)
        self.outputs.mkdir()
        # Whoever the container runs as writes there.
        self.outputs.chmod(0o777)

    def change(self, name: str) -> None:
        """Make a file of the workspace newer than what was made of it."""
        with (self.workspace / name).open("a", encoding="utf-8") as stream:
            stream.write("//\n")

    def run(self, target: str) -> None:
        """Make the flashable files of hello_world in a new container.

        Raises:
            ContainerError: make failed.
        """
        arguments: Sequence[str] = (
            *("make", f"-j{os.cpu_count()}", "-f", _MAKEFILE),
            *(f"TARGET={target}", "GENDIR=/made", "hello_world_bin"),
        )
        self.client.containers.run(
            self.image,
            list(arguments),
            network_mode="none",
            remove=True,
            volumes={
                str(self.workspace): {"bind": "/project", "mode": "ro"},
                str(self.outputs): {"bind": "/made", "mode": "rw"},
            },
        )
