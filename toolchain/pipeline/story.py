"""The steps of ``./invoke train`` that tell how a model came about.

```
train (two networks) -> convert, dynamic -> compare -> plot -> report
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from toolchain.actions import OutputOf, Step
from toolchain.models import MODELS
from toolchain.pipeline.model_steps import ModelSteps
from toolchain.pipeline.python_steps import PythonSteps
from toolchain.pipeline.training import TRAINING_SECONDS

SMALL_NETWORK = "model_1"
"""The network with one hidden layer, which no firmware is made of."""

PLOTS = (
    *("data", "splits"),
    *(
        f"{network}_{plot}"
        for network in (SMALL_NETWORK, "model_2")
        for plot in ("loss", "loss_later", "mae", "predictions")
    ),
    *("conversions", "sizes"),
)
"""What ``model.plot`` draws."""


@dataclass(frozen=True)
class StorySteps:
    """Makes the steps of the story.

    Attributes:
        python: makes steps in the image with TensorFlow.
        models: makes the steps that builds have too.
    """

    python: PythonSteps
    models: ModelSteps

    def train_small(self, family: str) -> Step:
        """Train the network that is too small: ``model_1.keras``, ``history.json``."""
        return self.python.step(
            small_training_name(family),
            "model.train",
            ("--name", SMALL_NETWORK, *self.models.training.small_arguments),
            (f"{SMALL_NETWORK}.keras", "history.json"),
            timeout_seconds=TRAINING_SECONDS,
        )

    def dynamic_range(self, family: str) -> Step:
        """Convert a trained network with dynamic-range quantisation, for the story only."""
        path = PurePosixPath(f"{family}.keras")
        return self.python.step(
            f"dynamic {family}",
            "model.dynamic_range",
            ("--keras", str(path)),
            (f"{family}_dynamic.tflite",),
            inputs={path: OutputOf(f"train {family}", path)},
        )

    def compare(self, family: str) -> Step:
        """Run networks and conversions on the same inputs: ``comparison.json``."""
        files = {
            "model-1": OutputOf(
                small_training_name(family), PurePosixPath(f"{SMALL_NETWORK}.keras")
            ),
            "model-2": OutputOf(f"train {family}", PurePosixPath(f"{family}.keras")),
            "data": OutputOf(f"train {family}", PurePosixPath("data.npz")),
            **_conversions(family),
        }
        return self.python.step_with_options(
            f"compare {family}", "model.compare", files, ("comparison.json",)
        )

    def plot(self, family: str) -> Step:
        """Draw ``PLOTS``."""
        return self.python.step_with_options(
            f"plot {family}", "model.plot", _told(family), tuple(f"{name}.png" for name in PLOTS)
        )

    def report(self, family: str, pinned: Mapping[str, str]) -> Step:
        """Write ``report.html``.

        Args:
            family: the network.
            pinned: further names and versions to state.
        """
        plots = {
            PurePosixPath("plots", f"{name}.png"): OutputOf(
                f"plot {family}", PurePosixPath(f"{name}.png")
            )
            for name in PLOTS
        }
        described = {
            PurePosixPath(model.name, "model.json"): OutputOf(
                f"embed {model.name}", PurePosixPath("model.json")
            )
            for model in MODELS.values()
            if model.family == family
        }
        arguments = ["--plots", "plots"]
        for path in described:
            arguments += ["--model-json", str(path)]
        for name, version in pinned.items():
            arguments += ["--pinned", f"{name}={version}"]
        return self.python.step_with_options(
            f"report {family}",
            "model.write_report",
            _told(family),
            ("report.html",),
            arguments=tuple(arguments),
            inputs={**plots, **described},
        )

    def steps(self, family: str, pinned: Mapping[str, str]) -> list[Step]:
        """Return the steps that tell how a network came about, from its training to the report.

        Args:
            family: the network.
            pinned: further names and versions that the report states.
        """
        steps = [
            # The longer training first, so that both end early where two run side by side.
            self.train_small(family),
            self.models.train(family),
            self.models.convert(family),
            self.dynamic_range(family),
        ]
        for model in MODELS.values():
            if model.family == family:
                steps += [self.models.embed(model), self.models.reference(model)]
        return [
            *steps,
            self.compare(family),
            self.plot(family),
            self.report(family, pinned),
        ]


def small_training_name(family: str) -> str:
    """Return the name of the step that trains the network that is too small."""
    return f"train {family} {SMALL_NETWORK}"


def _conversions(family: str) -> dict[str, OutputOf]:
    """Return the ``.tflite`` files of a network by the options that name them."""
    return {
        "float": OutputOf(f"convert {family}", PurePosixPath(f"{family}_float.tflite")),
        "dynamic": OutputOf(f"dynamic {family}", PurePosixPath(f"{family}_dynamic.tflite")),
        "int8": OutputOf(f"convert {family}", PurePosixPath(f"{family}_int8.tflite")),
    }


def _told(family: str) -> dict[str, OutputOf]:
    """Return what the plots and the report are made of, by the options that name them."""
    history = PurePosixPath("history.json")
    return {
        "data": OutputOf(f"train {family}", PurePosixPath("data.npz")),
        "history-1": OutputOf(small_training_name(family), history),
        "history-2": OutputOf(f"train {family}", history),
        "comparison": OutputOf(f"compare {family}", PurePosixPath("comparison.json")),
        **_conversions(family),
    }
