"""The concrete steps that lead from training data to a firmware.

```
train -> convert -> embed -> inference -> firmware
                 -> reference     library -^       |
                                          -> sources
```

and, for ``./invoke train`` only, to the story of how the model came about::

    train (two networks) -> convert, dynamic -> compare -> plot -> report
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from toolchain.actions import OutputOf, Step
from toolchain.boards import Board, Format
from toolchain.errors import UsageError
from toolchain.firmware.generated import generated_files, target_arch
from toolchain.firmware.size import LIBRARY
from toolchain.imports import module_closure
from toolchain.layout import Layout

BuildType: TypeAlias = Literal["release", "release_with_logs", "default", "debug"]
BUILD_TYPES: tuple[BuildType, ...] = ("release", "release_with_logs", "default", "debug")

Application: TypeAlias = Literal["hello_world", "hello_world_test"]

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

MODEL_SOURCES = ("model_data.cc", "model_data.h", "model_operators.cc", "model_operators.h")

_PYTHON = "/opt/venv/bin/python"
_MAKE = ("make", "-f", "tensorflow/lite/micro/tools/make/Makefile")
_TREE = "/opt/tflm"
_TRAINING_SECONDS = 1800
_SMALL_NETWORK_EPOCHS = 1000
_SOURCE_SUFFIXES = frozenset({".cc", ".h", ".mk", ".inc"})

# What the make goal `inference` compiles (INFERENCE_INPUTS in tflm/Makefile), and what it makes.
_INFERENCE_INPUTS = (
    "tflm/Makefile",
    "tflm/hello_world/inference.cc",
    "tflm/hello_world/inference.h",
    "tflm/hello_world/console.h",
    "tflm/hello_world/operator_parser.h",
    "boards/common/board.h",
)
_INFERENCE_MODEL_INPUTS = ("model_data.h", "model_operators.cc", "model_operators.h")


@dataclass(frozen=True)
class Model:
    """A model that can be put into a firmware.

    Attributes:
        name: folder and make variable, such as ``sine_int8``.
        family: the network that it was converted from, such as ``sine``.
        kind: element type of its input and output.
    """

    name: str
    family: str
    kind: Literal["int8", "float"]


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (Model("sine_int8", "sine", "int8"), Model("sine_float", "sine", "float"))
}


def find_model(name: str) -> Model:
    """Return the model called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in MODELS:
        raise UsageError(
            f"there is no model '{name}'", next_step=f"choose one of: {', '.join(MODELS)}"
        )
    return MODELS[name]


def find_build_type(name: str) -> BuildType:
    """Return the build type called ``name``.

    Raises:
        UsageError: there is none.
    """
    for build_type in BUILD_TYPES:
        if build_type == name:
            return build_type
    raise UsageError(
        f"there is no build type '{name}'", next_step=f"choose one of: {', '.join(BUILD_TYPES)}"
    )


@dataclass(frozen=True)
class TrainingOptions:
    """What the training step is told.

    Attributes:
        epochs: passes over the training data; None for the model's default.
        seed: of data, weights and shuffling; None for the model's default.
        small_epochs: passes of the network that is too small.
    """

    epochs: int | None = None
    seed: int | None = None
    small_epochs: int = _SMALL_NETWORK_EPOCHS

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options as a command line."""
        epochs = () if self.epochs is None else ("--epochs", str(self.epochs))
        return (*epochs, *self._seed)

    @property
    def small_arguments(self) -> tuple[str, ...]:
        """The options of the network that is too small, as a command line."""
        return ("--hidden-layers", "1", "--epochs", str(self.small_epochs), *self._seed)

    @property
    def _seed(self) -> tuple[str, ...]:
        return () if self.seed is None else ("--seed", str(self.seed))


@dataclass(frozen=True)
class Pipeline:
    """Makes the steps for one checkout.

    Attributes:
        train_image: content name of the image with TensorFlow.
        cross_image: content name of the image with the Arm compiler and the TFLM tree.
    """

    layout: Layout
    train_image: str
    cross_image: str
    training: TrainingOptions = TrainingOptions()

    def train(self, family: str) -> Step:
        """Train a network: ``<family>.keras``, ``data.npz``, ``history.json``."""
        return self._python_step(
            f"train {family}",
            "model.train",
            ("--name", family, *self.training.arguments),
            (f"{family}.keras", "data.npz", "history.json"),
            timeout_seconds=_TRAINING_SECONDS,
        )

    def train_small(self, family: str) -> Step:
        """Train the network that is too small: ``model_1.keras``, ``history.json``."""
        return self._python_step(
            small_training_name(family),
            "model.train",
            ("--name", SMALL_NETWORK, *self.training.small_arguments),
            (f"{SMALL_NETWORK}.keras", "history.json"),
            timeout_seconds=_TRAINING_SECONDS,
        )

    def convert(self, family: str) -> Step:
        """Convert a trained network to its ``.tflite`` files."""
        train = f"train {family}"
        return self._python_step(
            f"convert {family}",
            "model.convert",
            ("--keras", f"{family}.keras", "--data", "data.npz", "--name", family),
            tuple(f"{model.name}.tflite" for model in MODELS.values() if model.family == family),
            inputs={
                path: OutputOf(train, path)
                for path in (PurePosixPath(f"{family}.keras"), PurePosixPath("data.npz"))
            },
        )

    def dynamic_range(self, family: str) -> Step:
        """Convert a trained network with dynamic-range quantisation, for the story only."""
        path = PurePosixPath(f"{family}.keras")
        return self._python_step(
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
        return self._story_step(f"compare {family}", "model.compare", files, ("comparison.json",))

    def plot(self, family: str) -> Step:
        """Draw ``PLOTS``."""
        return self._story_step(
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
        return self._story_step(
            f"report {family}",
            "model.write_report",
            _told(family),
            ("report.html",),
            arguments=tuple(arguments),
            inputs={**plots, **described},
        )

    def story(self, family: str, pinned: Mapping[str, str]) -> list[Step]:
        """Return the steps that tell how a network came about, from its training to the report.

        Args:
            family: the network.
            pinned: further names and versions that the report states.
        """
        steps = [
            # The longer training first, so that both end early where two run side by side.
            self.train_small(family),
            self.train(family),
            self.convert(family),
            self.dynamic_range(family),
        ]
        for model in MODELS.values():
            if model.family == family:
                steps += [self.embed(model), self.reference(model)]
        return [
            *steps,
            self.compare(family),
            self.plot(family),
            self.report(family, pinned),
        ]

    def embed(self, model: Model) -> Step:
        """Check a ``.tflite`` against the pinned tree and write it as C++."""
        return self._from_tflite("embed", "model.embed", model, (*MODEL_SOURCES, "model.json"))

    def reference(self, model: Model) -> Step:
        """Compute the outputs that the firmware must reproduce."""
        return self._from_tflite("reference", "model.references", model, ("reference.json",))

    def library(self, board: Board, build_type: BuildType) -> Step:
        """Compile the runtime and its kernels; shared by all boards of a core."""
        architecture = target_arch(board)
        return Step(
            name=f"library {architecture} {build_type}",
            image=self.cross_image,
            arguments=(
                *_MAKE,
                f"TARGET_ARCH={architecture}",
                f"BUILD_TYPE={build_type}",
                "GENDIR=/out",
                "microlite",
            ),
            inputs=self._files(self._under("tflm", {".mk", ".inc"}), ["tflm/Makefile"]),
            outputs=(PurePosixPath("lib") / LIBRARY,),
            working_directory=_TREE,
        )

    def inference(self, board: Board, model: Model, build_type: BuildType) -> Step:
        """Compile the interpreter's use by a model; shared by all boards of a core.

        Its sources include the whole runtime, so that it takes longer than all of a board's files;
        it depends on the model's operators and not on its weights.
        """
        architecture = target_arch(board)
        embedded = {
            PurePosixPath("model", model.name, name): OutputOf(
                f"embed {model.name}", PurePosixPath(name)
            )
            for name in _INFERENCE_MODEL_INPUTS
        }
        return Step(
            name=_inference_name(architecture, model, build_type),
            image=self.cross_image,
            arguments=(
                *_MAKE,
                f"TARGET_ARCH={architecture}",
                f"BUILD_TYPE={build_type}",
                f"MODEL={model.name}",
                "GENDIR=/out",
                "inference",
            ),
            inputs={**self._files(_INFERENCE_INPUTS), **embedded},
            outputs=_inference_outputs(model),
            working_directory=_TREE,
        )

    def workspace(
        self, board: Board, model: Model, build_type: BuildType
    ) -> Mapping[PurePosixPath, Path | bytes | OutputOf]:
        """Return everything that make needs to build a firmware, by path."""
        sources = self._files(
            self._under("tflm/hello_world", _SOURCE_SUFFIXES),
            ["tflm/Makefile"],
            self._under("boards/common", _SOURCE_SUFFIXES),
            self._under(f"boards/{board.name}", _SOURCE_SUFFIXES),
        )
        generated = generated_files(board)
        embedded = {
            PurePosixPath("model", model.name, name): OutputOf(
                f"embed {model.name}", PurePosixPath(name)
            )
            for name in MODEL_SOURCES
        }
        compiled = _compiled_before(target_arch(board), model, build_type)
        return {**sources, **generated, **embedded, **compiled}

    def sources(self, board: Board, model: Model, build_type: BuildType) -> Step:
        """Collect the runtime's sources that a model needs: ``sources.tar`` and ``sources.txt``.

        The first holds them with all headers, the second names those that are compiled. They are
        shared by all boards of a core.
        """
        architecture = target_arch(board)
        embedded = {
            PurePosixPath("model", model.name, name): OutputOf(
                f"embed {model.name}", PurePosixPath(name)
            )
            for name in _INFERENCE_MODEL_INPUTS
        }
        return Step(
            name=_sources_name(architecture, model, build_type),
            image=self.cross_image,
            arguments=(
                *_MAKE,
                f"TARGET_ARCH={architecture}",
                f"BUILD_TYPE={build_type}",
                f"MODEL={model.name}",
                "GENDIR=/out",
                "sources",
            ),
            inputs={
                **self._files(_INFERENCE_INPUTS, ["tflm/hello_world/console.cc"]),
                **embedded,
                **_compiled_before(architecture, model, build_type),
            },
            outputs=(PurePosixPath("sources.tar"), PurePosixPath("sources.txt")),
            working_directory=_TREE,
        )

    def format_inputs(
        self, board: Board, model: Model, build_type: BuildType, name: Format
    ) -> Mapping[PurePosixPath, Path | OutputOf]:
        """Return what a file of the format ``name`` is made from, by path."""
        if name == "arduino_library":
            step = _sources_name(target_arch(board), model, build_type)
            made = [(step, "", "sources.tar"), (step, "", "sources.txt")]
            made += [(f"embed {model.name}", f"model/{model.name}", it) for it in MODEL_SOURCES]
            return {
                **self._files(
                    self._under("tflm/hello_world", {".cc", ".h"}),
                    self._under("tflm/arduino", {".cc", ".h", ".md", ".properties"}),
                    ["boards/common/board.h"],
                ),
                **{
                    PurePosixPath(folder, it): OutputOf(origin, PurePosixPath(it))
                    for origin, folder, it in made
                },
            }
        step = firmware_name("hello_world", board, model, build_type)
        return {
            PurePosixPath(f"hello_world.{end}"): OutputOf(
                step, PurePosixPath("bin", f"hello_world.{end}")
            )
            for end in ("bin", "hex")
        }

    def firmware(
        self, board: Board, model: Model, build_type: BuildType, application: Application
    ) -> Step:
        """Compile and link an application: ``bin/<application>`` (ELF), .bin, .hex and .map."""
        program = PurePosixPath("bin", application)
        return Step(
            name=firmware_name(application, board, model, build_type),
            image=self.cross_image,
            arguments=(
                *_MAKE,
                f"TARGET={board.name}",
                f"MODEL={model.name}",
                f"BUILD_TYPE={build_type}",
                "GENDIR=/out",
                f"{application}_bin",
            ),
            inputs=self.workspace(board, model, build_type),
            outputs=(program, *(program.with_suffix(f".{end}") for end in ("bin", "hex", "map"))),
            working_directory=_TREE,
        )

    def firmware_steps(
        self,
        boards: Iterable[Board],
        models: Iterable[Model],
        build_type: BuildType,
        applications: Iterable[Application],
    ) -> list[Step]:
        """Return everything needed for all combinations, each step once."""
        steps: dict[str, Step] = {}

        def add(step: Step) -> None:
            steps.setdefault(step.name, step)

        applications = tuple(applications)
        for model in models:
            add(self.train(model.family))
            add(self.convert(model.family))
            add(self.embed(model))
            for board in boards:
                add(self.library(board, build_type))
                add(self.inference(board, model, build_type))
                for application in applications:
                    add(self.firmware(board, model, build_type, application))
                if "hello_world" in applications and "arduino_library" in board.package.formats:
                    add(self.sources(board, model, build_type))
        return list(steps.values())

    def _python_step(
        self,
        name: str,
        module: str,
        arguments: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        inputs: Mapping[PurePosixPath, OutputOf] | None = None,
        timeout_seconds: int = 600,
    ) -> Step:
        project = self.layout.project
        sources = {
            PurePosixPath(path.as_posix()): project / path
            for path in module_closure(project, module)
        }
        return Step(
            name=name,
            image=self.train_image,
            arguments=(_PYTHON, "-B", "-m", module, *arguments, "--out", "/out"),
            inputs={**sources, **(inputs or {})},
            outputs=tuple(PurePosixPath(output) for output in outputs),
            timeout_seconds=timeout_seconds,
        )

    def _story_step(
        self,
        name: str,
        module: str,
        files: Mapping[str, OutputOf],
        outputs: tuple[str, ...],
        *,
        arguments: tuple[str, ...] = (),
        inputs: Mapping[PurePosixPath, OutputOf] | None = None,
    ) -> Step:
        """Return a step that is told each of ``files`` by the option of its name."""
        given: dict[PurePosixPath, OutputOf] = dict(inputs or {})
        options: list[str] = []
        for option, source in files.items():
            path = PurePosixPath(option, source.path.name)
            given[path] = source
            options += [f"--{option}", str(path)]
        return self._python_step(name, module, (*options, *arguments), outputs, inputs=given)

    def _from_tflite(self, verb: str, module: str, model: Model, outputs: tuple[str, ...]) -> Step:
        path = PurePosixPath(f"{model.name}.tflite")
        return self._python_step(
            f"{verb} {model.name}",
            module,
            ("--tflite", str(path), "--name", model.name),
            outputs,
            inputs={path: OutputOf(f"convert {model.family}", path)},
        )

    def _under(self, folder: str, suffixes: Iterable[str]) -> list[str]:
        project = self.layout.project
        return [
            path.relative_to(project).as_posix()
            for path in sorted((project / folder).rglob("*"))
            if path.suffix in suffixes and path.is_file()
        ]

    def _files(self, *names: Iterable[str]) -> dict[PurePosixPath, Path]:
        return {
            PurePosixPath(name): self.layout.project / name for group in names for name in group
        }


def firmware_name(
    application: Application, board: Board, model: Model, build_type: BuildType
) -> str:
    """Return the name of the step that links an application."""
    return f"firmware {application} {board.name} {model.name} {build_type}"


def _compiled_before(
    architecture: str, model: Model, build_type: BuildType
) -> dict[PurePosixPath, OutputOf]:
    """Return what a make workspace has in ``lib``, so that make does not compile it."""
    folder = PurePosixPath("lib", f"{architecture}_{build_type}")
    library = OutputOf(f"library {architecture} {build_type}", PurePosixPath("lib") / LIBRARY)
    inference = _inference_name(architecture, model, build_type)
    return {
        folder / LIBRARY: library,
        **{
            folder / model.name / path.name: OutputOf(inference, path)
            for path in _inference_outputs(model)
        },
    }


def _sources_name(architecture: str, model: Model, build_type: BuildType) -> str:
    return f"sources {architecture} {model.name} {build_type}"


def published_path(family: str, step: str, path: PurePosixPath) -> PurePosixPath | None:
    """Return where a step's output stands under ``build/model/<family>``; None for nowhere."""
    verb, _, subject = step.partition(" ")
    if step == small_training_name(family):
        return SMALL_NETWORK / path
    if step == f"plot {family}":
        return "plots" / path
    if subject == family and verb in {"train", "convert", "dynamic", "compare", "report"}:
        return path
    if verb in {"embed", "reference"} and subject in MODELS and MODELS[subject].family == family:
        return subject / path
    return None


def story_files(family: str) -> frozenset[PurePosixPath]:
    """Return what ``story`` puts under ``build/model/<family>`` beside a build's own files.

    Written out because every build asks for it, and making the steps takes longer.
    """
    names = {
        *(f"{family}_dynamic.tflite", "comparison.json", "report.html"),
        *(f"{SMALL_NETWORK}/{name}" for name in (f"{SMALL_NETWORK}.keras", "history.json")),
        *(f"plots/{name}.png" for name in PLOTS),
        *(
            f"{model.name}/{name}"
            for model in MODELS.values()
            if model.family == family
            for name in (*MODEL_SOURCES, "model.json", "reference.json")
        ),
    }
    return frozenset(map(PurePosixPath, names))


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


def _inference_name(architecture: str, model: Model, build_type: BuildType) -> str:
    return f"inference {architecture} {model.name} {build_type}"


def _inference_outputs(model: Model) -> tuple[PurePosixPath, ...]:
    names = (
        "inference.sha256",
        "tflm/hello_world/inference.cc.o",
        f"model/{model.name}/model_operators.cc.o",
    )
    return tuple(PurePosixPath("obj", name) for name in names)
