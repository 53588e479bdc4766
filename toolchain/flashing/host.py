"""What flashing uses of this computer: serial ports, volumes, programs, waiting times."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.errors import DeviceAccessError
from toolchain.flashing.bootloader import Timing

if TYPE_CHECKING:
    import serial

_READ_SECONDS = 0.05


@dataclass(frozen=True)
class SerialPort:
    """A serial port of this computer.

    Attributes:
        device: what to open, such as ``/dev/ttyUSB0``.
        description: in the system's words.
        usb: vendor and product number as in ``board.toml``; empty for a port that is not on USB.
    """

    device: str
    description: str
    usb: str

    def __str__(self) -> str:
        return f"{self.device} ({self.description}{', ' + self.usb if self.usb else ''})"


@dataclass(frozen=True)
class Host:
    """This computer, or one that a test makes up.

    Attributes:
        environ: where programs are looked for (``PATH``, ``BOSSAC``).
        list_ports: returns the serial ports that are there now.
        volume_folders: where removable volumes are mounted; ``*`` stands for a user's name.
        timing: of the SparkFun Edge's bootloader.
        port_seconds: how long a board may take to come back with its bootloader's port.
        volume_seconds: how long a board may take to say on its volume that writing failed.
        pause_seconds: between two looks at ports or volumes.
        sleep: waits for some seconds.
    """

    environ: Mapping[str, str]
    list_ports: Callable[[], Sequence[SerialPort]]
    volume_folders: tuple[Path, ...]
    timing: Timing = field(default_factory=Timing)
    port_seconds: float = 10.0
    volume_seconds: float = 10.0
    pause_seconds: float = 0.2
    sleep: Callable[[float], None] = time.sleep

    def find_program(self, name: str) -> Path | None:
        """Return the program called ``name`` on the path, None if there is none."""
        found = shutil.which(name, path=self.environ.get("PATH", os.defpath))
        return Path(found) if found else None


def this_host() -> Host:
    """Return the computer that this runs on."""
    return Host(
        environ=os.environ,
        list_ports=list_serial_ports,
        # Linux desktops and macOS; a server's administrator mounts where they like.
        volume_folders=tuple(map(Path, ("/run/media/*", "/media/*", "/media", "/mnt", "/Volumes"))),
    )


def list_serial_ports() -> tuple[SerialPort, ...]:
    """Return the serial ports that are there now, sorted."""
    from serial.tools.list_ports import comports

    return tuple(
        SerialPort(
            device=port.device,
            description=port.description or "no description",
            usb="" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
        )
        for port in sorted(comports(), key=lambda port: port.device)
    )


def open_port(device: str, baud: int) -> serial.Serial:
    """Open a serial port, 8N1, for this process alone; reads return after a twentieth of a second.

    Args:
        device: path or name of the port.
        baud: bits per second.

    Raises:
        DeviceAccessError: it is not there, belongs to someone else, or is in use.
    """
    import serial

    try:
        return serial.Serial(device, baud, timeout=_READ_SECONDS, write_timeout=10, exclusive=True)
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        raise DeviceAccessError(
            f"the serial port {device} cannot be opened", why=str(error), next_step=_advice(code)
        ) from error


def _advice(code: int | None) -> str:
    if code in {errno.EACCES, errno.EPERM}:
        return (
            "add yourself to the group that owns the port (Debian, Ubuntu, Fedora: "
            "sudo usermod -aG dialout $USER; Arch: uucp), then log out and in again"
        )
    if code in {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}:
        return "close the program that uses it: a serial monitor, an IDE, a modem manager"
    if code in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return "check the cable, and the name with: python -m serial.tools.list_ports -v"
    return "check that it is a serial port and that nothing else uses it"
