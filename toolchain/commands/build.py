"""Builds firmwares, checks them and puts them where the user looks."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, StepResult, publish
from toolchain.boards import Board, Format, board_names, find_board
from toolchain.commands.session import Session
from toolchain.digest import Digest
from toolchain.errors import FirmwareDoesNotFitError, FirmwareInvalidError, StepFailedError
from toolchain.firmware import formats
from toolchain.firmware.formats import FILE_NAMES, FormatError, find_format
from toolchain.firmware.size import LayerSize, SizeReport
from toolchain.flashing.instructions import NAME as FLASHING
from toolchain.flashing.instructions import instructions
from toolchain.layout import Layout
from toolchain.machine import MACHINE_RECORD, remember_machines
from toolchain.pipeline import (
    Application,
    BuildType,
    Model,
    firmware_name,
    published_path,
    story_files,
)

ALL_TARGETS = "all"
SIZE_SCHEMA = "tinyml-toolchain/size/1"

SIMULATION_REPORT = PurePosixPath("simulation.json")
SIMULATION_PICTURE = PurePosixPath("simulation.png")
DISPLAY_PICTURE = PurePosixPath("display.png")
VERIFY_REPORT = PurePosixPath("verify.json")
REPORTS = (SIMULATION_REPORT, SIMULATION_PICTURE, DISPLAY_PICTURE, VERIFY_REPORT)
"""What other commands write beside a firmware; gone as soon as the firmware is another one."""

# What GNU ld says when a section leaves its memory region, and the linker script's own assertions.
_DOES_NOT_FIT = ("will not fit in region", "overflowed by", "does not fit", "reach into the stack")


@dataclass(frozen=True)
class Artifact:
    """A file made for the user."""

    path: Path
    digest: Digest


@dataclass(frozen=True)
class BuiltFirmware:
    """A firmware that was built and checked.

    Attributes:
        folder: ``build/<target>/<model>``.
        artifacts: the files to flash or to look at, without the workspace.
        image: the flashable file.
        elf: the linked file, for names and lines.
    """

    board: Board
    model: Model
    build_type: BuildType
    folder: Path
    artifacts: tuple[Artifact, ...]
    image: Path
    elf: Path
    size: SizeReport


def find_targets(layout: Layout, name: str) -> tuple[Board, ...]:
    """Return the board called ``name``, or every board for ``all``.

    Raises:
        UnknownTargetError: there is no such board.
        BoardDescriptionError: a description cannot be used.
    """
    names = board_names(layout.boards) if name == ALL_TARGETS else (name,)
    return tuple(find_board(layout.boards, each) for each in names)


def build(
    session: Session, boards: Sequence[Board], model: Model, build_type: BuildType
) -> tuple[BuiltFirmware, ...]:
    """Build ``hello_world`` with ``model`` for each board and publish it under ``build/``.

    Raises:
        ToolchainError: any step failed, or a firmware does not pass its checks.
    """
    results = run_firmware_steps(session, boards, [model], build_type, ["hello_world"])
    publish_model(session, model, results)
    return tuple(publish_firmware(session, board, model, build_type, results) for board in boards)


def run_firmware_steps(
    session: Session,
    boards: Sequence[Board],
    models: Sequence[Model],
    build_type: BuildType,
    applications: Sequence[Application],
) -> Mapping[str, StepResult]:
    """Run every step that the firmwares need.

    Raises:
        FirmwareDoesNotFitError: the linker found no room.
        ToolchainError: another step failed.
    """
    pipeline = session.pipeline
    steps = pipeline.firmware_steps(boards, models, build_type, applications)
    steps += [pipeline.reference(model) for model in models]
    try:
        results = session.runner.run(steps)
    except StepFailedError as error:
        said = [
            line.rpartition("/ld: ")[2].strip()
            for line in str(error).splitlines()
            if any(sign in line for sign in _DOES_NOT_FIT)
        ]
        if said:
            step = error.what.partition(" failed ")[0]
            smaller = "" if build_type == "release" else ", or build with --build-type release"
            raise FirmwareDoesNotFitError(
                f"the firmware does not fit the board's memory: {step}",
                why=f"the linker says: {'; '.join(said)}",
                next_step=f"make the model or its tensor arena smaller{smaller}; {error.next_step}",
            ) from error
        raise
    remember_machines(session.layout, results)
    return results


def publish_model(
    session: Session, model: Model, results: Mapping[str, StepResult]
) -> Mapping[PurePosixPath, Digest]:
    """Put everything known of ``model``'s family under ``build/model/<family>``.

    What ``./invoke train`` tells about the same network stays there.
    """
    family = model.family
    files: dict[PurePosixPath, Digest] = {}
    for name, result in results.items():
        for path, digest in result.outputs.items():
            place = published_path(family, name, path)
            if place is not None:
                files[place] = digest
    publish(
        session.runner.store,
        files,
        session.layout.build / "model" / family,
        reports=story_files(family) | {MACHINE_RECORD},
    )
    return files


def publish_firmware(
    session: Session,
    board: Board,
    model: Model,
    build_type: BuildType,
    results: Mapping[str, StepResult],
) -> BuiltFirmware:
    """Check a ``hello_world`` that was linked and put it under ``build/<target>/<model>``.

    Raises:
        FirmwareInvalidError: the board would not start it; nothing is published.
        FirmwareDoesNotFitError: it is too large; nothing is published.
    """
    store = session.runner.store
    outputs = results[firmware_name("hello_world", board, model, build_type)].outputs
    program = {path.suffix.removeprefix("."): digest for path, digest in outputs.items()}
    size_json = checked_size(session, board, program[""], program["bin"], program["map"])
    files = {PurePosixPath("hello_world.elf"): program[""], PurePosixPath("size.json"): size_json}
    files[PurePosixPath("hello_world.map")] = program["map"]
    for name in board.package.formats:
        inputs = session.pipeline.format_inputs(board, model, build_type, name)
        contents = {path: _content(session, source, results) for path, source in inputs.items()}
        files[PurePosixPath(FILE_NAMES[name])] = packaged(session, board, name, contents)
    text = instructions(board, model.name).encode()
    files[PurePosixPath(FLASHING)] = store.put_bytes(text)
    shown = sorted(files)
    for path, source in session.pipeline.workspace(board, model, build_type).items():
        files["workspace" / path] = _content(session, source, results)
    folder = session.layout.build / board.name / model.name
    publish(store, files, folder, reports=REPORTS)
    return BuiltFirmware(
        board=board,
        model=model,
        build_type=build_type,
        folder=folder,
        artifacts=tuple(Artifact(folder / path, files[path]) for path in shown),
        image=folder / "hello_world.bin",
        elf=folder / "hello_world.elf",
        size=_read_size(store.get(size_json)),
    )


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
            f"{FILE_NAMES[name]} for {board.title} is not what it must be", why=str(error)
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


def _read_size(data: bytes) -> SizeReport:
    report = json.loads(data)
    return SizeReport(
        **{
            field.name: report[field.name]
            for field in dataclasses.fields(SizeReport)
            if field.name != "layers"
        },
        layers=tuple(LayerSize(**layer) for layer in report["layers"]),
    )
