"""What a step's command writes: all of it in a log, its end in memory for messages."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

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
        """Take chunks of both outputs until the end; never raises, since it runs in a thread."""
        written, said = 0, time.monotonic()
        try:
            with self.log.open("wb") as log:
                for output, errors in stream:
                    chunk = (output or b"") + (errors or b"")
                    _keep_tail(self.both, chunk)
                    if errors:
                        _keep_tail(self.errors, errors)
                    if written < LOG_LIMIT_BYTES:
                        log.write(chunk)
                        if written + len(chunk) >= LOG_LIMIT_BYTES:
                            log.write(b"\n[the log is cut here: it grew too long]\n")
                    written += len(chunk)
                    if time.monotonic() - said > _PROGRESS_SECONDS:
                        said = time.monotonic()
                        lines = readable_lines(chunk)
                        self.progress(lines[-1] if lines else "")
        except OSError as error:
            if not isinstance(error, self.gone):
                self.failure = error
        except self.gone:
            return

    def tail(self) -> bytes:
        """Return the end of both streams."""
        return b"".join(self.both)

    def error_tail(self) -> bytes:
        """Return the end of standard error."""
        return b"".join(self.errors)


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
        shutil.copyfile(source, temporary)
        temporary.replace(log)
    except OSError:
        return
