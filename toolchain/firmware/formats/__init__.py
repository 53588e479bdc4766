"""Files made from a linked firmware: each format's writer, checker and reader.

Modules of formats are loaded when a file has to be made or read; the names of the files are here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from toolchain.boards import Format
from toolchain.firmware.formats.base import Files, FirmwareFormat, FormatError

__all__ = ["Files", "FirmwareFormat", "FormatError", "file_name", "find_format"]

_ENDS: Mapping[Format, str] = {
    "bin": ".bin",
    "hex": ".hex",
    "ambiq_image": "_ambiq_image.bin",
    "ambiq_wired_update": "_ambiq_wired_update.bin",
    "arduino_library": "_arduino.zip",
}

_MODULES: Mapping[Format, str] = {
    "bin": "flat",
    "hex": "intel_hex",
    "ambiq_image": "ambiq",
    "ambiq_wired_update": "ambiq",
    "arduino_library": "arduino_library",
}


def file_name(application: str, name: Format) -> str:
    """Return what an application's file of the format ``name`` is called beside the firmware."""
    return application + _ENDS[name]


def find_format(name: Format) -> FirmwareFormat:
    """Return how files of the format ``name`` are written, checked and read."""
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return cast(Mapping[Format, FirmwareFormat], module.FORMATS)[name]
