"""Runs firmwares that the make steps built, on the simulated chip."""

from __future__ import annotations

import struct

from simulator import SimulationRequest, SimulationResult, simulate
from tests.conftest import FirmwareFiles
from toolchain.boards import Board


def run(
    board: Board,
    files: FirmwareFiles,
    *,
    inferences: int | None = None,
    until_text: str | None = None,
    with_elf: bool = True,
    native_counter: bool = True,
) -> SimulationResult:
    """Run a flashable file; see ``SimulationRequest``."""
    request = SimulationRequest(
        board=board,
        image=files.bin.read_bytes(),
        elf=files.elf if with_elf else None,
        inferences=inferences,
        until_text=until_text,
        instruction_budget=50_000_000,
    )
    return simulate(request, native_counter=native_counter)


def single(value: float) -> float:
    """Return a number rounded to single precision."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
