"""Runs flashable images on the Unicorn engine, with strict models of the chip around the core."""

from __future__ import annotations

from simulator.request import Case, Inference, SimulationRequest, SimulationResult
from simulator.simulation import simulate

__all__ = ["Case", "Inference", "SimulationRequest", "SimulationResult", "simulate"]
