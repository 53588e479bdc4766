"""Which signal a pin carries under which alternate function (stm32-metapac, chip STM32F746NG)."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.errors import BoardDescriptionError

PORTS = "ABCDEFGHIJK"
PINS = 16

USART1_TX = {"PA9": 7, "PB6": 7}
USART1_RX = {"PA10": 7, "PB7": 7}

LTDC: dict[str, dict[str, int]] = {
    # Signal: pins that can carry it, each with its function
    "CLK": {"PE14": 14, "PG7": 14, "PI14": 14},
    "DE": {"PE13": 14, "PF10": 14, "PK7": 14},
    "HSYNC": {"PC6": 14, "PI10": 14, "PI12": 14},
    "VSYNC": {"PA4": 14, "PI13": 14, "PI9": 14},
    "R0": {"PG13": 14, "PH2": 14, "PI15": 14},
    "R1": {"PA2": 14, "PH3": 14, "PJ0": 14},
    "R2": {"PA1": 14, "PC10": 14, "PH8": 14, "PJ1": 14},
    "R3": {"PB0": 9, "PH9": 14, "PJ2": 14},
    "R4": {"PA11": 14, "PA5": 14, "PH10": 14, "PJ3": 14},
    "R5": {"PA12": 14, "PC0": 14, "PH11": 14, "PJ4": 14},
    "R6": {"PA8": 14, "PB1": 9, "PH12": 14, "PJ5": 14},
    "R7": {"PE15": 14, "PG6": 14, "PJ6": 14},
    "G0": {"PE5": 14, "PJ7": 14},
    "G1": {"PE6": 14, "PJ8": 14},
    "G2": {"PA6": 14, "PH13": 14, "PJ9": 14},
    "G3": {"PE11": 14, "PG10": 9, "PH14": 14, "PJ10": 14},
    "G4": {"PB10": 14, "PH15": 14, "PJ11": 14},
    "G5": {"PB11": 14, "PI0": 14, "PK0": 14},
    "G6": {"PC7": 14, "PI1": 14, "PK1": 14},
    "G7": {"PD3": 14, "PI2": 14, "PK2": 14},
    "B0": {"PE4": 14, "PG14": 14, "PJ12": 14},
    "B1": {"PG12": 14, "PJ13": 14},
    "B2": {"PD6": 14, "PG10": 14, "PJ14": 14},
    "B3": {"PD10": 14, "PG11": 14, "PJ15": 14},
    "B4": {"PE12": 14, "PG12": 9, "PI4": 14, "PK3": 14},
    "B5": {"PA3": 14, "PI5": 14, "PK4": 14},
    "B6": {"PB8": 14, "PI6": 14, "PK5": 14},
    "B7": {"PB9": 14, "PI7": 14, "PK6": 14},
}


@dataclass(frozen=True)
class Pin:
    """A pin of the package: ``port`` A to K, ``number`` 0 to 15."""

    port: str
    number: int

    def __str__(self) -> str:
        return f"P{self.port}{self.number}"


def parse_pin(text: str) -> Pin:
    """Return the pin that a board description calls ``PA9``.

    Raises:
        BoardDescriptionError: the chip has no such pin.
    """
    port, number = text[1:2], text[2:]
    if text[:1] != "P" or port not in PORTS or not number.isdecimal() or int(number) >= PINS:
        raise BoardDescriptionError(
            f"there is no pin '{text}'", why="an STM32F746 has PA0 to PA15, and so on up to PK"
        )
    return Pin(port, int(number))
