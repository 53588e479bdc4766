"""Which function code gives a pad to which peripheral signal."""

from __future__ import annotations

PADS = 50
GPIO_FUNCTION = 3

TIMER_OUTPUT_PADS: tuple[tuple[int, int], ...] = (
    *((12, 2), (25, 2), (13, 2), (26, 2), (18, 2), (27, 2), (19, 2), (28, 2)),
    *((5, 7), (29, 2), (6, 5), (30, 2), (22, 2), (31, 2), (23, 2), (32, 2)),
    *((42, 2), (4, 6), (43, 2), (7, 7), (44, 2), (24, 5), (45, 2), (33, 6)),
    *((46, 2), (39, 2), (47, 2), (35, 5), (48, 2), (37, 7), (49, 2), (11, 2)),
)
"""Pad and function code of each timer output CT0 to CT31."""

TIMER_OUTPUT_OF_PAD = {pad: output for output, (pad, _code) in enumerate(TIMER_OUTPUT_PADS)}

UART_TX_PADS: tuple[dict[int, int], ...] = (
    {1: 2, 7: 5, 16: 6, 20: 4, 22: 0, 26: 6, 28: 6, 30: 4, 39: 0, 41: 6, 44: 6, 48: 0},
    {8: 6, 10: 0, 12: 7, 14: 2, 18: 6, 20: 5, 24: 0, 35: 2, 37: 5, 39: 1, 42: 0, 46: 6},
)
"""Function code by pad, of the transmit signals of UART0 and UART1."""

UART_RX_PADS: tuple[dict[int, int], ...] = (
    {2: 2, 11: 6, 17: 6, 21: 4, 23: 0, 27: 0, 29: 6, 31: 4, 34: 6, 40: 0, 45: 6, 49: 0},
    {2: 0, 4: 5, 9: 6, 13: 7, 15: 2, 19: 6, 21: 5, 25: 0, 36: 2, 38: 6, 40: 1, 43: 0, 47: 6},
)
"""Function code by pad, of the receive signals of UART0 and UART1."""
