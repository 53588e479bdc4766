"""Nordic nRF52840: what firmware for the Arduino Nano 33 BLE uses of it.

Registers, fields and reset values are those of the vendor's SVD (nrf52840.svd, as pyOCD carries
it); behaviour is that of the vendor's product specification (PS): EasyDMA reads RAM only, pins are
selected while a peripheral is disabled and configured as outputs where it drives them, a PWM counts
to 3 at least, bit 15 of a compare value is its polarity, port 1 has 16 pins.
"""

from __future__ import annotations

from simulator.chips.nrf52840.boot import check_image
from simulator.chips.nrf52840.chip import make_chip

__all__ = ["check_image", "make_chip"]
