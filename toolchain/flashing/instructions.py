"""Writes FLASHING.md: how to get the files beside it onto the board, by hand or by command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from toolchain.boards import Board, Flashing, Format
from toolchain.firmware.formats import file_name

NAME = "FLASHING.md"

_CONTENTS: Mapping[Format, str] = {
    "bin": "the image, for {load_address}",
    "hex": "the same with its address, Intel HEX",
    "ambiq_image": "the image in the secure bootloader's header",
    "ambiq_wired_update": "that as an update over the serial line",
    "arduino_library": "the sources as a library for the Arduino IDE",
}


@dataclass(frozen=True)
class Firmware:
    """What the instructions are about.

    Attributes:
        application: the program, which the files are named after.
        model: name of what it runs.
        options: that ``./invoke flash`` needs beside the target, such as ``--model sine_float``.
    """

    application: str
    model: str
    options: str = ""

    def file(self, name: Format) -> str:
        """Return what its file of the format ``name`` is called."""
        return file_name(self.application, name)


def instructions(board: Board, firmware: Firmware) -> str:
    """Return the text of FLASHING.md for a board's firmware."""
    parts = [
        f"# Flashing {board.title}",
        f"`{firmware.application}` with the model `{firmware.model}`. The files beside this one:",
        _table(board, firmware),
        *(
            part
            for number, way in enumerate(board.flashing)
            for part in _way(board, firmware, way, number)
        ),
        *(_arduino_ide(firmware) if "arduino_library" in board.package.formats else ()),
        *_expectation(board, firmware),
        *_links(board),
    ]
    return "\n\n".join(parts) + "\n"


def _table(board: Board, firmware: Firmware) -> str:
    load = f"0x{board.application.load_address:08X}"
    rows = [
        f"| `{firmware.file(name)}` | {_CONTENTS[name].format(load_address=load)} |"
        for name in board.package.formats
    ]
    return "\n".join(["| file | holds |", "|---|---|", *rows])


def _numbered(steps: Iterable[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _way(board: Board, firmware: Firmware, way: Flashing, number: int) -> tuple[str, str]:
    several = len(board.flashing) > 1
    options = f" {firmware.options}" if firmware.options else ""
    options += f" --tool {way.tool}" if several else ""
    command = f"`./invoke flash --target {board.name}{options}`"
    last, title = _LAST_STEPS[way.tool](board, way, firmware.file(way.format))
    steps = [*way.steps, f"Run {command}, or {last}"]
    return f"## {'Or by' if number else 'By'} {title}", _numbered(steps)


def _by_bootloader(_board: Board, way: Flashing, file: str) -> tuple[str, str]:
    return (
        f"send `{file}` with the vendor's `uart_wired_update.py -b {way.baud} "
        f"PORT -r 1 -f {file} -i 6`.",
        "its own bootloader, over the serial line",
    )


def _by_bossac(_board: Board, _way: Flashing, file: str) -> tuple[str, str]:
    return (
        f"`bossac -d --port=PORT -U -i -e -w {file} -R` with Arduino's bossac "
        "1.9.1-arduino2 (no offset: the bootloader adds it).",
        "bossac",
    )


def _by_openocd(board: Board, way: Flashing, file: str) -> tuple[str, str]:
    address = f" 0x{board.application.load_address:08X}" if way.format == "bin" else ""
    return (
        f'`openocd -f {way.config} -c "program {file}{address} verify reset exit"`.',
        "OpenOCD, through the debug probe on the board",
    )


def _by_mass_storage(_board: Board, way: Flashing, file: str) -> tuple[str, str]:
    return (
        f"copy `{file}` to the volume `{way.volume}` and wait until it is "
        "written; a file `FAIL.TXT` on the volume then says that it failed, and why.",
        f"copying to the volume {way.volume}",
    )


_LAST_STEPS: Mapping[str, Callable[[Board, Flashing, str], tuple[str, str]]] = {
    "ambiq_bootloader": _by_bootloader,
    "bossac": _by_bossac,
    "openocd": _by_openocd,
    "mass_storage": _by_mass_storage,
}


def _arduino_ide(firmware: Firmware) -> tuple[str, str]:
    library = firmware.file("arduino_library")
    steps = (
        f"Sketch, Include Library, Add .ZIP Library: `{library}`.",
        f"File, Examples, Arduino_TensorFlowLite, {firmware.application}.",
        "Choose board and port, then Upload.",
    )
    return "## Or with the Arduino IDE", _numbered(steps)


def _expectation(board: Board, firmware: Firmware) -> tuple[str, ...]:
    console = board.console
    begin = f"{firmware.application}: board={board.name}"
    return (
        "## What to expect",
        f"On the console ({console.peripheral}, TX {console.tx_pin}, RX {console.rx_pin}, "
        f"{console.baud} baud, 8N1) a line that begins with `{begin}`, then "
        + (_sine(board) if firmware.application == "hello_world" else _cases(board)),
        "Nothing there? Press the board's reset button. A line that begins with `error: ` says "
        "what stopped the firmware.",
    )


def _sine(board: Board) -> str:
    leds = ", ".join(led.name for led in board.led)
    plural = "s" if len(board.led) > 1 else ""
    shows = f" The LED{plural} ({leds}) follow{'' if plural else 's'} the sine." if leds else ""
    return f"one `x_value: …, y_value: …` line for each inference.{shows}"


def _cases(board: Board) -> str:
    blinks = f" The LED {board.led[0].name} changes with each case." if board.led else ""
    return (
        "one `case … equal: …` line for each input that was built in, with the bytes of the "
        "outputs, and `~~~ALL CASES EQUAL~~~` after the last, again and again; `different` would "
        f"say that this board computes something else than the model's reference.{blinks}"
    )


def _links(board: Board) -> tuple[str, ...]:
    if not board.link:
        return ()
    return "## More", "\n".join(f"- [{link.title}]({link.url})" for link in board.link)
