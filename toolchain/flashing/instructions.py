"""Writes FLASHING.md: how to get the files beside it onto the board, by hand or by command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from toolchain.boards import Board, Flashing, Format
from toolchain.firmware.formats import FILE_NAMES

NAME = "FLASHING.md"

_CONTENTS: Mapping[Format, str] = {
    "bin": "the image, for {load_address}",
    "hex": "the same with its address, Intel HEX",
    "ambiq_image": "the image in the secure bootloader's header",
    "ambiq_wired_update": "that as an update over the serial line",
    "arduino_library": "the sources as a library for the Arduino IDE",
}


def instructions(board: Board, model: str) -> str:
    """Return the text of FLASHING.md for a board's firmware with ``model``."""
    parts = [
        f"# Flashing {board.title}",
        f"`hello_world` with the model `{model}`. The files beside this one:",
        _table(board),
        *(part for number, way in enumerate(board.flashing) for part in _way(board, way, number)),
        *(_arduino_ide() if "arduino_library" in board.package.formats else ()),
        *_expectation(board),
        *_links(board),
    ]
    return "\n\n".join(parts) + "\n"


def _table(board: Board) -> str:
    load = f"0x{board.application.load_address:08X}"
    rows = [
        f"| `{FILE_NAMES[name]}` | {_CONTENTS[name].format(load_address=load)} |"
        for name in board.package.formats
    ]
    return "\n".join(["| file | holds |", "|---|---|", *rows])


def _numbered(steps: Iterable[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _way(board: Board, way: Flashing, number: int) -> tuple[str, str]:
    several = len(board.flashing) > 1
    option = f" --tool {way.tool}" if several else ""
    command = f"`./invoke flash --target {board.name}{option}`"
    last, title = _LAST_STEPS[way.tool](board, way)
    steps = [*way.steps, f"Run {command}, or {last}"]
    return f"## {'Or by' if number else 'By'} {title}", _numbered(steps)


def _by_bootloader(_board: Board, way: Flashing) -> tuple[str, str]:
    return (
        f"send `{FILE_NAMES[way.format]}` with the vendor's `uart_wired_update.py -b {way.baud} "
        f"PORT -r 1 -f {FILE_NAMES[way.format]} -i 6`.",
        "its own bootloader, over the serial line",
    )


def _by_bossac(_board: Board, way: Flashing) -> tuple[str, str]:
    return (
        f"`bossac -d --port=PORT -U -i -e -w {FILE_NAMES[way.format]} -R` with Arduino's bossac "
        "1.9.1-arduino2 (no offset: the bootloader adds it).",
        "bossac",
    )


def _by_openocd(board: Board, way: Flashing) -> tuple[str, str]:
    address = f" 0x{board.application.load_address:08X}" if way.format == "bin" else ""
    return (
        f'`openocd -f {way.config} -c "program {FILE_NAMES[way.format]}{address} verify reset '
        'exit"`.',
        "OpenOCD, through the debug probe on the board",
    )


def _by_mass_storage(_board: Board, way: Flashing) -> tuple[str, str]:
    return (
        f"copy `{FILE_NAMES[way.format]}` to the volume `{way.volume}` and wait until it is "
        "written; a file `FAIL.TXT` on the volume then says that it failed, and why.",
        f"copying to the volume {way.volume}",
    )


_LAST_STEPS: Mapping[str, Callable[[Board, Flashing], tuple[str, str]]] = {
    "ambiq_bootloader": _by_bootloader,
    "bossac": _by_bossac,
    "openocd": _by_openocd,
    "mass_storage": _by_mass_storage,
}


def _arduino_ide() -> tuple[str, str]:
    steps = (
        f"Sketch, Include Library, Add .ZIP Library: `{FILE_NAMES['arduino_library']}`.",
        "File, Examples, Arduino_TensorFlowLite, hello_world.",
        "Choose board and port, then Upload.",
    )
    return "## Or with the Arduino IDE", _numbered(steps)


def _expectation(board: Board) -> tuple[str, ...]:
    console = board.console
    leds = ", ".join(led.name for led in board.led)
    plural = "s" if len(board.led) > 1 else ""
    shows = f" The LED{plural} ({leds}) follow{'' if plural else 's'} the sine." if leds else ""
    return (
        "## What to expect",
        f"On the console ({console.peripheral}, TX {console.tx_pin}, RX {console.rx_pin}, "
        f"{console.baud} baud, 8N1) a line that begins with `hello_world: board={board.name}`, "
        f"then one `x_value: …, y_value: …` line for each inference.{shows}",
        "Nothing there? Press the board's reset button. A line that begins with `error: ` says "
        "what stopped the firmware.",
    )


def _links(board: Board) -> tuple[str, ...]:
    if not board.link:
        return ()
    return "## More", "\n".join(f"- [{link.title}]({link.url})" for link in board.link)
