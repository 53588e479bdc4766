"""Shows how far a transfer is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolchain.console import Reporter, TerminalReporter
from toolchain.flashing.job import Progress

_LINES = 10


@contextmanager
def shown_progress(reporter: Reporter, text: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield what to call with the bytes done and all bytes.

    Args:
        reporter: where lines go; a bar is drawn when it is a terminal's.
        text: what is going on.
        quiet: show nothing.
    """
    if quiet:
        yield lambda _done, _total: None
    elif isinstance(reporter, TerminalReporter):
        yield from _bar(text)
    else:
        yield _Lines(reporter, text)


def _bar(text: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Says each tenth once."""

    def __init__(self, reporter: Reporter, text: str) -> None:
        self._reporter = reporter
        self._text = text
        self._said = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = _LINES * done // total if total else _LINES
        if tenth > self._said:
            self._said = tenth
            self._reporter.step(f"{self._text}: {100 * tenth // _LINES} % ({done:,} bytes)")
