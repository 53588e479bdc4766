"""The lock of a checkout, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.actions_support import RecordingReporter, make_layout
from toolchain.actions.lock import lock_path, project_lock
from toolchain.errors import CancelledError

_HOLDER = """
import sys, time
from pathlib import Path
from toolchain.actions.lock import project_lock
from toolchain.console import PlainReporter
from toolchain.layout import Layout

with project_lock(Layout(Path(sys.argv[1]), Path(sys.argv[2])), PlainReporter()):
    print("held", flush=True)
    sys.stdin.readline()
"""


class _Holder:
    def __init__(self, folder: Path) -> None:
        self.layout = make_layout(folder)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _HOLDER,
                str(self.layout.project),
                str(self.layout.cache),
                "x y",
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end_after(self, seconds: float, number: signal.Signals) -> None:
        threading.Timer(seconds, self.process.send_signal, (number,)).start()


@pytest.fixture
def holder(tmp_path: Path) -> _Holder:
    return _Holder(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_second_waits_says_for_whom_and_goes_on_when_the_first_dies(
    holder: _Holder, number: signal.Signals
) -> None:
    reporter = RecordingReporter()
    holder.end_after(0.5, number)
    started = time.monotonic()
    with project_lock(holder.layout, reporter):
        assert time.monotonic() - started > 0.3
    holder.process.communicate()
    assert len(reporter.notes) == 1
    assert f"process {holder.process.pid}" in reporter.notes[0]
    assert "'x y'" in reporter.notes[0]


def test_ctrl_c_ends_the_waiting(holder: _Holder) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(CancelledError), project_lock(holder.layout, RecordingReporter()):
        pytest.fail("the lock was given to two")
    holder.process.communicate("\n")
    assert holder.process.returncode == 0


def test_a_lock_file_that_was_removed_meanwhile_is_not_enough(holder: _Holder) -> None:
    lock_path(holder.layout).unlink()
    reporter = RecordingReporter()
    with project_lock(holder.layout, reporter):
        assert lock_path(holder.layout).exists()
    assert reporter.notes == []
    holder.process.communicate("\n")


def test_a_free_lock_is_taken_in_silence_and_again_by_the_same_process(tmp_path: Path) -> None:
    layout, reporter = make_layout(tmp_path), RecordingReporter()
    for _ in range(2):
        with project_lock(layout, reporter), project_lock(layout, reporter):
            pass
    assert reporter.notes == []


def test_two_checkouts_do_not_wait_for_each_other(holder: _Holder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_layout(tmp_path / "other")
    reporter = RecordingReporter()
    with project_lock(type(other)(other.project, holder.layout.cache), reporter):
        pass
    assert reporter.notes == []
    holder.process.communicate("\n")


def test_an_unreadable_holder_is_another_command(holder: _Holder) -> None:
    lock_path(holder.layout).write_text("{")
    reporter = RecordingReporter()
    holder.end_after(0.3, signal.SIGKILL)
    with project_lock(holder.layout, reporter):
        pass
    holder.process.communicate()
    assert "another command" in reporter.notes[0]
