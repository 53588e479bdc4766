"""What a step's command writes: all of it in a log, its end in memory for messages."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from toolchain.actions.failure import readable_lines
from toolchain.layout import Layout

LOG_LIMIT_BYTES = 64 << 20
_TAIL_BYTES = 64 << 10
_PROGRESS_SECONDS = 0.5


@dataclass
class Capture:
    """Takes what a command writes.

    Attributes:
        log: file that gets all of it.
        progress: called now and then with the last line.
        gone: exceptions of the stream that mean that the command has gone.
        both: end of what it wrote to both outputs; ``errors``: to standard error.
        failure: why the log could not be written.
    """

    log: Path
    progress: Callable[[str], None]
    gone: tuple[type[Exception], ...] = ()
    both: deque[bytes] = field(default_factory=deque)
    errors: deque[bytes] = field(default_factory=deque)
    failure: OSError | None = None

    def read(self, stream: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take chunks of both outputs until the end; never raises, since it runs in a thread.

        Where the log cannot be written the rest is taken all the same: a command whose pipe nobody
        reads would wait until its time is over.
        """
        said = time.monotonic()
        log = _Log(self.log)
        ended: tuple[type[Exception], ...] = (OSError, *self.gone)
        try:
            for output, errors in stream:
                chunk = (output or b"") + (errors or b"")
                _keep_tail(self.both, chunk)
                if errors:
                    _keep_tail(self.errors, errors)
                log.write(chunk)
                if time.monotonic() - said > _PROGRESS_SECONDS:
                    said = time.monotonic()
                    lines = readable_lines(chunk)
                    self.progress(lines[-1] if lines else "")
        except ended:
            # The command has gone, or its pipe has: whoever waits for it tells.
            return
        finally:
            log.close()
            self.failure = log.failure

    def tail(self) -> bytes:
        """Return the end of both streams."""
        return b"".join(self.both)

    def error_tail(self) -> bytes:
        """Return the end of standard error."""
        return b"".join(self.errors)


class _Log:
    """A file of limited length; what goes wrong with it is kept and not raised."""

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._written = 0
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("wb")
        except OSError as error:
            self.failure = error

    def write(self, chunk: bytes) -> None:
        if self._file is None or self._written >= LOG_LIMIT_BYTES:
            return
        self._written += len(chunk)
        try:
            self._file.write(chunk)
            if self._written >= LOG_LIMIT_BYTES:
                self._file.write(b"\n[the log is cut here: it grew too long]\n")
        except OSError as error:
            self.failure = error
            self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:
            self.failure = self.failure or error


def _keep_tail(tail: deque[bytes], chunk: bytes) -> None:
    tail.append(chunk[-_TAIL_BYTES:])
    size = sum(len(kept) for kept in tail)
    while len(tail) > 1 and size - len(tail[0]) >= _TAIL_BYTES:
        size -= len(tail.popleft())


def log_path(layout: Layout, step: str) -> Path:
    """Return where the log of the step of that name is kept."""
    slug = "".join(
        character if (character.isascii() and character.isalnum()) or character in "._-" else "-"
        for character in step
    ).lstrip(".")
    return layout.build / "logs" / f"{slug}.log"


def keep_log(source: Path, log: Path) -> None:
    """Copy a log to where people look for it.

    It serves people only: whatever goes wrong here must not hide the step's own result.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        temporary = log.with_name(f".{log.name}.{os.getpid()}")
        try:
            shutil.copyfile(source, temporary)
            temporary.replace(log)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError:
        return
