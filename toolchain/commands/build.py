"""Builds firmwares, checks them and puts them where the user looks."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, StepResult, publish
from toolchain.boards import Board, Format, board_names, find_board
from toolchain.commands.options import DEFAULT_MODEL
from toolchain.commands.session import Session
from toolchain.digest import Digest
from toolchain.errors import FirmwareDoesNotFitError, FirmwareInvalidError, StepFailedError
from toolchain.firmware import formats
from toolchain.firmware.formats import FormatError, file_name, find_format
from toolchain.firmware.size import LayerSize, SizeReport
from toolchain.flashing.instructions import NAME as FLASHING
from toolchain.flashing.instructions import Firmware, instructions
from toolchain.layout import Layout
from toolchain.machine import MACHINE_RECORD, remember_machines
from toolchain.pipeline import (
    Arenas,
    BuildType,
    Model,
    firmware_name,
    published_path,
    story_files,
    tflite_source,
)

ALL_TARGETS = "all"
SIZE_SCHEMA = "tinyml-toolchain/size/1"

ARENA_SCHEMA = "tinyml-toolchain/arena/1"

SIZE = PurePosixPath("size.json")
ARENA = PurePosixPath("arena.json")
SIMULATION_REPORT = PurePosixPath("simulation.json")
SIMULATION_PICTURE = PurePosixPath("simulation.png")
DISPLAY_PICTURE = PurePosixPath("display.png")
VERIFY_REPORT = PurePosixPath("verify.json")
REPORTS = (SIMULATION_REPORT, SIMULATION_PICTURE, DISPLAY_PICTURE, VERIFY_REPORT)
"""What other commands write beside a firmware; gone as soon as the firmware is another one."""

# What GNU ld says when a section leaves its memory region, and the linker script's own assertions.
_OVERFLOWED = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")
_DOES_NOT_FIT = ("will not fit in region", "overflowed by", "does not fit", "reach into the stack")


@dataclass(frozen=True)
class Artifact:
    """A file made for the user."""

    path: Path
    digest: Digest


@dataclass(frozen=True)
class Arena:
    """The tensor arena of a given model on a board; all sizes in bytes.

    Attributes:
        size_bytes: that the firmware has.
        smallest_bytes: smallest with which it starts; 16 less were tried and fail.
        used_bytes: that the interpreter keeps once it has started; more is needed on the way.
        tried: sizes that were tried in the simulator.
    """

    size_bytes: int
    smallest_bytes: int
    used_bytes: int
    tried: tuple[int, ...]

    @property
    def margin_bytes(self) -> int:
        """What the firmware has more than it needs."""
        return self.size_bytes - self.smallest_bytes

    def as_json(self) -> bytes:
        """Return what ``arena.json`` holds."""
        document = {
            "schema": ARENA_SCHEMA,
            **dataclasses.asdict(self),
            "margin_bytes": self.margin_bytes,
        }
        return (json.dumps(document, indent=2) + "\n").encode()


@dataclass(frozen=True)
class BuiltFirmware:
    """A firmware that was built and checked.

    Attributes:
        folder: ``build/<target>/<model>``.
        artifacts: the files to flash or to look at, without the workspace.
        image: the flashable file.
        elf: the linked file, for names and lines.
        arena: of a given model.
        multiply_accumulates: products that an inference of a given model adds up; else 0.
        cases: inputs that a given model's firmware holds; else 0.
    """

    board: Board
    model: Model
    build_type: BuildType
    folder: Path
    artifacts: tuple[Artifact, ...]
    image: Path
    elf: Path
    size: SizeReport
    arena: Arena | None = None
    multiply_accumulates: int = 0
    cases: int = 0

    def as_json(self) -> dict[str, object]:
        """Return what ``./invoke build --json`` tells of it."""
        return {
            "target": self.board.name,
            "model": self.model.name,
            "build_type": self.build_type,
            "artifacts": [
                {"path": str(artifact.path), **dataclasses.asdict(artifact.digest)}
                for artifact in self.artifacts
            ],
            "size": dataclasses.asdict(self.size),
            "arena": dataclasses.asdict(self.arena) if self.arena else None,
        }


def find_targets(layout: Layout, name: str) -> tuple[Board, ...]:
    """Return the board called ``name``, or every board for ``all``.

    Raises:
        UnknownTargetError: there is no such board.
        BoardDescriptionError: a description cannot be used.
    """
    names = board_names(layout.boards) if name == ALL_TARGETS else (name,)
    return tuple(find_board(layout.boards, each) for each in names)


def build(
    session: Session,
    boards: Sequence[Board],
    model: Model,
    build_type: BuildType,
    arena_bytes: int | None = None,
) -> tuple[BuiltFirmware, ...]:
    """Build the application of ``model`` for each board and publish it under ``build/``.

    Args:
        session: the open command.
        boards: what to build for.
        model: what to build.
        build_type: how it is compiled.
        arena_bytes: size of a given model's tensor arena; None for the smallest that works.

    Raises:
        ToolchainError: any step failed, or a firmware does not pass its checks.
    """
    return run_and_publish(session, boards, [model], build_type, arena_bytes=arena_bytes).firmwares


@dataclass(frozen=True)
class Built:
    """What was built, and of what.

    Attributes:
        firmwares: for each board, each model.
        results: of every step.
    """

    firmwares: tuple[BuiltFirmware, ...]
    results: Mapping[str, StepResult]


def run_and_publish(
    session: Session,
    boards: Sequence[Board],
    models: Sequence[Model],
    build_type: BuildType,
    *,
    tests: bool = False,
    arena_bytes: int | None = None,
) -> Built:
    """Build and publish every combination; see ``build``.

    Args:
        session: the open command.
        boards: what to build for.
        models: what to build.
        build_type: how it is compiled.
        tests: whether also to make the programs whose outputs are compared.
        arena_bytes: size of given models' tensor arenas; None for the smallest that works.
    """
    arenas: dict[tuple[str, str], Arena] = {}
    for model in models:
        if model.given is not None:
            from toolchain.commands.arena import find_arenas

            if model.given.is_network and model.given.representative is None:
                session.reporter.note(
                    f"{model.name} is converted to float32; --representative data.npy, inputs as "
                    "the network sees them in use, makes it int8, smaller and faster"
                )
            arenas |= find_arenas(session, boards, model, build_type, arena_bytes)
    sizes = {place: arena.size_bytes for place, arena in arenas.items()}
    results = run_firmware_steps(session, boards, models, build_type, tests=tests, arenas=sizes)
    for model in models:
        publish_model(session, model, results)
    programs = [Program(board, model, build_type) for board in boards for model in models]
    firmwares = tuple(
        publish_firmware(session, each, results, arenas.get((each.board.name, each.model.name)))
        for each in programs
    )
    return Built(firmwares, results)


def run_firmware_steps(
    session: Session,
    boards: Sequence[Board],
    models: Sequence[Model],
    build_type: BuildType,
    *,
    tests: bool = False,
    arenas: Arenas | None = None,
) -> Mapping[str, StepResult]:
    """Run every step that the firmwares need.

    Raises:
        FirmwareDoesNotFitError: the linker found no room.
        ToolchainError: another step failed.
    """
    steps = session.pipeline.firmware_steps(boards, models, build_type, tests=tests, arenas=arenas)
    try:
        results = session.runner.run(steps)
    except StepFailedError as error:
        does_not_fit = _does_not_fit(error, build_type)
        if does_not_fit is None:
            raise
        raise does_not_fit from error
    remember_machines(session.layout, results)
    return results


def _does_not_fit(error: StepFailedError, build_type: BuildType) -> FirmwareDoesNotFitError | None:
    """Return what the linker said as an error of its own; None when it said something else."""
    said = [
        line.rpartition("/ld: ")[2].strip()
        for line in str(error).splitlines()
        if any(sign in line for sign in _DOES_NOT_FIT)
    ]
    if not said:
        return None
    step = error.what.partition(" failed ")[0]
    missing = ", ".join(
        f"{int(size):,} bytes of {'RAM' if region == 'ram' else region}"
        for region, size in dict(_OVERFLOWED.findall("\n".join(said))).items()
    )
    smaller = "" if build_type == "release" else ", or build with --build-type release"
    return FirmwareDoesNotFitError(
        f"the firmware does not fit the board's memory: {step}"
        + (f" lacks {missing}" if missing else ""),
        why=f"the linker says: {'; '.join(said)}",
        next_step=f"make the model or its tensor arena smaller{smaller}; {error.next_step}",
    )


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
    """
    store = session.runner.store
    board, model, build_type = program.board, program.model, program.build_type
    application = model.application
    outputs = results[firmware_name(application, board, model, build_type)].outputs
    linked = {path.suffix.removeprefix("."): digest for path, digest in outputs.items()}
    size_json = checked_size(session, board, linked[""], linked["bin"], linked["map"])
    elf = PurePosixPath(f"{application}.elf")
    files = {elf: linked[""], elf.with_suffix(".map"): linked["map"], SIZE: size_json}
    size = arena.size_bytes if arena else None
    for name in board.package.formats:
        inputs = session.pipeline.format_inputs(board, model, build_type, name, size)
        contents = {path: _content(session, source, results) for path, source in inputs.items()}
        files[PurePosixPath(file_name(application, name))] = packaged(
            session, board, name, contents
        )
    described = Firmware(application, model.name, _flash_options(model))
    text = instructions(board, described).encode()
    files[PurePosixPath(FLASHING)] = store.put_bytes(text)
    if arena is not None:
        files[ARENA] = store.put_bytes(arena.as_json())
    shown = sorted(files)
    for path, source in session.pipeline.workspace(board, model, build_type, size).items():
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
    digest = results[f"{verb} {model.name}"].outputs[PurePosixPath(file)]
    return int(json.loads(session.runner.store.get(digest))[_NUMBERS[file]])


def _content(
    session: Session, source: Path | bytes | OutputOf, results: Mapping[str, StepResult]
) -> Digest:
    store = session.runner.store
    if isinstance(source, OutputOf):
        return results[source.step].outputs[source.path]
    return store.put_bytes(source) if isinstance(source, bytes) else store.put_file(source)


def checked_size(
    session: Session, board: Board, elf: Digest, image: Digest, link_map: Digest
) -> Digest:
    """Check a linked firmware and return the digest of its size report.

    Reading an ELF file takes a quarter of a second, so the report of files that were checked before
    is remembered by their digests and the board's description.

    Raises:
        FirmwareInvalidError: the board would not start it.
        FirmwareDoesNotFitError: it is too large.
    """
    store = session.runner.store
    key = Digest.of_bytes(
        "\n".join(
            [SIZE_SCHEMA, board.model_dump_json(), *map(str, (elf, image, link_map))]
        ).encode()
    )
    memo = session.layout.cache / "checked" / key.sha256
    try:
        report = Digest.of_bytes(memo.read_bytes())
        if store.contains(report):
            return report
    except OSError:
        pass

    from toolchain.actions.action_cache import write_atomically
    from toolchain.firmware.elf import check_firmware, read_firmware_elf
    from toolchain.firmware.size import size_report

    firmware = read_firmware_elf(store.get(elf))
    check_firmware(board, firmware, store.get(image))
    size = size_report(board, firmware, store.get(link_map).decode("utf-8", "replace"))
    data = _size_json(board, elf, image, size)
    write_atomically(memo, data)
    return store.put_bytes(data)


def packaged(
    session: Session, board: Board, name: Format, inputs: Mapping[PurePosixPath, Digest]
) -> Digest:
    """Write a file of the format ``name``, read it back, and return its digest.

    What was made before of the same inputs by the same code is remembered.

    Raises:
        FirmwareInvalidError: what was written is not what was to be written.
        FirmwareDoesNotFitError: the format has no room for the image.
    """
    store = session.runner.store
    parts = [name, _code_of_formats(), board.model_dump_json()]
    parts += [f"{path} {digest}" for path, digest in sorted(inputs.items())]
    key = Digest.of_bytes("\n".join(parts).encode())
    memo = session.layout.cache / "packaged" / key.sha256
    try:
        sha256, _, size = memo.read_text(encoding="ascii").partition("/")
        made = Digest(sha256, int(size))
        if store.contains(made):
            return made
    except (OSError, ValueError):
        pass

    from toolchain.actions.action_cache import write_atomically

    kind = find_format(name)
    files = {path: store.get(digest) for path, digest in inputs.items()}
    try:
        data = kind.write(board, files)
        made = store.put_bytes(data)
        kind.check(board, files, store.get(made))
    except FormatError as error:
        raise FirmwareInvalidError(
            f"the {name} file for {board.title} is not what it must be", why=str(error)
        ) from error
    write_atomically(memo, str(made).encode("ascii"))
    return made


@functools.cache
def _code_of_formats() -> str:
    folder = Path(formats.__file__).parent
    return " ".join(Digest.of_file(path).sha256 for path in sorted(folder.glob("*.py")))


def _size_json(board: Board, elf: Digest, image: Digest, size: SizeReport) -> bytes:
    report = {
        "schema": SIZE_SCHEMA,
        "target": board.name,
        "elf_sha256": elf.sha256,
        "image_sha256": image.sha256,
        **dataclasses.asdict(size),
    }
    return (json.dumps(report, indent=2) + "\n").encode()


def read_size(data: bytes) -> SizeReport:
    """Read a ``size.json``."""
    report = json.loads(data)
    return SizeReport(
        **{
            field.name: report[field.name]
            for field in dataclasses.fields(SizeReport)
            if field.name != "layers"
        },
        layers=tuple(LayerSize(**layer) for layer in report["layers"]),
    )
