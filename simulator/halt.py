"""Recognises a core that goes round in circles for ever."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from simulator.registers import Peripheral

HALT_WINDOW = 250_000
"""Instructions without a write to a peripheral after which the core is suspected."""

TRACED = 512
"""Instructions that are then looked at one by one; loops of up to half of it are recognised."""


def is_endless(states: Sequence[Hashable]) -> bool:
    """Return whether the last states are two equal rounds of a loop.

    A state is every register of the core before an instruction. Two rounds with equal states
    store the same values at the same places, so that the memory after the second is the memory
    before it: every later round is equal too. (Peripherals that change by themselves are the
    caller's to exclude.)
    """
    last = len(states)
    for period in range(1, last // 2 + 1):
        if (
            states[last - 1] == states[last - 1 - period]
            and states[last - period :] == states[last - 2 * period : last - period]
        ):
            return True
    return False


def describe_idle_loop(polled: Sequence[tuple[Peripheral, int]]) -> tuple[str, str]:
    """Return what an endless loop does and why it does not end, where a peripheral knows."""
    if not polled:
        return (
            "the firmware halted in an endless loop",
            "a fault handler, a failed check or the end of main",
        )
    names = ", ".join(peripheral.register_name(offset) for peripheral, offset in polled)
    reasons = (peripheral.waiting_for(offset) for peripheral, offset in polled)
    return (
        f"the firmware waits for ever on {names}",
        "; ".join(filter(None, reasons)) or "the value that it waits for never comes",
    )
