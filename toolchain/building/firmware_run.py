"""Runs the steps of firmwares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolchain.actions import StepResult
from toolchain.boards import Board
from toolchain.building.linker_message import does_not_fit
from toolchain.errors import StepFailedError
from toolchain.machine import remember_machines
from toolchain.models import Arenas, BuildType, Model
from toolchain.session import Session


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
        refused = does_not_fit(error, build_type)
        if refused is None:
            raise
        raise refused from error
    remember_machines(session.layout, results)
    return results
