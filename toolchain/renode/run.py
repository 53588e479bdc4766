"""Runs a flashable file in Renode, without a window, until its console said what is waited for."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simulator.console import ERROR_PREFIX, CaseLine, Console, ResultLine, parse_case, parse_result
from toolchain.boards import Board
from toolchain.errors import SimulationIncompleteError, SimulatorUnavailableError, UsageError
from toolchain.renode.lint import console_name
from toolchain.renode.program import Program

LIMIT_SECONDS = 300.0
"""Of this computer's time, after which a run is given up; the sine's thousand inferences take some
ten of them."""

SCRIPTS = ("machine.resc", "run_bin.resc")
"""What is taken from a board's ``renode`` folder, beside its platform."""

_POLL_SECONDS = 0.05
_QUIT_SECONDS = 5.0
_TAIL_LINES = 12
_REFUSED = (
    b"There was an error executing command",
    b"No such command or device",
    b"Bad parameters for command",
    b"Could not tokenize",
)
"""How the monitor begins to say that it did not do what it was told; it goes on all the same."""

_HALTED = (b"CPU was halted", b"CPU abort", b"Fatal error:")
"""What the log says of a core that runs no more, as at a script's error; Renode goes on."""

_LED = re.compile(r"LED (\w+): (\d+) of 1000")


@dataclass(frozen=True)
class RenodeRequest:
    """One run of a firmware in Renode; exactly one of ``results`` and ``until_text`` ends it.

    Attributes:
        board: the board.
        folder: its files for Renode, ``boards/<name>/renode``.
        image: bytes of the flashable file.
        results: end after this many ``x_value`` or ``case`` lines, at least 1.
        until_text: end after the first console line that holds this text.
        limit_seconds: of this computer's time, after which the run is given up.

    Raises:
        UsageError: the end is not given, given twice, or not positive.
    """

    board: Board
    folder: Path
    image: bytes
    results: int | None = None
    until_text: str | None = None
    limit_seconds: float = LIMIT_SECONDS

    def __post_init__(self) -> None:
        if (self.results is None) == (not self.until_text):
            raise UsageError("a run in Renode ends after a number of results or at a text")
        if self.results is not None and self.results < 1:
            raise UsageError(
                f"{self.results} inferences cannot be simulated", next_step="ask for 1 or more"
            )

    @property
    def waited_for(self) -> str:
        """What ends the run, in words."""
        if self.results is None:
            return f"a console line with '{self.until_text}'"
        return f"{self.results} line{'s' if self.results > 1 else ''} with a result"


@dataclass(frozen=True)
class RenodeResult:
    """A run that ended as it was asked to.

    Attributes:
        console: every byte that the firmware sent, to the end of the line that ended the run.
        text: the same as the simulator's own results have it, each line with its newline.
        results: the ``x_value`` lines.
        cases: the ``case`` lines.
        brightness: lowest and highest of each LED that changed, 0 to 1, in the whole run.
    """

    console: bytes
    text: str
    results: tuple[ResultLine, ...]
    cases: tuple[CaseLine, ...]
    brightness: Mapping[str, tuple[float, float]]


class Listener:
    """Takes what the console sends, and knows when the run is at its end."""

    def __init__(self, request: RenodeRequest) -> None:
        self._request = request
        self._console = Console(self._on_line)
        self._taken = bytearray()
        self.results: list[ResultLine] = []
        self.cases: list[CaseLine] = []
        self.ended = False

    @property
    def console(self) -> bytes:
        """Every byte up to the end of the run."""
        return bytes(self._taken)

    @property
    def text(self) -> str:
        """The same as text."""
        return self._console.text

    @property
    def tail(self) -> str:
        """The last line that is not empty."""
        return self._console.tail

    def take(self, data: bytes) -> None:
        """Take some bytes; what comes after the end of the run is left out.

        Raises:
            SimulationIncompleteError: the firmware stopped itself, or a line cannot be read.
        """
        for byte in data:
            if self.ended:
                return
            self._taken.append(byte)
            self._console.put(byte)

    def _on_line(self, line: str) -> None:
        if line.startswith(ERROR_PREFIX):
            raise SimulationIncompleteError(
                f"in Renode, the firmware stopped itself: {line.removeprefix(ERROR_PREFIX)}",
                why=f"results before it: {len(self.results) + len(self.cases)}",
                next_step="run it with --simulator unicorn, which says where a rule is broken",
            )
        if result := parse_result(line):
            self.results.append(result)
        elif case := parse_case(line):
            self.cases.append(case)
        text = self._request.until_text
        enough = len(self.results) + len(self.cases) == self._request.results
        self.ended = enough if text is None else text in line


def renode_arguments(board: Board, folder: PurePosixPath) -> tuple[str, ...]:
    """Return Renode's arguments for a run whose files are in a folder, as Renode sees it.

    Renode makes one line of the commands, with semicolons between them, and takes them in turn
    until one fails. A space in a path is escaped; nothing else can be.

    Raises:
        UsageError: the monitor has no way to write the folder's name, or no platform has the
            board's console.
    """
    if re.search(r"[^ -~]|[;\\\"'`]", str(folder)):
        raise UsageError(
            f"Renode's monitor cannot be given the temporary folder {folder}",
            why="a path there has no semicolon, quote, backslash or character beyond ASCII",
            next_step="set TMPDIR to a folder with a plainer name",
        )
    try:
        console = console_name(board)
    except KeyError as error:
        raise UsageError(
            f"the console of {board.title}, {board.console.peripheral}, has no name in Renode",
            why="none of the boards' platforms has it",
            next_step="add it to CONSOLES of toolchain/renode/lint.py and to the board's .repl, or "
            "use --simulator unicorn",
        ) from error
    at = "@" + str(folder).replace(" ", "\\ ")
    commands = (
        f"logFile {at}/renode.log true",
        f"$bin={at}/image.bin",
        f"include {at}/run_bin.resc",
        f"{console} CreateFileBackend {at}/console.txt true",
        "start",
    )
    return (
        *("--console", "--plain", "--disable-gui"),
        *("--config", f"{folder}/renode.config"),
        *(part for command in commands for part in ("-e", command)),
    )


def run_in_renode(
    program: Program, request: RenodeRequest, environ: Mapping[str, str] = os.environ
) -> RenodeResult:
    """Run a flashable file until it did what was asked.

    Raises:
        UsageError: the board lacks a file for Renode, or see ``renode_arguments``.
        SimulatorUnavailableError: Renode does not start, or ends by itself.
        SimulationIncompleteError: the firmware reported an error, printed what cannot be read, or
            did not come to its end in time; or Renode refused one of the board's files.
    """
    with tempfile.TemporaryDirectory(prefix="renode-") as name:
        folder = Path(name)
        for script in (*SCRIPTS, f"{request.board.name}.repl"):
            _copy(request, script, folder)
        (folder / "image.bin").write_bytes(request.image)
        listener = Listener(request)
        with _started(program, request.board, folder, environ) as process:
            _follow(process, folder, request, listener)
        return RenodeResult(
            console=listener.console,
            text=listener.text,
            results=tuple(listener.results),
            cases=tuple(listener.cases),
            brightness=_brightness(folder / "renode.log"),
        )


def _copy(request: RenodeRequest, script: str, folder: Path) -> None:
    try:
        shutil.copy(request.folder / script, folder)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(
            f"{request.board.title} lacks {script} for Renode",
            why=f"it must stand in {request.folder}",
            next_step="write it as the other boards have it, or use --simulator unicorn",
        ) from error


def _follow(
    process: subprocess.Popen[bytes], folder: Path, request: RenodeRequest, listener: Listener
) -> None:
    end = time.monotonic() + request.limit_seconds
    read = 0
    while True:
        code = process.poll()
        over = time.monotonic() > end
        data = _read_from(folder / "console.txt", read)
        read += len(data)
        listener.take(data)
        if listener.ended:
            return
        said = _read_from(folder / "output.txt", 0)
        if any(words in said for words in _REFUSED):
            raise SimulationIncompleteError(
                f"Renode refused a command of {request.folder.parent.name}/renode",
                why=_last_lines(said),
                next_step="compare its version with the one of pins.toml, or use --simulator "
                "unicorn",
            )
        if any(words in said for words in _HALTED):
            raise SimulationIncompleteError(
                "in Renode, the core was halted",
                why=_last_lines(said),
                next_step="run it with --simulator unicorn, which says where a rule is broken",
            )
        if code is not None:
            raise SimulatorUnavailableError(
                f"Renode ended by itself, with exit code {code}",
                why=_last_lines(said) or "it said nothing",
                next_step="start it by hand, or use --simulator unicorn",
            )
        if over:
            last = listener.tail
            raise SimulationIncompleteError(
                f"{request.limit_seconds:g} s in Renode went by without {request.waited_for}",
                why=f"the console said last: {last}"
                if last
                else f"the console said nothing; Renode: {_last_lines(said)}",
                next_step="run it with --simulator unicorn, which says why it goes no further",
            )
        if not data:
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _started(
    program: Program, board: Board, folder: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    container = f"renode-{uuid.uuid4().hex}"
    command = [
        *program.command(folder, container),
        *renode_arguments(board, program.seen(folder)),
    ]
    with (folder / "output.txt").open("wb") as output:
        try:
            # Its standard input stays open: at the end of it the monitor may quit.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            raise SimulatorUnavailableError(
                f"{command[0]} cannot be started: {error.strerror}",
                next_step="look at the program, or use --simulator unicorn",
            ) from error
        try:
            yield process
        finally:
            _end(process, program.removal(container))


def _end(process: subprocess.Popen[bytes], removal: Sequence[str]) -> None:
    """End Renode and everything that it started, politely first."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.write(b"quit\n")
            process.stdin.close()
    for kind in (None, signal.SIGTERM, signal.SIGKILL):
        if kind is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
        try:
            process.wait(_QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if removal:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                removal,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=4 * _QUIT_SECONDS,
                check=False,
            )


def _read_from(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def _last_lines(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    return " | ".join([line for line in lines if line][-_TAIL_LINES:])


def _brightness(log: Path) -> dict[str, tuple[float, float]]:
    seen: dict[str, list[float]] = {}
    for name, level in _LED.findall(_read_from(log, 0).decode("utf-8", "replace")):
        seen.setdefault(name, []).append(int(level) / 1000)
    return {name: (min(levels), max(levels)) for name, levels in sorted(seen.items())}
