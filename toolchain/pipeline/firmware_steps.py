"""The steps that lead from a model's C++ to a firmware, by make in the image with the Arm compiler.

```
library -----> firmware
interpreter -> firmware
            -> sources
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, Step
from toolchain.actions.model import Input
from toolchain.boards import Board, Format
from toolchain.firmware.formats.base import HEX, IMAGE
from toolchain.firmware.generated import arena_header, generated_files, target_arch
from toolchain.firmware.size import LIBRARY
from toolchain.layout import Layout
from toolchain.models import Application, BuildType, Model
from toolchain.pipeline.make import MAKE, TREE
from toolchain.pipeline.model_steps import ARENA_HEADER, CASES_SOURCE, MODEL_SOURCES

SOURCE_SUFFIXES = frozenset({".cc", ".h", ".mk", ".inc"})
"""What of the folders of sources a firmware's workspace gets."""

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
class FirmwareSteps:
    """Makes the steps of firmwares.

    Attributes:
        layout: the checkout.
        image: content name of the image with the Arm compiler and the TFLM tree.
    """

    layout: Layout
    image: str

    def library(self, board: Board, build_type: BuildType) -> Step:
        """Compile the runtime and its kernels; shared by all boards of a core."""
        architecture = target_arch(board)
        return Step(
            name=f"library {architecture} {build_type}",
            image=self.image,
            arguments=(
                *MAKE,
                f"TARGET_ARCH={architecture}",
                f"BUILD_TYPE={build_type}",
                "GENDIR=/out",
                "microlite",
            ),
            inputs=self._files(self._under("tflm", {".mk", ".inc"}), ["tflm/Makefile"]),
            outputs=(PurePosixPath("lib") / LIBRARY,),
            working_directory=TREE,
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
        inputs: Mapping[PurePosixPath, Input],
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
            image=self.image,
            arguments=(
                *MAKE,
                f"TARGET_ARCH={target_arch(board)}",
                f"BUILD_TYPE={build_type}",
                f"MODEL={model.name}",
                "GENDIR=/out",
                goal,
            ),
            inputs={**inputs, **embedded},
            outputs=outputs,
            working_directory=TREE,
        )

    def workspace(
        self, board: Board, model: Model, build_type: BuildType, arena_bytes: int | None = None
    ) -> Mapping[PurePosixPath, Input]:
        """Return everything that make needs to build a firmware, by path.

        Args:
            board: what it is for.
            model: what it runs.
            build_type: how it is compiled.
            arena_bytes: size of the tensor arena; None for the embed step's estimate.
        """
        sources = self._files(
            self._under("tflm/common", SOURCE_SUFFIXES),
            self._under(f"tflm/{model.application}", SOURCE_SUFFIXES),
            ["tflm/Makefile"],
            self._under("boards/common", SOURCE_SUFFIXES),
            self._under(f"boards/{board.name}", SOURCE_SUFFIXES),
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
        inputs: dict[PurePosixPath, Input] = {
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
    ) -> Mapping[PurePosixPath, Input]:
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
            image=self.image,
            arguments=(
                *MAKE,
                f"TARGET={board.name}",
                f"MODEL={model.name}",
                f"BUILD_TYPE={build_type}",
                "GENDIR=/out",
                f"{application}_bin",
            ),
            inputs=self.workspace(board, model, build_type, arena_bytes),
            outputs=(program, *(program.with_suffix(f".{end}") for end in ("bin", "hex", "map"))),
            working_directory=TREE,
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


def _interpreter_name(architecture: str, model: Model, build_type: BuildType) -> str:
    return f"interpreter {architecture} {model.name} {build_type}"


def _interpreter_outputs(model: Model) -> tuple[PurePosixPath, ...]:
    names = (
        "interpreter.sha256",
        "tflm/common/interpreter.cc.o",
        f"model/{model.name}/model_operators.cc.o",
    )
    return tuple(PurePosixPath("obj", name) for name in names)
