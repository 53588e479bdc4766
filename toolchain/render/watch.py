"""Shows a simulated run on the terminal, at a speed for eyes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from simulator.watch import ASCII, LEAST_COLUMNS, LEAST_ROWS, UNICODE, Watch
from toolchain.commands.simulate import SimulatedRun
from toolchain.errors import UsageError
from toolchain.render.basics import can_draw

FRAMES_A_SECOND = 25
_SECONDS = 12
"""A run of more frames than fit into this time leaves some out."""

# The terminal's other screen, without a cursor; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_THE_END_OF_LINE, _TO_THE_END = "\x1b[H", "\x1b[K", "\x1b[J"


def require_terminal(stream: TextIO) -> None:
    """Check that frames can be shown.

    Raises:
        UsageError: the stream is no terminal, or one without cursor movements, or too small.
    """
    if not stream.isatty() or os.environ.get("TERM", "") in {"", "dumb"}:
        raise UsageError(
            "--watch needs a terminal that moves its cursor",
            why="standard output leads elsewhere, or TERM says that it cannot",
            next_step="leave it out, or use --html FILE for a page on which the run is replayed",
        )
    columns, rows = _size(stream)
    if columns < LEAST_COLUMNS or rows < LEAST_ROWS:
        raise UsageError(
            f"--watch needs {LEAST_COLUMNS} columns and {LEAST_ROWS} rows, and this terminal has "
            f"{columns} and {rows}",
            next_step="make it larger, or use --html FILE",
        )


def watch(run: SimulatedRun, title: str) -> None:
    """Show the frames of a run; the terminal is as before afterwards, also after an interrupt.

    Args:
        run: what was simulated.
        title: first line of each frame.

    Raises:
        UsageError: see ``require_terminal``.
    """
    stream = sys.stdout
    require_terminal(stream)
    signs = UNICODE if can_draw() else ASCII
    frames = Watch(run.firmware.board, title, run.result, signs)
    stride = max(1, -(-frames.count // (FRAMES_A_SECOND * _SECONDS)))
    shown = [*range(0, frames.count - 1, stride), frames.count - 1]
    with _other_screen(stream):
        for index in shown:
            lines = frames.frame(index, *_size(stream))
            text = "".join(f"{line}{_TO_THE_END_OF_LINE}\r\n" for line in lines)
            stream.write(f"{_HOME}{text}{_TO_THE_END}")
            stream.flush()
            time.sleep(1 / FRAMES_A_SECOND)


def _size(stream: TextIO) -> tuple[int, int]:
    size = os.get_terminal_size(stream.fileno())
    return size.columns, size.lines


@contextmanager
def _other_screen(stream: TextIO) -> Iterator[None]:
    stream.write(_ENTER)
    try:
        yield
    finally:
        stream.write(_LEAVE)
        stream.flush()
