"""Files made from a linked firmware: each format's writer, checker and reader.

Modules of formats are loaded when a file has to be made or read; the names of the files are here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from toolchain.boards import Format
from toolchain.firmware.formats.base import Files, FirmwareFormat, FormatError

__all__ = ["FILE_NAMES", "Files", "FirmwareFormat", "FormatError", "find_format"]

FILE_NAMES: Mapping[Format, str] = {
    "bin": "hello_world.bin",
    "hex": "hello_world.hex",
    "ambiq_image": "hello_world_ambiq_image.bin",
    "ambiq_wired_update": "hello_world_ambiq_wired_update.bin",
    "arduino_library": "hello_world_arduino.zip",
}
"""What each format's file is called beside the firmware."""

_MODULES: Mapping[Format, str] = {
    "bin": "flat",
    "hex": "intel_hex",
    "ambiq_image": "ambiq",
    "ambiq_wired_update": "ambiq",
    "arduino_library": "arduino_library",
}


def find_format(name: Format) -> FirmwareFormat:
    """Return how files of the format ``name`` are written, checked and read."""
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return cast(Mapping[Format, FirmwareFormat], module.FORMATS)[name]
