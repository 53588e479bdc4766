"""The tasks' frame: how failures become a message and an exit code, and how results are written."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke.exceptions import Exit

from tests.unit.commands_support import PROJECT
from toolchain.cli.printing import show, show_json
from toolchain.cli.program import READER_GONE
from toolchain.cli.task import with_exit_codes
from toolchain.errors import (
    CancelledError,
    StepFailedError,
    ToolchainError,
    UsageError,
    VerificationError,
)


def ended(error: BaseException) -> Exit:
    @with_exit_codes
    def command() -> None:
        raise error

    with pytest.raises(Exit) as caught:
        command()
    return caught.value


@pytest.mark.parametrize("kind", [UsageError, StepFailedError, VerificationError, CancelledError])
def test_a_failure_becomes_its_message_and_exit_code(
    kind: type[ToolchainError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TOOLCHAIN_DEBUG", raising=False)
    end = ended(kind("it broke", why="because", next_step="mend it"))
    assert end.code == kind.exit_code
    assert end.message == "error: it broke\n  why:  because\n  next: mend it"
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_is_a_stop_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    end = ended(KeyboardInterrupt())
    assert (end.code, end.message) == (130, "error: stopped")
    assert capsys.readouterr() == ("", "")


def test_a_full_disk_is_one_error_wherever_it_is_met() -> None:
    end = ended(OSError(errno.ENOSPC, "No space left on device", "/cache/locks/a"))
    assert end.code == 16
    assert "/cache/locks/a cannot be written" in str(end.message)


def test_a_mistake_of_ours_stays_a_traceback() -> None:
    @with_exit_codes
    def command() -> None:
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        command()


def test_a_traceback_is_printed_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOOLCHAIN_DEBUG", "1")
    assert ended(UsageError("it broke")).code == 29
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp437", "shift_jis"]))
def test_any_text_can_be_written_to_any_terminal(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    stdout, sys.stdout = sys.stdout, io.TextIOWrapper(raw, encoding=encoding, newline="")
    try:
        show(text)
        sys.stdout.detach()
    finally:
        sys.stdout = stdout
    assert raw.getvalue() == (text + "\n").encode(encoding, "backslashreplace")


def test_names_that_are_no_text_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    show(os.fsdecode(b"/home/caf\xe9"))
    assert capsys.readouterr().out == "/home/caf\\udce9\n"


def test_json_begins_with_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    show_json("things", things=[Path("/a")])
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["schema", "things"]
    assert document == {"schema": "tinyml-toolchain/things/1", "things": ["/a"]}


@pytest.mark.parametrize(("reader_closes", "code"), [(True, READER_GONE), (False, 0)])
def test_a_reader_that_goes_ends_the_command_in_silence(reader_closes: bool, code: int) -> None:
    script = (
        "import sys\n"
        "from invoke.exceptions import Exit\n"
        "from toolchain.cli.printing import show\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    show('result')\n"
        "except Exit as end:\n"
        "    sys.exit(end.code)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if reader_closes:
            process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == code
