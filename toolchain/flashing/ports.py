"""Chooses the serial port that a board is on."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.boards import Board, Flashing
from toolchain.errors import DeviceNotFoundError
from toolchain.flashing.host import SerialPort

_PLACEHOLDER = SerialPort("PORT", "the board's serial port", "")


def choose_port(
    board: Board, way: Flashing, ports: Sequence[SerialPort], requested: str
) -> SerialPort:
    """Return the port to write to.

    Args:
        board: the board.
        way: names the USB devices that can be the board; none where an adapter of any kind can.
        ports: the ports that are there.
        requested: the device that the user named; empty to look for it.

    Raises:
        DeviceNotFoundError: no port can be the board's, or several can.
    """
    if requested:
        known = {port.device: port for port in ports}
        return known.get(requested, SerialPort(requested, "named by --port", ""))
    suitable = [port for port in ports if port.usb and (not way.usb or port.usb in way.usb)]
    if len(suitable) == 1:
        return suitable[0]
    if suitable:
        raise DeviceNotFoundError(
            f"{len(suitable)} serial ports can be {board.title}: {'; '.join(map(str, suitable))}",
            next_step="name one with --port",
        )
    looked_for = f"USB {' or '.join(way.usb)}" if way.usb else "a USB serial adapter"
    raise DeviceNotFoundError(
        f"no serial port can be {board.title}: looked for {looked_for}",
        why=f"there {'are ' + '; '.join(map(str, ports)) if ports else 'is no serial port at all'}",
        next_step=" ".join([*way.steps, "Or name the port with --port."]),
    )


def port_or_placeholder(
    board: Board, way: Flashing, ports: Sequence[SerialPort], requested: str
) -> SerialPort:
    """Return the port as ``choose_port`` does, or a placeholder for a run that sends nothing."""
    try:
        return choose_port(board, way, ports, requested)
    except DeviceNotFoundError:
        return _PLACEHOLDER
