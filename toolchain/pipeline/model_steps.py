"""The steps that lead from training data, or from the user's files, to a model's C++ and reference.

```
train -> convert -> embed
                 -> reference
```

A model that the user gives takes another way::

    [convert ->] embed
                 draw cases -> judge -> reference
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, Step
from toolchain.layout import Layout
from toolchain.models import MODELS, GivenModel, Model
from toolchain.pipeline.host_build import host_library, host_runner, judge
from toolchain.pipeline.python_steps import PythonSteps
from toolchain.pipeline.training import TRAINING_SECONDS, TrainingOptions

ARENA_HEADER = "model_arena.h"

MODEL_SOURCES = (
    *("model_data.cc", "model_data.h", "model_operators.cc", "model_operators.h"),
    *(ARENA_HEADER, "model_type.h"),
)
"""What the embed step writes for the firmware."""

CASES_SOURCE = "model_cases.cc"
"""What the reference step of a given model writes for the firmware."""


@dataclass(frozen=True)
class ModelSteps:
    """Makes the steps of models.

    Attributes:
        python: makes steps in the image with TensorFlow.
        layout: the checkout.
        host_image: content name of the image with the host's compiler and the TFLM tree.
        tflm_version: what the judge is called, such as ``TensorFlow Lite Micro 33689c48``.
        training: what the training is told.
    """

    python: PythonSteps
    layout: Layout
    host_image: str
    tflm_version: str
    training: TrainingOptions

    def train(self, family: str) -> Step:
        """Train a network: ``<family>.keras``, ``data.npz``, ``history.json``."""
        return self.python.step(
            f"train {family}",
            "model.train",
            ("--name", family, *self.training.arguments),
            (f"{family}.keras", "data.npz", "history.json"),
            timeout_seconds=TRAINING_SECONDS,
        )

    def convert(self, family: str) -> Step:
        """Convert a trained network to its ``.tflite`` files."""
        train = f"train {family}"
        return self.python.step(
            f"convert {family}",
            "model.convert",
            ("--keras", f"{family}.keras", "--data", "data.npz", "--name", family),
            tuple(f"{model.name}.tflite" for model in MODELS.values() if model.family == family),
            inputs={
                path: OutputOf(train, path)
                for path in (PurePosixPath(f"{family}.keras"), PurePosixPath("data.npz"))
            },
        )

    def convert_network(self, model: Model) -> Step:
        """Convert a given ``.keras`` file: ``<name>.tflite``."""
        given = _given(model)
        inputs: dict[PurePosixPath, Path | OutputOf] = {PurePosixPath("network.keras"): given.file}
        options = ["--keras", "network.keras", "--name", model.name]
        if given.representative is not None:
            path = PurePosixPath("representative" + given.representative.suffix)
            inputs[path] = given.representative
            options += ["--representative", str(path)]
        return self.python.step(
            f"convert {model.name}",
            "model.convert_network",
            tuple(options),
            (f"{model.name}.tflite",),
            inputs=inputs,
            timeout_seconds=TRAINING_SECONDS,
        )

    def embed(self, model: Model) -> Step:
        """Check a ``.tflite`` against the pinned tree and write it as C++."""
        return self._from_tflite("embed", "model.embed", model, (*MODEL_SOURCES, "model.json"))

    def draw_cases(self, model: Model) -> Step:
        """Take or draw the inputs on which a given model is verified."""
        given = _given(model)
        path = PurePosixPath(f"{model.name}.tflite")
        inputs: dict[PurePosixPath, Path | OutputOf] = {path: tflite_source(model)}
        options = ["--tflite", str(path)]
        if given.inputs is not None:
            inputs[PurePosixPath("inputs" + given.inputs.suffix)] = given.inputs
            options += ["--inputs", "inputs" + given.inputs.suffix]
        outputs = ("cases.bin", "inputs.npz")
        return self.python.step(
            f"cases {model.name}", "model.draw_cases", tuple(options), outputs, inputs=inputs
        )

    def judge(self, model: Model) -> list[Step]:
        """Run a given model on its cases by the pinned tree itself, built for the host."""
        return [
            host_library(self.layout, self.host_image),
            host_runner(self.layout, self.host_image),
            judge(
                f"judge {model.name}",
                self.host_image,
                tflite_source(model),
                OutputOf(f"cases {model.name}", PurePosixPath("cases.bin")),
            ),
        ]

    def reference(self, model: Model) -> Step:
        """Compute the outputs that the firmware must reproduce."""
        if model.given is None:
            return self._from_tflite("reference", "model.references", model, ("reference.json",))
        files = {
            "tflite": tflite_source(model),
            "cases": OutputOf(f"cases {model.name}", PurePosixPath("cases.bin")),
            "judged": OutputOf(f"judge {model.name}", PurePosixPath("judged.bin")),
        }
        return self.python.step_with_options(
            f"reference {model.name}",
            "model.case_references",
            files,
            ("reference.json", CASES_SOURCE),
            arguments=("--name", model.name, "--judge", self.tflm_version),
        )

    def steps(self, model: Model) -> list[Step]:
        """Return everything that leads to a model's sources and reference."""
        if model.given is None:
            steps = [self.train(model.family), self.convert(model.family), self.embed(model)]
        else:
            steps = [self.convert_network(model)] if model.given.is_network else []
            # Refused models are refused by the first step; nothing else is begun before.
            steps += [self.embed(model), self.draw_cases(model), *self.judge(model)]
        return [*steps, self.reference(model)]

    def _from_tflite(self, verb: str, module: str, model: Model, outputs: tuple[str, ...]) -> Step:
        path = PurePosixPath(f"{model.name}.tflite")
        return self.python.step(
            f"{verb} {model.name}",
            module,
            ("--tflite", str(path), "--name", model.name),
            outputs,
            inputs={path: tflite_source(model)},
        )


def tflite_source(model: Model) -> Path | OutputOf:
    """Return where the ``.tflite`` file of a model comes from."""
    if model.given is not None and not model.given.is_network:
        return model.given.file
    return OutputOf(f"convert {model.family}", PurePosixPath(f"{model.name}.tflite"))


def _given(model: Model) -> GivenModel:
    assert model.given is not None
    return model.given
