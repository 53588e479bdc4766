"""Runs firmwares in Renode, a second simulator that others wrote, and checks its board files."""

from __future__ import annotations

from typing import Literal, TypeAlias

SimulatorName: TypeAlias = Literal["unicorn", "renode"]
SIMULATORS: tuple[SimulatorName, ...] = ("unicorn", "renode")
