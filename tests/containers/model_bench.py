"""What the tests of the model's steps share: files that the steps make, and other models' steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from model.embedding import check_model, embedded_files
from simulator import SimulationRequest, SimulationResult, simulate
from tests.conftest import RunInImage, RunSteps
from toolchain.actions import OutputOf, Step
from toolchain.boards import Board
from toolchain.models import MODELS
from toolchain.pipeline import Pipeline, TrainingOptions
from toolchain.pipeline.imports import module_closure
from toolchain.pipeline.model_steps import MODEL_SOURCES

P = PurePosixPath
INT8 = MODELS["sine_int8"]
Files = Mapping[str, bytes]
FOREIGN = (
    *("per_channel", "hybrid", "open_batch", "lstm", "elu", "without_bias", "image"),
    *("convolutions", "residual"),
)


@dataclass(frozen=True)
class ModelBench:
    """Runs steps: ``known`` from the user's cache where they are known, ``fresh`` always."""

    pipeline: Pipeline
    run_steps: RunSteps
    run_in_image: RunInImage

    def known(self, *steps: Step) -> dict[str, dict[str, bytes]]:
        """Return the outputs of each step by its name."""
        runner, results = self.run_steps(steps)
        return {
            name: {str(path): runner.store.get(each) for path, each in result.outputs.items()}
            for name, result in results.items()
        }

    def fresh(self, step: Step, *before: str, **inputs: bytes) -> dict[str, bytes]:
        """Run ``step`` now, behind the command ``before``, with inputs in place of other steps'."""
        sources = {
            str(path): inputs.get(path.name.replace(".", "_"), source)
            for path, source in step.inputs.items()
        }
        assert not [each for each in sources.values() if isinstance(each, OutputOf)]
        return self.run_in_image(
            step.image, (*before, *step.arguments), sources, [str(path) for path in step.outputs]
        )

    def sine(self) -> dict[str, bytes]:
        """Return all files that the default training leads to, as ``<model>/<file>`` where two
        models have one of the same name.
        """
        steps = [self.pipeline.models.train("sine"), self.pipeline.models.convert("sine")]
        for model in MODELS.values():
            steps += [self.pipeline.models.embed(model), self.pipeline.models.reference(model)]
        made = self.known(*steps)
        return {
            name if step in {"train sine", "convert sine"} else f"{step.split()[1]}/{name}": data
            for step, files in made.items()
            for name, data in files.items()
        }

    def foreign(self) -> dict[str, bytes]:
        """Return the models that ``model_foreign.py`` makes, by name."""
        step = self.script("model_foreign", ["/out"], [f"{name}.tflite" for name in FOREIGN])
        (files,) = self.known(step).values()
        return {name: files[f"{name}.tflite"] for name in FOREIGN}

    def training(self, epochs: int, seed: int | None = None) -> Step:
        """Return the training step with other options."""
        options = TrainingOptions(epochs, seed)
        return dataclasses.replace(self.pipeline, training=options).models.train("sine")

    def script(self, name: str, arguments: Sequence[str], outputs: Sequence[str]) -> Step:
        """Return a step that runs a script of these tests with the model package beside it."""
        project = self.pipeline.layout.project
        modules = [path for step in ("train", "convert") for path in _modules(project, step)]
        return Step(
            name=name,
            image=self.pipeline.train_image,
            arguments=("/opt/venv/bin/python", "-B", f"{name}.py", *arguments),
            inputs={
                P(f"{name}.py"): Path(__file__).with_name(f"{name}.py"),
                **{P(path.as_posix()): project / path for path in modules},
            },
            outputs=tuple(P(output) for output in outputs),
            environment={"PYTHONPATH": "/project"},
        )

    def embed(self, tflite: bytes) -> Step:
        """Return the embed step of the int8 model, for another file."""
        return _with_tflite(self.pipeline.models.embed(INT8), tflite)

    def reference(self, tflite: bytes) -> Step:
        """Return the reference step of the int8 model, for another file."""
        return _with_tflite(self.pipeline.models.reference(INT8), tflite)

    def test_run(
        self, board: Board, tflite: bytes, arena_bytes: int | None = None
    ) -> SimulationResult:
        """Build ``hello_world_test`` with another model, run it in the simulator to its end."""
        made = embedded_files(check_model(INT8.name, tflite, arena_bytes))
        build = self.pipeline.firmwares.firmware(board, INT8, "release", "hello_world_test")
        sources = {P("model", INT8.name, name): made[name].encode() for name in MODEL_SOURCES}
        # What was compiled for the int8 model of the project is of no use to another one.
        interpreter = self.pipeline.firmwares.interpreter(board, INT8, "release").name
        inputs = {
            path: source
            for path, source in build.inputs.items()
            if not (isinstance(source, OutputOf) and source.step == interpreter)
        }
        build = dataclasses.replace(build, inputs={**inputs, **sources})
        files = self.known(self.pipeline.firmwares.library(board, "release"), build)[build.name]
        return simulate(
            SimulationRequest(
                board=board, image=files["bin/hello_world_test.bin"], until_text="~~~"
            )
        )


def _modules(project: Path, step: str) -> tuple[Path, ...]:
    return module_closure(project, f"model.{step}")


def _with_tflite(step: Step, tflite: bytes) -> Step:
    return dataclasses.replace(step, inputs={**step.inputs, P(f"{INT8.name}.tflite"): tflite})
