"""What a failed command said, as an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolchain.actions.failure import LINES_SHOWN, readable_lines, step_failure
from toolchain.errors import StepFailedError, ToolchainError, UnsupportedModelError

_LOG = Path("build/logs/step.log")
_TEXTS = {"error": "unsupported-model", "what": "w", "why": "y", "next": "n"}


def _failure(exit_code: int, errors: bytes, output: bytes = b"") -> ToolchainError:
    return step_failure("step", exit_code, output=output + errors, error_output=errors, log=_LOG)


def test_the_end_of_the_output_and_the_log_are_named() -> None:
    output = b"".join(b"line %d\n" % number for number in range(100))
    error = _failure(2, b"", output)
    assert isinstance(error, StepFailedError)
    lines = error.what.splitlines()
    assert lines[0].startswith("step 'step' failed with exit code 2")
    assert lines[1:] == [f"    line {number}" for number in range(100 - LINES_SHOWN, 100)]
    assert str(_LOG) in error.next_step


def test_errors_are_shown_though_much_else_follows_them() -> None:
    output = b"".join(b"line %d\n" % number for number in range(100))
    error = step_failure("s", 1, output=b"reason\n" + output, error_output=b"reason\n", log=_LOG)
    lines = error.what.splitlines()[1:]
    assert len(lines) == LINES_SHOWN
    assert lines[-2:] == ["    line 99", "    reason"]


def test_half_a_character_in_the_commands_words_is_shown_as_a_question_mark() -> None:
    error = _failure(27, json.dumps({**_TEXTS, "what": "the tensor \ud800"}).encode())
    assert isinstance(error, UnsupportedModelError)
    assert error.what == "the tensor ?"


def test_an_unsupported_model_is_told_in_the_commands_words() -> None:
    error = _failure(27, b"a warning\n" + json.dumps(_TEXTS).encode() + b"\n")
    assert isinstance(error, UnsupportedModelError)
    assert (error.what, error.why, error.next_step) == ("w", "y", "n")


@pytest.mark.parametrize(
    ("exit_code", "last_line"),
    [
        (1, json.dumps(_TEXTS)),
        (27, ""),
        (27, "not JSON"),
        (27, "[]"),
        (27, "null"),
        (27, "[" * 100_000),
        (27, json.dumps({**_TEXTS, "error": "other"})),
        (27, json.dumps({**_TEXTS, "why": 1})),
        (27, json.dumps({"error": "unsupported-model"})),
        (27, json.dumps(_TEXTS) + "\nand more"),
    ],
)
def test_whatever_else_is_a_plain_failure(exit_code: int, last_line: str) -> None:
    assert isinstance(_failure(exit_code, last_line.encode()), StepFailedError)


def test_a_command_cannot_write_to_the_terminal() -> None:
    hostile = b"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x08\x9b1m \xff \xe2\x80\xaeflip\n"
    (line,) = readable_lines(hostile)
    assert line.isprintable()
    assert line == "red\ufffd1m \ufffd flip"


def test_of_a_progress_line_the_last_form_is_kept() -> None:
    assert readable_lines(b"10 %\r50 %\r100 %\r\ndone\n\n") == ["100 %", "done"]
