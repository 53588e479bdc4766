"""Puts models and firmwares that steps made under ``build/``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, StepResult, publish
from toolchain.boards import Board
from toolchain.building.built import ARENA, REPORTS, SIZE, Arena, Artifact, BuiltFirmware
from toolchain.building.checked import Checker, LinkedProgram, read_size
from toolchain.building.step_output import step_number
from toolchain.digest import Digest
from toolchain.firmware.formats import file_name
from toolchain.flashing.instructions import NAME as FLASHING
from toolchain.flashing.instructions import Firmware, instructions
from toolchain.machine import MACHINE_RECORD
from toolchain.models import DEFAULT_MODEL, BuildType, Model
from toolchain.pipeline import firmware_name
from toolchain.pipeline.model_steps import tflite_source
from toolchain.pipeline.publication import published_path, story_files
from toolchain.session import Session


def publish_model(
    session: Session, model: Model, results: Mapping[str, StepResult]
) -> Mapping[PurePosixPath, Digest]:
    """Put everything known of ``model``'s family under ``build/model/<family>``.

    A given ``.tflite`` file is put there too.

    What ``./invoke train`` tells about the same network stays there.
    """
    family = model.family
    files: dict[PurePosixPath, Digest] = {}
    for name, result in results.items():
        for path, digest in result.outputs.items():
            place = published_path(model, name, path)
            if place is not None:
                files[place] = digest
    source = tflite_source(model)
    if isinstance(source, Path):
        files[PurePosixPath(f"{model.name}.tflite")] = session.runner.store.put_file(source)
    publish(
        session.runner.store,
        files,
        session.layout.build / "model" / family,
        reports=(story_files(family) if model.given is None else frozenset()) | {MACHINE_RECORD},
    )
    return files


@dataclass(frozen=True)
class Program:
    """What one firmware is made for and of."""

    board: Board
    model: Model
    build_type: BuildType


def publish_firmware(
    session: Session,
    program: Program,
    results: Mapping[str, StepResult],
    arena: Arena | None = None,
) -> BuiltFirmware:
    """Check an application that was linked and put it under ``build/<target>/<model>``.

    Raises:
        FirmwareInvalidError: the board would not start it; nothing is published.
        FirmwareDoesNotFitError: it is too large; nothing is published.
        StepFailedError: what is known of a given model cannot be read.
    """
    store = session.runner.store
    board, model, build_type = program.board, program.model, program.build_type
    application = model.application
    linked = LinkedProgram.of(results[firmware_name(application, board, model, build_type)])
    checker = Checker(store, session.layout)
    size_json = checker.size(board, linked)
    elf = PurePosixPath(f"{application}.elf")
    files = {elf: linked.elf, elf.with_suffix(".map"): linked.link_map, SIZE: size_json}
    size = arena.size_bytes if arena else None
    for name in board.package.formats:
        inputs = session.pipeline.firmwares.format_inputs(board, model, build_type, name, size)
        contents = {path: _content(session, source, results) for path, source in inputs.items()}
        file = PurePosixPath(file_name(application, name))
        files[file] = checker.packaged(board, name, contents)
    described = Firmware(application, model.name, _flash_options(model))
    text = instructions(board, described).encode()
    files[PurePosixPath(FLASHING)] = store.put_bytes(text)
    if arena is not None:
        files[ARENA] = store.put_bytes(arena.as_json())
    shown = sorted(files)
    for path, source in session.pipeline.firmwares.workspace(
        board, model, build_type, size
    ).items():
        files["workspace" / path] = _content(session, source, results)
    folder = session.layout.build / board.name / model.name
    publish(store, files, folder, reports=REPORTS)
    return BuiltFirmware(
        board=board,
        model=model,
        build_type=build_type,
        folder=folder,
        artifacts=tuple(Artifact(folder / path, files[path]) for path in shown),
        image=folder / f"{application}.bin",
        elf=folder / elf,
        size=read_size(store.get(size_json)),
        arena=arena,
        multiply_accumulates=_number(session, results, "embed", model, "model.json"),
        cases=_number(session, results, "reference", model, "reference.json"),
    )


def _flash_options(model: Model) -> str:
    if model.given is None:
        return "" if model.name == DEFAULT_MODEL else f"--model {model.name}"
    # Where the user keeps the files is nobody else's business.
    files = {"model": model.given.file, "representative": model.given.representative}
    return " ".join(
        f"--{option} {shlex.quote(path.name)}" for option, path in files.items() if path
    )


_NUMBERS = {"model.json": "multiply_accumulates", "reference.json": "cases"}


def _number(
    session: Session, results: Mapping[str, StepResult], verb: str, model: Model, file: str
) -> int:
    if model.given is None:
        return 0
    result = results[f"{verb} {model.name}"]
    return step_number(session.runner.store, result, PurePosixPath(file), _NUMBERS[file])


def _content(
    session: Session, source: Path | bytes | OutputOf, results: Mapping[str, StepResult]
) -> Digest:
    store = session.runner.store
    if isinstance(source, OutputOf):
        return results[source.step].outputs[source.path]
    return store.put_bytes(source) if isinstance(source, bytes) else store.put_file(source)
