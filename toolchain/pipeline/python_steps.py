"""Steps that run a module of ``model/`` in the image with TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, Step
from toolchain.actions.model import Input
from toolchain.pipeline.imports import module_closure

PYTHON = "/opt/venv/bin/python"
"""The interpreter of the image ``train``."""


@dataclass(frozen=True)
class PythonSteps:
    """Makes such steps.

    Attributes:
        project: the checkout.
        image: content name of the image with TensorFlow.
    """

    project: Path
    image: str

    def step(
        self,
        name: str,
        module: str,
        arguments: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        inputs: Mapping[PurePosixPath, Input] | None = None,
        timeout_seconds: int = 600,
    ) -> Step:
        """Return a step that runs a module, of which it sees what the module imports and no more.

        Args:
            name: of the step.
            module: dotted name, such as ``model.train``.
            arguments: its command line; ``--out /out`` is added.
            outputs: files that it writes there.
            inputs: files beside the module's own sources, by path.
            timeout_seconds: after which it is ended.
        """
        sources = {
            PurePosixPath(path.as_posix()): self.project / path
            for path in module_closure(self.project, module)
        }
        return Step(
            name=name,
            image=self.image,
            arguments=(PYTHON, "-B", "-m", module, *arguments, "--out", "/out"),
            inputs={**sources, **(inputs or {})},
            outputs=tuple(PurePosixPath(output) for output in outputs),
            timeout_seconds=timeout_seconds,
        )

    def step_with_options(
        self,
        name: str,
        module: str,
        files: Mapping[str, Path | OutputOf],
        outputs: tuple[str, ...],
        *,
        arguments: tuple[str, ...] = (),
        inputs: Mapping[PurePosixPath, OutputOf] | None = None,
    ) -> Step:
        """Return a step that is told each of ``files`` by the option of its name; see ``step``."""
        given: dict[PurePosixPath, Input] = dict(inputs or {})
        options: list[str] = []
        for option, source in files.items():
            name_there = source.path.name if isinstance(source, OutputOf) else option
            path = PurePosixPath(option, name_there)
            given[path] = source
            options += [f"--{option}", str(path)]
        return self.step(name, module, (*options, *arguments), outputs, inputs=given)
