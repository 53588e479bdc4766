"""Colours of LEDs in drawings.

Okabe and Ito's, which people with any kind of colour blindness tell apart; the yellow is theirs
darkened for a white ground. In a drawing each LED also has a row and a name of its own.
"""

from __future__ import annotations

_BY_NAME = {
    "red": "#D55E00",
    "blue": "#0072B2",
    "green": "#009E73",
    "yellow": "#C9A400",
    "builtin": "#E69F00",
}
_OTHERS = ("#E69F00", "#56B4E9", "#CC79A7", "#777777")


def led_colour(name: str, index: int) -> str:
    """Return the colour, such as ``#D55E00``, of the board's LED with this name and number."""
    return _BY_NAME.get(name) or _OTHERS[index % len(_OTHERS)]
