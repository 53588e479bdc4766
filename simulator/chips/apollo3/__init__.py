"""Ambiq Apollo3 Blue: what firmware for the SparkFun Edge uses of it.

Registers, fields and reset values are those of the vendor's SVD (apollo3.svd, as pyOCD carries it).
"""

from __future__ import annotations

from simulator.chips.apollo3.boot import check_image
from simulator.chips.apollo3.chip import make_chip

__all__ = ["check_image", "make_chip"]
