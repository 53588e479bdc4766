"""Runs flashable images on the Unicorn engine, with strict models of the chip around the core."""

from __future__ import annotations

from simulator.request import Inference, SimulationRequest, SimulationResult
from simulator.simulation import simulate

__all__ = ["Inference", "SimulationRequest", "SimulationResult", "simulate"]
