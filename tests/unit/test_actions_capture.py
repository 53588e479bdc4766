"""What a command writes is taken to its end, whatever becomes of the log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.actions.capture import Capture, keep_log

_Chunk = tuple[bytes | None, bytes | None]


def _ignore(_text: str) -> None:
    pass


@pytest.mark.parametrize("log", ["/dev/full", "/dev/null/log"])
def test_a_log_that_cannot_be_written_does_not_stop_the_command(log: str) -> None:
    capture = Capture(Path(log), _ignore)
    stream: Iterator[_Chunk] = iter([(b"x" * 100_000, None), (None, b"error"), (b"end", None)])
    capture.read(stream)
    assert next(stream, None) is None
    assert capture.tail().endswith(b"errorend")
    assert capture.error_tail() == b"error"
    assert isinstance(capture.failure, OSError)


def test_a_stream_that_breaks_off_is_no_failure_of_the_log(tmp_path: Path) -> None:
    def stream() -> Iterator[_Chunk]:
        yield b"begun", None
        raise ConnectionResetError

    capture = Capture(tmp_path / "log", _ignore)
    capture.read(stream())
    assert capture.failure is None
    assert (tmp_path / "log").read_bytes() == capture.tail() == b"begun"


def test_a_log_that_cannot_be_kept_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError

    monkeypatch.setattr(shutil, "copyfile", fails)
    keep_log(tmp_path / "log", tmp_path / "logs" / "step.log")
    assert list((tmp_path / "logs").iterdir()) == []
