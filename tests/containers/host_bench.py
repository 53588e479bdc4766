"""Runs models with ``run_model``, the pinned tree built for the machine itself."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.conftest import RunSteps
from toolchain.actions import OutputOf, Step
from toolchain.layout import Layout
from toolchain.pipeline.host_build import (
    HOST_RUNNER,
    JUDGED,
    host_library,
    host_runner,
    judge,
)

P = PurePosixPath


@dataclass(frozen=True)
class Ran:
    """What ``run_model`` left.

    Attributes:
        code: how it ended.
        said: its standard error.
        printed: its standard output.
        files: what else it wrote, by name.
    """

    code: int
    said: str
    printed: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class HostBench:
    """Runs steps in the host image; what is known is not run again.

    Attributes:
        image: content name of the image ``host``.
        sanitized: with the runner that stops at a wrong address and at undefined behaviour.
    """

    layout: Layout
    image: str
    run_steps: RunSteps
    sanitized: bool = False

    def runner_steps(self) -> list[Step]:
        """Return the steps that make the runner."""
        return [
            host_library(self.layout, self.image, sanitized=self.sanitized),
            host_runner(self.layout, self.image, sanitized=self.sanitized),
        ]

    def program(self) -> bytes:
        """Return the runner."""
        steps = self.runner_steps()
        runner, results = self.run_steps(steps)
        return runner.store.get(results[steps[-1].name].outputs[HOST_RUNNER])

    def judged(self, models: Mapping[str, tuple[bytes, bytes]]) -> dict[str, bytes]:
        """Return the outputs of models, each with its cases, by name."""
        names = {name: f"judge {name}{' sanitized' * self.sanitized}" for name in models}
        steps = [
            judge(names[name], self.image, tflite, cases, sanitized=self.sanitized)
            for name, (tflite, cases) in models.items()
        ]
        runner, results = self.run_steps([*self.runner_steps(), *steps])
        return {
            name: runner.store.get(results[step].outputs[JUDGED]) for name, step in names.items()
        }

    def run(self, *arguments: str, given: bytes = b"", files: Mapping[str, bytes] = {}) -> Ran:
        """Run the program in a folder with ``files``, whatever it ends with.

        Args:
            arguments: its command line.
            given: its standard input.
            files: by name.
        """
        steps = self.runner_steps()
        inputs = {P("folder", name): data for name, data in files.items()}
        step = Step(
            name=f"run_model{' sanitized' * self.sanitized}",
            image=self.image,
            arguments=("sh", "-euc", _RUN_ANYHOW, "sh", *arguments),
            inputs={
                **inputs,
                P("given"): given,
                P("run_model"): OutputOf(steps[-1].name, HOST_RUNNER),
            },
            outputs=tuple(map(P, ("code", "said", "printed", "files.tar"))),
        )
        runner, results = self.run_steps([*steps, step])
        code, said, printed, archive = (
            runner.store.get(results[step.name].outputs[output]) for output in step.outputs
        )
        return Ran(int(code), said.decode(), printed.decode(), _unpacked(archive))


_RUN_ANYHOW = """
install -m 0755 run_model /tmp/run_model
cp -r folder /tmp/folder 2> /dev/null || mkdir /tmp/folder
chmod -R u+w /tmp/folder
cd /tmp/folder
code=0
/tmp/run_model "$@" < /project/given > /out/printed 2> /out/said || code=$?
echo "$code" > /out/code
tar --create --file /out/files.tar --sort name --mtime @0 --owner 0 --group 0 .
"""


def _unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        found = {P(entry.name).name: files.extractfile(entry) for entry in files}
        return {name: content.read() for name, content in found.items() if content is not None}


def batch(models: Sequence[bytes]) -> bytes:
    """Return models as ``run_model --batch`` reads them."""
    return b"".join(struct.pack("<I", len(model)) + model for model in models)
