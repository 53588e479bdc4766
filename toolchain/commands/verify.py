"""Proves in simulation that the firmware computes what the model computes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simulator import SimulationRequest, simulate
from simulator.console import parse_test_cases
from toolchain.actions import StepResult
from toolchain.boards import Board
from toolchain.commands.build import (
    checked_size,
    firmware_name,
    publish_model,
    run_firmware_steps,
)
from toolchain.commands.session import Session
from toolchain.errors import VerificationError
from toolchain.pipeline import BuildType, Model
from toolchain.verification import Comparison, compare, read_reference, require_passed

VERIFY_SCHEMA = "tinyml-toolchain/verify/1"

END_OF_TEST = "~~~"
PASSED = "~~~ALL TESTS PASSED~~~"

TEST_BUDGET = 1_000_000_000
"""Instructions after which the test firmware is given up; it takes about twenty million."""


@dataclass(frozen=True)
class VerifiedFirmware:
    """A firmware whose every output was compared.

    Attributes:
        image_sha256: of the test's flashable file, which was simulated.
        instructions: executed by the whole test.
    """

    board: Board
    model: Model
    image_sha256: str
    instructions: int
    comparison: Comparison


@dataclass(frozen=True)
class Verification:
    """Result for one board: ``verify.json``."""

    board: Board
    firmwares: tuple[VerifiedFirmware, ...]
    report: Path

    @property
    def passed(self) -> bool:
        """Whether every firmware passed."""
        return all(each.comparison.passed for each in self.firmwares)


def verify(
    session: Session, boards: Sequence[Board], models: Sequence[Model], build_type: BuildType
) -> tuple[Verification, ...]:
    """Build what is not up to date, run ``hello_world_test`` of each model, compare and report.

    Every board's ``verify.json`` is written before a failure is raised.

    Raises:
        VerificationError: a firmware computes something else than its model.
        ToolchainError: a step or the simulation failed.
    """
    results = run_firmware_steps(session, boards, models, build_type, ["hello_world_test"])
    for model in models:
        publish_model(session, model, results)
    verifications = tuple(
        _verify_board(session, board, models, build_type, results) for board in boards
    )
    for verification in verifications:
        for firmware in verification.firmwares:
            require_passed(firmware.comparison)
    return verifications


def _verify_board(
    session: Session,
    board: Board,
    models: Sequence[Model],
    build_type: BuildType,
    results: Mapping[str, StepResult],
) -> Verification:
    from toolchain.actions.action_cache import write_atomically

    firmwares = tuple(_verify_model(session, board, model, build_type, results) for model in models)
    report = session.layout.build / board.name / "verify.json"
    data = {
        "schema": VERIFY_SCHEMA,
        "target": board.name,
        "build_type": build_type,
        "passed": all(each.comparison.passed for each in firmwares),
        "models": [
            {
                "image_sha256": each.image_sha256,
                "instructions": each.instructions,
                "allowed_difference": each.comparison.allowed_difference,
                "passed": each.comparison.passed,
                **dataclasses.asdict(each.comparison),
            }
            for each in firmwares
        ],
    }
    write_atomically(report, (json.dumps(data, indent=2) + "\n").encode())
    return Verification(board=board, firmwares=firmwares, report=report)


def _verify_model(
    session: Session,
    board: Board,
    model: Model,
    build_type: BuildType,
    results: Mapping[str, StepResult],
) -> VerifiedFirmware:
    store = session.runner.store
    outputs = results[firmware_name("hello_world_test", board, model, build_type)].outputs
    program = {path.suffix.removeprefix("."): digest for path, digest in outputs.items()}
    checked_size(session, board, program[""], program["bin"], program["map"])
    result = simulate(
        SimulationRequest(
            board=board,
            image=store.get(program["bin"]),
            elf=store.path(program[""]),
            until_text=END_OF_TEST,
            instruction_budget=TEST_BUDGET,
        )
    )
    observed = {case.input: case.output for case in parse_test_cases(result.console)}
    reference = results[f"reference {model.name}"].outputs[PurePosixPath("reference.json")]
    comparison = compare(read_reference(store.path(reference)), observed)
    if comparison.passed and PASSED not in result.console:
        raise VerificationError(
            f"hello_world_test of {model.name} says that it failed",
            why=result.console.strip().splitlines()[-1],
            next_step=f"read {outputs and board.name}'s console with ./invoke simulate",
        )
    return VerifiedFirmware(
        board=board,
        model=model,
        image_sha256=program["bin"].sha256,
        instructions=result.instructions,
        comparison=comparison,
    )
