"""Proves in simulation that the firmware computes what the model computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from simulator import SimulationRequest, simulate
from simulator.console import parse_test_cases
from toolchain.actions import StepResult
from toolchain.boards import Board
from toolchain.building.built import VERIFY_REPORT, BuiltFirmware
from toolchain.building.checked import Checker, LinkedProgram
from toolchain.building.firmwares import run_and_publish
from toolchain.commands.renode import Renode, require_same_console
from toolchain.commands.simulate import run_image
from toolchain.commands.verify_cases import VerifiedCases, report_head, verify_cases
from toolchain.errors import VerificationError
from toolchain.json_text import json_text
from toolchain.models import BuildType, Model
from toolchain.pipeline import firmware_name
from toolchain.session import Session
from toolchain.verification.sine import (
    Agreement,
    Comparison,
    Observation,
    agreement,
    compare,
    read_reference,
    require_passed,
)

END_OF_TEST = "~~~"
PASSED = "~~~ALL TESTS PASSED~~~"

TEST_BUDGET = 1_000_000_000
"""Instructions after which the test firmware is given up; it takes about twenty million."""

IMAGE_INFERENCES = 1000
"""Inferences of the flashable image that are compared: a whole period on every board."""


@dataclass(frozen=True)
class VerifiedFirmware:
    """A board and model of which every output was compared.

    Attributes:
        firmware: the image that is flashed, with the digest of its file.
        test_sha256: of the test's flashable file, which was simulated.
        instructions: executed by the whole test.
        comparison: of the test's outputs, all inputs, with the reference.
        image: of the flashable image's own outputs with the reference.
        report: ``verify.json``.
        renode_bytes: that came in Renode too, each the same, of the test and of the image; None:
            Renode was not asked for.
    """

    firmware: BuiltFirmware
    image_sha256: str
    test_sha256: str
    instructions: int
    comparison: Comparison
    image: Agreement
    report: Path
    renode_bytes: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the firmware computes what the model computes."""
        return self.comparison.passed and self.image.passed

    def require_passed(self) -> None:
        """Raise ``VerificationError`` unless it passed."""
        require_passed(self.comparison, self.image)

    def as_json(self) -> dict[str, object]:
        """Return what ``verify.json`` holds."""
        return {
            **report_head(self.firmware, self.image_sha256, passed=self.passed),
            "test_sha256": self.test_sha256,
            "test_instructions": self.instructions,
            "test": dataclasses.asdict(self.comparison),
            "image": dataclasses.asdict(self.image),
            **({} if self.renode_bytes is None else {"renode_bytes": self.renode_bytes}),
        }


Verified: TypeAlias = VerifiedFirmware | VerifiedCases


def verify(
    session: Session,
    boards: Sequence[Board],
    models: Sequence[Model],
    build_type: BuildType,
    arena_bytes: int | None = None,
    *,
    renode: Renode | None = None,
) -> tuple[Verified, ...]:
    """Build what is not up to date, run the tests and the image itself, and compare.

    Where outputs differ, every ``verify.json`` is written before that is raised.

    Args:
        session: the open command.
        boards: what to build for.
        models: what to verify.
        build_type: how it is compiled.
        arena_bytes: size of given models' tensor arenas; None for the smallest that works.
        renode: where the same is run once more and must send the same bytes; None: nowhere.

    Raises:
        VerificationError: a firmware computes something else than its model, or sends other bytes
            in Renode.
        ToolchainError: a step or the simulation failed.
    """
    built = run_and_publish(
        session, boards, models, build_type, tests=True, arena_bytes=arena_bytes
    )
    verified = tuple(
        _verify(session, firmware, built.results, renode)
        if firmware.model.given is None
        else verify_cases(session, firmware, built.results, renode)
        for firmware in built.firmwares
    )
    for each in verified:
        each.require_passed()
    return verified


def _verify(
    session: Session,
    firmware: BuiltFirmware,
    results: Mapping[str, StepResult],
    renode: Renode | None,
) -> VerifiedFirmware:
    from toolchain.digest import Digest
    from toolchain.files import write_atomically

    report = firmware.folder / VERIFY_REPORT
    # Whatever ends this before there is a new one, an older one must not say that all is well.
    report.unlink(missing_ok=True)
    store, model = session.runner.store, firmware.model
    name = firmware_name(model.test_application, firmware.board, model, firmware.build_type)
    program = LinkedProgram.of(results[name])
    Checker(store, session.layout).size(firmware.board, program)
    test = simulate(
        SimulationRequest(
            board=firmware.board,
            image=store.get(program.image),
            elf=store.path(program.elf),
            until_text=END_OF_TEST,
            instruction_budget=TEST_BUDGET,
        )
    )
    digest = results[f"reference {model.name}"].outputs[PurePosixPath("reference.json")]
    reference = read_reference(store.path(digest))
    comparison = compare(
        reference, {case.input: case.output for case in parse_test_cases(test.console)}
    )
    if comparison.passed and PASSED not in test.console:
        raise VerificationError(
            f"hello_world_test of {model.name} says that it failed on {firmware.board.title}",
            why="its outputs equal the reference's, yet its own check against the sine failed; "
            f"its last line is: {test.console.strip().splitlines()[-1]}",
            next_step="compare kLargestError in tflm/hello_world/hello_world_test.cc with the "
            "largest error in verify.json",
        )
    image, run = run_image(firmware, IMAGE_INFERENCES)
    renode_bytes = None
    if renode is not None:
        tested = store.get(program.image)
        again = renode.run(firmware, tested, until_text=END_OF_TEST)
        name = f"hello_world_test of {model.name} on {firmware.board.title}"
        renode_bytes = require_same_console(name, test.console, again.console)
        again = renode.run(firmware, image, results=IMAGE_INFERENCES)
        name = f"hello_world of {model.name} on {firmware.board.title}"
        renode_bytes += require_same_console(name, run.console, again.console)
    verified = VerifiedFirmware(
        firmware=firmware,
        image_sha256=Digest.of_bytes(image).sha256,
        test_sha256=program.image.sha256,
        instructions=test.instructions,
        comparison=comparison,
        image=agreement(
            reference,
            [
                Observation(
                    each.x_bits if each.raw_in is None else each.raw_in,
                    each.y_bits if each.raw_out is None else each.raw_out,
                    each.x_bits,
                    each.y_bits,
                )
                for each in run.inferences
            ],
        ),
        report=report,
        renode_bytes=renode_bytes,
    )
    write_atomically(verified.report, f"{json_text(verified.as_json())}\n".encode())
    return verified
