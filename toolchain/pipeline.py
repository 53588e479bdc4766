"""The concrete steps that lead from training data to a firmware.

```
train -> convert -> embed -> interpreter -> firmware
                 -> reference       library -^     |
                                            -> sources
```

A model that the user gives takes another way to the same firmware steps::

    [convert ->] embed
                 draw cases -> judge -> reference

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
from toolchain.firmware.formats.base import HEX, IMAGE
from toolchain.firmware.generated import arena_header, generated_files, target_arch
from toolchain.firmware.size import LIBRARY
from toolchain.host_build import host_library, host_runner, judge
from toolchain.imports import module_closure
from toolchain.layout import Layout

BuildType: TypeAlias = Literal["release", "release_with_logs", "default", "debug"]
BUILD_TYPES: tuple[BuildType, ...] = ("release", "release_with_logs", "default", "debug")

Application: TypeAlias = Literal["hello_world", "hello_world_test", "model_runner"]

Arenas: TypeAlias = Mapping[tuple[str, str], int]
"""Sizes of tensor arenas in bytes, by the names of board and model."""

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

ARENA_HEADER = "model_arena.h"

MODEL_SOURCES = (
    *("model_data.cc", "model_data.h", "model_operators.cc", "model_operators.h"),
    *(ARENA_HEADER, "model_type.h"),
)
"""What the embed step writes for the firmware."""

CASES_SOURCE = "model_cases.cc"
"""What the reference step of a given model writes for the firmware."""

_PYTHON = "/opt/venv/bin/python"
_MAKE = ("make", "-f", "tensorflow/lite/micro/tools/make/Makefile")
_TREE = "/opt/tflm"
_TRAINING_SECONDS = 1800
_SMALL_NETWORK_EPOCHS = 1000
_SOURCE_SUFFIXES = frozenset({".cc", ".h", ".mk", ".inc"})

# What the make goal `interpreter` compiles (INTERPRETER_INPUTS in tflm/Makefile).
_INTERPRETER_INPUTS = (
    "tflm/Makefile",
    "tflm/common/arena.h",
    "tflm/common/console.h",
    "tflm/common/interpreter.cc",
    "tflm/common/interpreter.h",
    "tflm/common/operator_parser.h",
    "boards/common/board.h",
)
_INTERPRETER_MODEL_INPUTS = ("model_data.h", "model_operators.cc", "model_operators.h")


@dataclass(frozen=True)
class GivenModel:
    """Files of a user's own model.

    Attributes:
        file: the ``.tflite`` or ``.keras`` file.
        representative: ``.npy`` or ``.npz`` from which a ``.keras`` file is quantised; None leaves
            it in float32.
        inputs: ``.npy`` or ``.npz`` with the inputs to verify on; None to draw them.
    """

    file: Path
    representative: Path | None = None
    inputs: Path | None = None

    @property
    def is_network(self) -> bool:
        """Whether it has to be converted first."""
        return self.file.suffix == ".keras"


@dataclass(frozen=True)
class Model:
    """A model that can be put into a firmware.

    Attributes:
        name: folder and make variable, such as ``sine_int8``.
        family: the network that it was converted from, such as ``sine``; of a given model its name.
        application: the program that runs it.
        given: the user's files; None for a model of the project.
    """

    name: str
    family: str
    application: Application = "hello_world"
    given: GivenModel | None = None

    @property
    def test_application(self) -> Application:
        """The program whose outputs are compared with the reference."""
        return "hello_world_test" if self.application == "hello_world" else self.application


MODELS: Mapping[str, Model] = {
    model.name: model for model in (Model("sine_int8", "sine"), Model("sine_float", "sine"))
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
        host_image: content name of the image with the host's compiler and the TFLM tree.
        tflm_version: what the judge is called, such as ``TensorFlow Lite Micro 33689c48``.
    """

    layout: Layout
    train_image: str
    cross_image: str
    host_image: str
    tflm_version: str
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

    def convert_network(self, model: Model) -> Step:
        """Convert a given ``.keras`` file: ``<name>.tflite``."""
        given = _given(model)
        inputs: dict[PurePosixPath, Path | OutputOf] = {PurePosixPath("network.keras"): given.file}
        options = ["--keras", "network.keras", "--name", model.name]
        if given.representative is not None:
            path = PurePosixPath("representative" + given.representative.suffix)
            inputs[path] = given.representative
            options += ["--representative", str(path)]
        return self._python_step(
            f"convert {model.name}",
            "model.convert_network",
            tuple(options),
            (f"{model.name}.tflite",),
            inputs=inputs,
            timeout_seconds=_TRAINING_SECONDS,
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
        return self._python_step(
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
        return self._story_step(
            f"reference {model.name}",
            "model.case_references",
            files,
            ("reference.json", CASES_SOURCE),
            arguments=("--name", model.name, "--judge", self.tflm_version),
        )

    def model_steps(self, model: Model) -> list[Step]:
        """Return everything that leads to a model's sources and reference."""
        if model.given is None:
            steps = [self.train(model.family), self.convert(model.family), self.embed(model)]
        else:
            steps = [self.convert_network(model)] if model.given.is_network else []
            # Refused models are refused by the first step; nothing else is begun before.
            steps += [self.embed(model), self.draw_cases(model), *self.judge(model)]
        return [*steps, self.reference(model)]

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

    def interpreter(self, board: Board, model: Model, build_type: BuildType) -> Step:
        """Compile the interpreter's use by a model; shared by all boards of a core.

        Its sources include the whole runtime, so that it takes longer than all of a board's files;
        it depends on the model's operators and not on its weights.
        """
        name = _interpreter_name(target_arch(board), model, build_type)
        inputs = self._files(_INTERPRETER_INPUTS)
        return self._of_runtime(
            name, "interpreter", (board, model, build_type), inputs, _interpreter_outputs(model)
        )

    def _of_runtime(
        self,
        name: str,
        goal: str,
        of: tuple[Board, Model, BuildType],
        inputs: Mapping[PurePosixPath, Path | bytes | OutputOf],
        outputs: tuple[PurePosixPath, ...],
    ) -> Step:
        """Return a step of make that needs the whole runtime, and of a model its operators."""
        board, model, build_type = of
        embedded = {
            PurePosixPath("model", model.name, source): OutputOf(
                f"embed {model.name}", PurePosixPath(source)
            )
            for source in _INTERPRETER_MODEL_INPUTS
        }
        return Step(
            name=name,
            image=self.cross_image,
            arguments=(
                *_MAKE,
                f"TARGET_ARCH={target_arch(board)}",
                f"BUILD_TYPE={build_type}",
                f"MODEL={model.name}",
                "GENDIR=/out",
                goal,
            ),
            inputs={**inputs, **embedded},
            outputs=outputs,
            working_directory=_TREE,
        )

    def workspace(
        self, board: Board, model: Model, build_type: BuildType, arena_bytes: int | None = None
    ) -> Mapping[PurePosixPath, Path | bytes | OutputOf]:
        """Return everything that make needs to build a firmware, by path.

        Args:
            board: what it is for.
            model: what it runs.
            build_type: how it is compiled.
            arena_bytes: size of the tensor arena; None for the embed step's estimate.
        """
        sources = self._files(
            self._under("tflm/common", _SOURCE_SUFFIXES),
            self._under(f"tflm/{model.application}", _SOURCE_SUFFIXES),
            ["tflm/Makefile"],
            self._under("boards/common", _SOURCE_SUFFIXES),
            self._under(f"boards/{board.name}", _SOURCE_SUFFIXES),
        )
        generated = generated_files(board)
        compiled = _compiled_before(target_arch(board), model, build_type)
        embedded = self.model_sources(model, arena_bytes)
        return {**sources, **generated, **embedded, **compiled}

    def model_sources(
        self, model: Model, arena_bytes: int | None = None
    ) -> Mapping[PurePosixPath, bytes | OutputOf]:
        """Return what the firmware is compiled from of a model, by path in the workspace."""
        folder = PurePosixPath("model", model.name)
        sources: dict[PurePosixPath, bytes | OutputOf] = {
            folder / name: OutputOf(f"embed {model.name}", PurePosixPath(name))
            for name in MODEL_SOURCES
        }
        if model.given is not None:
            sources[folder / CASES_SOURCE] = OutputOf(
                f"reference {model.name}", PurePosixPath(CASES_SOURCE)
            )
        if arena_bytes is not None:
            sources[folder / ARENA_HEADER] = arena_header(arena_bytes).encode()
        return sources

    def sources(self, board: Board, model: Model, build_type: BuildType) -> Step:
        """Collect the runtime's sources that a model needs: ``sources.tar`` and ``sources.txt``.

        The first holds them with all headers, the second names those that are compiled. They are
        shared by all boards of a core.
        """
        architecture = target_arch(board)
        inputs: dict[PurePosixPath, Path | bytes | OutputOf] = {
            **self._files(_INTERPRETER_INPUTS, ["tflm/common/console.cc"]),
            **_compiled_before(architecture, model, build_type),
        }
        outputs = (PurePosixPath("sources.tar"), PurePosixPath("sources.txt"))
        name = _sources_name(architecture, model, build_type)
        return self._of_runtime(name, "sources", (board, model, build_type), inputs, outputs)

    def format_inputs(
        self,
        board: Board,
        model: Model,
        build_type: BuildType,
        name: Format,
        arena_bytes: int | None = None,
    ) -> Mapping[PurePosixPath, Path | bytes | OutputOf]:
        """Return what a file of the format ``name`` is made from, by path."""
        if name == "arduino_library":
            step = _sources_name(target_arch(board), model, build_type)
            return {
                **self._files(
                    self._under("tflm/common", {".cc", ".h"}),
                    self._under(f"tflm/{model.application}", {".cc", ".h"}),
                    self._under("tflm/arduino", {".cc", ".h", ".md", ".properties"}),
                    ["boards/common/board.h"],
                ),
                **self.model_sources(model, arena_bytes),
                **{
                    PurePosixPath(made): OutputOf(step, PurePosixPath(made))
                    for made in ("sources.tar", "sources.txt")
                },
            }
        step = firmware_name(model.application, board, model, build_type)
        return {
            path: OutputOf(step, PurePosixPath("bin", model.application + path.suffix))
            for path in (IMAGE, HEX)
        }

    def firmware(
        self,
        board: Board,
        model: Model,
        build_type: BuildType,
        application: Application,
        arena_bytes: int | None = None,
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
            inputs=self.workspace(board, model, build_type, arena_bytes),
            outputs=(program, *(program.with_suffix(f".{end}") for end in ("bin", "hex", "map"))),
            working_directory=_TREE,
        )

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
            for step in self.model_steps(model):
                add(step)
            applications = [model.application, *([model.test_application] if tests else [])]
            for board in boards:
                add(self.library(board, build_type))
                add(self.interpreter(board, model, build_type))
                arena = (arenas or {}).get((board.name, model.name))
                for application in applications:
                    add(self.firmware(board, model, build_type, application, arena))
                if "arduino_library" in board.package.formats:
                    add(self.sources(board, model, build_type))
        return list(steps.values())

    def _python_step(
        self,
        name: str,
        module: str,
        arguments: tuple[str, ...],
        outputs: tuple[str, ...],
        *,
        inputs: Mapping[PurePosixPath, Path | OutputOf] | None = None,
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
        files: Mapping[str, Path | OutputOf],
        outputs: tuple[str, ...],
        *,
        arguments: tuple[str, ...] = (),
        inputs: Mapping[PurePosixPath, OutputOf] | None = None,
    ) -> Step:
        """Return a step that is told each of ``files`` by the option of its name."""
        given: dict[PurePosixPath, Path | OutputOf] = dict(inputs or {})
        options: list[str] = []
        for option, source in files.items():
            name_there = source.path.name if isinstance(source, OutputOf) else option
            path = PurePosixPath(option, name_there)
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
            inputs={path: tflite_source(model)},
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


def tflite_source(model: Model) -> Path | OutputOf:
    """Return where the ``.tflite`` file of a model comes from."""
    if model.given is not None and not model.given.is_network:
        return model.given.file
    return OutputOf(f"convert {model.family}", PurePosixPath(f"{model.name}.tflite"))


def _given(model: Model) -> GivenModel:
    assert model.given is not None
    return model.given


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
    interpreter = _interpreter_name(architecture, model, build_type)
    return {
        folder / LIBRARY: library,
        **{
            folder / model.name / path.name: OutputOf(interpreter, path)
            for path in _interpreter_outputs(model)
        },
    }


def _sources_name(architecture: str, model: Model, build_type: BuildType) -> str:
    return f"sources {architecture} {model.name} {build_type}"


def published_path(model: Model, step: str, path: PurePosixPath) -> PurePosixPath | None:
    """Return where a step's output stands under ``build/model/<family>``; None for nowhere."""
    family = model.family
    verb, _, subject = step.partition(" ")
    if model.given is not None:
        kept = subject == model.name and verb in {"convert", "embed", "cases", "reference"}
        return path if kept and path.name != "cases.bin" else None
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


def _interpreter_name(architecture: str, model: Model, build_type: BuildType) -> str:
    return f"interpreter {architecture} {model.name} {build_type}"


def _interpreter_outputs(model: Model) -> tuple[PurePosixPath, ...]:
    names = (
        "interpreter.sha256",
        "tflm/common/interpreter.cc.o",
        f"model/{model.name}/model_operators.cc.o",
    )
    return tuple(PurePosixPath("obj", name) for name in names)
