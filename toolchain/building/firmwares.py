"""Builds firmwares: sizes their arenas, runs their steps, publishes what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolchain.actions import StepResult
from toolchain.boards import Board
from toolchain.building.built import Arena, BuiltFirmware
from toolchain.building.firmware_run import run_firmware_steps
from toolchain.building.publishing import Program, publish_firmware, publish_model
from toolchain.models import BuildType, Model
from toolchain.session import Session


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
            from toolchain.building.arena_size import find_arenas

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
