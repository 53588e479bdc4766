"""Runs a built firmware in the simulator."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from simulator import SimulationRequest, SimulationResult, simulate
from toolchain.commands.build import BuiltFirmware
from toolchain.digest import Digest

SIMULATION_SCHEMA = "tinyml-toolchain/simulation/1"

BUDGET_PER_INFERENCE = 1_000_000
"""Instructions after which a simulated inference is given up; a sine takes ten thousand."""

BUDGET_OF_START = 10_000_000
"""Instructions allowed before the first inference."""


@dataclass(frozen=True)
class SimulatedRun:
    """A finished run and where it was written down."""

    firmware: BuiltFirmware
    result: SimulationResult
    report: Path


def simulate_firmware(firmware: BuiltFirmware, inferences: int) -> SimulatedRun:
    """Run ``firmware`` until it printed ``inferences`` results, and write ``simulation.json``.

    Raises:
        SimulationFaultError: the firmware broke a rule of the silicon.
        SimulationIncompleteError: it stopped before.
    """
    from toolchain.actions.action_cache import write_atomically

    image = firmware.image.read_bytes()
    result = simulate(
        SimulationRequest(
            board=firmware.board,
            image=image,
            elf=firmware.elf,
            inferences=inferences,
            instruction_budget=BUDGET_OF_START + inferences * BUDGET_PER_INFERENCE,
        )
    )
    report = firmware.folder / "simulation.json"
    data = {
        "schema": SIMULATION_SCHEMA,
        "target": firmware.board.name,
        "model": firmware.model.name,
        "image_sha256": Digest.of_bytes(image).sha256,
        "instructions": result.instructions,
        "inferences": [dataclasses.asdict(each) for each in result.inferences],
        "console": result.console,
    }
    write_atomically(report, (json.dumps(data, indent=1) + "\n").encode())
    return SimulatedRun(firmware=firmware, result=result, report=report)
