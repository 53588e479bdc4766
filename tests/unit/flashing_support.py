"""Boards of each way of flashing, a computer to flash from, and programs that note their call."""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from intelhex import IntelHex

from toolchain.boards import Board, Format, find_board
from toolchain.firmware.formats import find_format
from toolchain.firmware.formats.base import HEX, IMAGE
from toolchain.flashing.bootloader import Timing
from toolchain.flashing.host import Host, SerialPort

EDGE = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")


def _board(name: str, title: str, flash: int, load: int, ram_bytes: int, **tables: object) -> Board:
    ram = 0x2000_0000
    return EDGE.model_validate(
        {
            **EDGE.model_dump(),
            "name": name,
            "title": title,
            "memory": [
                {"name": "flash", "kind": "flash", "origin": flash, "length": 0x10_0000},
                {"name": "ram", "kind": "ram", "origin": ram, "length": ram_bytes},
            ],
            "reserved": [],
            "application": {
                "load_address": load,
                "max_length": flash + 0x10_0000 - load,
                "initial_stack_pointer": ram + ram_bytes,
                "stack_size": 0x2000,
            },
            **tables,
        }
    )


NANO = _board(
    "made_up_nano",
    "Made-up Nano",
    0,
    0x1_0000,
    0x4_0000,
    package={"formats": ["bin", "hex"]},
    flashing=[
        {
            "tool": "bossac",
            "format": "bin",
            "usb": ["2341:005a", "2341:805a"],
            "steps": ["Press the reset button twice in quick succession."],
        }
    ],
)
DISCO = _board(
    "made_up_disco",
    "Made-up Discovery",
    0x0800_0000,
    0x0800_0000,
    0x5_0000,
    package={"formats": ["bin", "hex"]},
    flashing=[
        {"tool": "mass_storage", "format": "bin", "volume": "DIS_F746NG"},
        {"tool": "openocd", "format": "hex", "config": "board/stm32f746g-disco.cfg"},
    ],
)


def hex_file(image: bytes, address: int, *more: tuple[bytes, int]) -> bytes:
    """Return an Intel HEX file that loads ``image`` and perhaps more."""
    loaded = IntelHex()
    for data, place in ((image, address), *more):
        loaded.frombytes(data, place)
    text = io.StringIO()
    loaded.write_hex_file(text)
    return text.getvalue().encode()


def file_of(board: Board, name: Format, image: bytes) -> bytes:
    """Return the file of a format that holds ``image``."""
    files = {IMAGE: image, HEX: hex_file(image, board.application.load_address)}
    return find_format(name).write(board, files)


@dataclass
class Programs:
    """A folder of small real programs, each of which notes how it was called.

    Attributes:
        folder: the only one on the path.
    """

    folder: Path
    names: list[str] = field(default_factory=list)

    def add(self, name: str, says: str = "", *, exit_code: int = 0, extra: str = "") -> Path:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / name
        path.write_text(
            f"#!/bin/sh\nexec 3>> '{self.folder}/{name}.calls'\n"
            'for each in "$0" "$@"; do printf "%s\\n" "$each" >&3; done\necho >&3\n'
            f"cat <<'END'\n{says}\nEND\n{extra}\nexit {exit_code}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def calls(self, name: str) -> list[list[str]]:
        path = self.folder / f"{name}.calls"
        if not path.exists():
            return []
        return [call.splitlines() for call in path.read_text().split("\n\n") if call]

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:/usr/bin:/bin"}


def host(
    environ: dict[str, str] | None = None,
    ports: Sequence[SerialPort] = (),
    volumes: Path | None = None,
) -> Host:
    return Host(
        environ=environ or {"PATH": "/nowhere"},
        list_ports=lambda: ports,
        volume_folders=(volumes,) if volumes else (),
        timing=Timing(reply_seconds=60, hello_seconds=60, quiet_seconds=60),
        port_seconds=30,
        volume_seconds=0,
        pause_seconds=0.01,
    )
