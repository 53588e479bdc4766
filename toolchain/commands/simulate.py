"""Runs built firmwares in the simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simulator import SimulationRequest, SimulationResult, simulate
from toolchain.building.built import (
    DISPLAY_PICTURE,
    SIMULATION_PICTURE,
    SIMULATION_REPORT,
    BuiltFirmware,
)
from toolchain.digest import Digest
from toolchain.json_text import json_text

SIMULATION_SCHEMA = "tinyml-toolchain/simulation/1"

DEFAULT_INFERENCES = 1000

BUDGET_PER_INFERENCE = 1_000_000
"""Instructions after which a simulated inference is given up; a sine takes ten thousand."""

BUDGET_OF_START = 10_000_000
"""Instructions allowed before the first inference."""

BUDGET_PER_PRODUCT = 200
"""Instructions allowed for each multiplication and addition of a given model."""

BUDGET_PER_CASE = 100_000_000
"""Instructions allowed for everything else in a case of a given model."""


@dataclass(frozen=True)
class SimulatedRun:
    """A finished run and where it was written down.

    Attributes:
        image_sha256: of the flashable file that ran.
        report: ``simulation.json``.
        picture: ``simulation.png``; None when there were too few inferences to draw.
        display: ``display.png``, what the display showed at the end; None on a board without one.
    """

    firmware: BuiltFirmware
    image_sha256: str
    result: SimulationResult
    report: Path
    picture: Path | None
    display: Path | None

    def as_json(self) -> dict[str, object]:
        """Return what ``simulation.json`` holds."""
        return {
            "schema": SIMULATION_SCHEMA,
            "target": self.firmware.board.name,
            "model": self.firmware.model.name,
            "build_type": self.firmware.build_type,
            "image_sha256": self.image_sha256,
            "instructions": self.result.instructions,
            "counted": self.result.counted,
            "inferences": [dataclasses.asdict(each) for each in self.result.inferences],
            "cases": [
                {**dataclasses.asdict(each), "outputs": [output.hex() for output in each.outputs]}
                for each in self.result.cases
            ],
            "console": self.result.console,
        }


def run_title(run: SimulatedRun) -> str:
    """Return what stands above a drawing of the run."""
    return f"{run.firmware.board.title}, {run.firmware.model.name}, simulated"


def run_image(firmware: BuiltFirmware, inferences: int) -> tuple[bytes, SimulationResult]:
    """Run the flashable file until it printed ``inferences`` results; return it and the result.

    Raises:
        UsageError: the number of inferences is not positive.
        SimulationFaultError: the firmware broke a rule of the silicon.
        SimulationIncompleteError: it stopped before.
    """
    image = firmware.image.read_bytes()
    result = simulate(
        SimulationRequest(
            board=firmware.board,
            image=image,
            elf=firmware.elf,
            inferences=inferences,
            instruction_budget=instruction_budget(firmware, inferences),
        )
    )
    return image, result


def instruction_budget(firmware: BuiltFirmware, inferences: int) -> int:
    """Return how many instructions a run of so many inferences may take until it is given up."""
    each = BUDGET_PER_INFERENCE
    if firmware.model.given is not None:
        each = BUDGET_PER_CASE + BUDGET_PER_PRODUCT * firmware.multiply_accumulates
    return BUDGET_OF_START + max(inferences, 1) * each


def simulate_all(
    firmwares: Iterable[BuiltFirmware], inferences: int | None = None
) -> tuple[SimulatedRun, ...]:
    """Run each firmware, and write ``simulation.json`` and its pictures beside it.

    Args:
        firmwares: what to run.
        inferences: how many, 1 or more; None for ``DEFAULT_INFERENCES``, or for each case of a
            given model once.

    Raises:
        ToolchainError: see ``run_image``; what was there of an earlier run stays.
    """
    return tuple(_simulate(firmware, inferences) for firmware in firmwares)


def _simulate(firmware: BuiltFirmware, inferences: int | None) -> SimulatedRun:
    from simulator.picture import can_be_drawn, write_picture, write_screen
    from toolchain.files import write_atomically

    number = (firmware.cases or DEFAULT_INFERENCES) if inferences is None else inferences
    image, result = run_image(firmware, number)
    picture = firmware.folder / SIMULATION_PICTURE
    drawn = can_be_drawn(result.inferences)
    run = SimulatedRun(
        firmware=firmware,
        image_sha256=Digest.of_bytes(image).sha256,
        result=result,
        report=firmware.folder / SIMULATION_REPORT,
        picture=picture if drawn else None,
        display=firmware.folder / DISPLAY_PICTURE if result.screen else None,
    )
    write_atomically(run.report, f"{json_text(run.as_json(), indent=1)}\n".encode())
    if drawn:
        write_picture(picture, result.inferences, run_title(run))
    else:
        picture.unlink(missing_ok=True)
    if result.screen and run.display:
        write_screen(run.display, result.screen)
    return run
