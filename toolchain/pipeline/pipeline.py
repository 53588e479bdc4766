"""All steps of a checkout, from training data to firmwares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolchain.actions import Step
from toolchain.boards import Board
from toolchain.layout import Layout
from toolchain.models import Arenas, BuildType, Model
from toolchain.pipeline.firmware_steps import FirmwareSteps
from toolchain.pipeline.model_steps import ModelSteps
from toolchain.pipeline.python_steps import PythonSteps
from toolchain.pipeline.story import StorySteps
from toolchain.pipeline.training import TrainingOptions


@dataclass(frozen=True)
class Pipeline:
    """Makes the steps for one checkout.

    Attributes:
        train_image: content name of the image with TensorFlow.
        cross_image: content name of the image with the Arm compiler and the TFLM tree.
        host_image: content name of the image with the host's compiler and the TFLM tree.
        tflm_version: what the judge is called, such as ``TensorFlow Lite Micro 33689c48``.
    """

    layout: Layout
    train_image: str
    cross_image: str
    host_image: str
    tflm_version: str
    training: TrainingOptions = field(default_factory=TrainingOptions)

    @property
    def python(self) -> PythonSteps:
        """Makes steps that run in the image with TensorFlow."""
        return PythonSteps(self.layout.project, self.train_image)

    @property
    def models(self) -> ModelSteps:
        """Makes the steps that lead to a model's sources and reference."""
        return ModelSteps(
            self.python, self.layout, self.host_image, self.tflm_version, self.training
        )

    @property
    def firmwares(self) -> FirmwareSteps:
        """Makes the steps that make needs for firmwares."""
        return FirmwareSteps(self.layout, self.cross_image)

    def story(self, family: str, pinned: Mapping[str, str]) -> list[Step]:
        """Return the steps that tell how a network came about; see ``StorySteps.steps``."""
        return StorySteps(self.python, self.models).steps(family, pinned)

    def firmware_steps(
        self,
        boards: Iterable[Board],
        models: Iterable[Model],
        build_type: BuildType,
        *,
        tests: bool = False,
        arenas: Arenas | None = None,
    ) -> list[Step]:
        """Return everything needed for all combinations, each step once.

        Args:
            boards: what to build for.
            models: what to build.
            build_type: how it is compiled.
            tests: whether also to make the programs whose outputs are compared.
            arenas: sizes of tensor arenas in bytes, by board and model; the embed step's estimate
                where there is none.
        """
        steps: dict[str, Step] = {}

        def add(step: Step) -> None:
            steps.setdefault(step.name, step)

        for model in models:
            for step in self.models.steps(model):
                add(step)
            applications = [model.application, *([model.test_application] if tests else [])]
            for board in boards:
                add(self.firmwares.library(board, build_type))
                add(self.firmwares.interpreter(board, model, build_type))
                arena = (arenas or {}).get((board.name, model.name))
                for application in applications:
                    add(self.firmwares.firmware(board, model, build_type, application, arena))
                if "arduino_library" in board.package.formats:
                    add(self.firmwares.sources(board, model, build_type))
        return list(steps.values())
