"""Sizes the tensor arena of a given model for each board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from toolchain.actions import StepResult
from toolchain.boards import Board
from toolchain.building.arena_measurement import measure_arena
from toolchain.building.built import Arena
from toolchain.building.checked import Checker, LinkedProgram, read_size
from toolchain.building.firmware_run import run_firmware_steps
from toolchain.building.step_output import step_number
from toolchain.errors import FirmwareDoesNotFitError, UsageError
from toolchain.firmware.generated import ARENA_GRANULE
from toolchain.models import BuildType, Model
from toolchain.pipeline import firmware_name
from toolchain.session import Session

_CURE = "make the largest layers of the model smaller: its arena holds what they read and write"


def find_arenas(
    session: Session,
    boards: Sequence[Board],
    model: Model,
    build_type: BuildType,
    wanted: int | None,
) -> dict[tuple[str, str], Arena]:
    """Return the arena of ``model`` on each board, by the names of both.

    Args:
        session: the open command.
        boards: what to build for.
        model: a given model.
        build_type: how it is compiled.
        wanted: size in bytes, rounded up to a multiple of 16; None for the smallest that works.

    Raises:
        FirmwareDoesNotFitError: a board has not enough RAM for it.
        UsageError: ``wanted`` is less than the model needs.
        ToolchainError: a step or the simulation failed.
    """
    arenas = {}
    for board in boards:
        measured = _smallest(session, board, model, build_type)
        size = (
            measured.smallest_bytes
            if wanted is None
            else -(-wanted // ARENA_GRANULE) * ARENA_GRANULE
        )
        if size < measured.smallest_bytes:
            raise UsageError(
                f"an arena of {size:,} bytes is too small for {model.name} on {board.title}",
                why=f"the smallest that works has {measured.smallest_bytes:,} bytes",
                next_step="leave --arena out to take that",
            )
        arenas[board.name, model.name] = Arena(
            size, measured.smallest_bytes, measured.used_bytes, measured.tried
        )
    return arenas


def _smallest(session: Session, board: Board, model: Model, build_type: BuildType) -> Arena:
    results, largest = _built_with_room(session, board, model, build_type)
    program = LinkedProgram.of(results[firmware_name(model.application, board, model, build_type)])
    store = session.runner.store
    Checker(store, session.layout).size(board, program)
    measured = measure_arena(
        board,
        store.get(program.image),
        store.path(program.elf),
        largest,
        session.layout.arenas,
    )
    if measured is None:
        needed = _estimate(session, model, results)
        raise _too_small(board, model, largest, needed)
    return Arena(measured.smallest, measured.smallest, measured.used, measured.tried)


def _built_with_room(
    session: Session, board: Board, model: Model, build_type: BuildType
) -> tuple[Mapping[str, StepResult], int]:
    """Build with an arena that is large enough, or with all the RAM that the board leaves."""

    def built(size: int | None) -> Mapping[str, StepResult]:
        arenas = {} if size is None else {(board.name, model.name): size}
        return run_firmware_steps(session, [board], [model], build_type, arenas=arenas)

    try:
        results = built(None)
    except FirmwareDoesNotFitError:
        # If the flash is too small, or all RAM is taken already, this says so once more.
        results = built(ARENA_GRANULE)
        name = firmware_name(model.application, board, model, build_type)
        store = session.runner.store
        report = Checker(store, session.layout).size(board, LinkedProgram.of(results[name]))
        size = read_size(store.get(report))
        room = size.ram_available - size.ram_used - size.stack + ARENA_GRANULE
        room -= room % ARENA_GRANULE
        needed = _estimate(session, model, results)
        try:
            return built(room), room
        except FirmwareDoesNotFitError as error:
            raise _too_small(board, model, room, needed) from error
    return results, _estimate(session, model, results)


def _estimate(session: Session, model: Model, results: Mapping[str, StepResult]) -> int:
    result = results[f"embed {model.name}"]
    file = PurePosixPath("model.json")
    return step_number(session.runner.store, result, file, "arena_bytes")


def _too_small(board: Board, model: Model, room: int, needed: int) -> FirmwareDoesNotFitError:
    return FirmwareDoesNotFitError(
        f"{board.title} lacks RAM for the tensor arena of {model.name}: about "
        f"{max(needed - room, ARENA_GRANULE):,} bytes are missing",
        why=f"it leaves {room:,} bytes beside stack and other data, and the model needs about "
        f"{needed:,}",
        next_step=_CURE,
    )
