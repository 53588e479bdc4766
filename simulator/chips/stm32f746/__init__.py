"""STMicroelectronics STM32F746: what firmware for the STM32F746G Discovery uses of it.

Registers, fields and reset values are those of the vendor's description as the Rust crate stm32f7
carries it (module stm32f746); alternate functions and DMA requests those of stm32-metapac.
Sequences and limits: reference manual RM0385 and the data sheet.
"""

from __future__ import annotations

from simulator.chips.stm32f746.boot import check_image
from simulator.chips.stm32f746.chip import make_chip

__all__ = ["check_image", "make_chip"]
