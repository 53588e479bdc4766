"""Tests of what Invoke's parser refuses: every refusal is a message of this project's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.parser.context import ParserContext

import tasks
from tests.unit.commands_support import PROJECT
from toolchain.cli.program import usage_error

NAMES = ("build", "shell", "verify-release")


def refusal(*words: str) -> tuple[str, ParserContext | None]:
    """Return what Invoke's own parser says of a command line that it does not take."""
    contexts = Collection.from_module(tasks).to_contexts()
    parser = Parser(initial=ParserContext(), contexts=contexts)
    with pytest.raises(ParseError) as caught:
        parser.parse_argv(list(words))
    return str(caught.value), caught.value.context


@pytest.mark.parametrize(
    "words",
    [
        ("biuld",),
        ("--nothing",),
        ("build", "--nothing"),
        ("build", "it's"),
        ("build", 'say "it\'s"'),
        ("build", "--target"),
        ("build", "--json=yes"),
        ("shell",),
    ],
)
def test_nothing_of_the_parsers_own_words_is_left(words: tuple[str, ...]) -> None:
    error = usage_error(*refusal(*words), NAMES)
    assert error.exit_code == 29
    for technical in ("No idea", "Flag", "Argument:", "positional", "ambiguous"):
        assert technical not in str(error)
    assert error.next_step


def test_what_the_parser_may_say_one_day_is_shown_as_it_is() -> None:
    assert usage_error("something else", None, NAMES).what == "something else"


def run_main(tmp_path: Path, *words: str, stdout: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as ``./invoke`` does."""
    start = "import sys; sys.path.insert(0, sys.argv[1]); "
    start += "from toolchain.cli.program import main; main()"
    with Path(stdout).open("w") as stream:
        return subprocess.run(
            [sys.executable, "-P", "-c", start, str(PROJECT), *words],
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    "words", [("--list",), ("--version",), ("--help", "build"), ("build", "--nothing", "--json")]
)
def test_what_cannot_be_written_is_one_error(
    words: tuple[str, ...], buffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    done = run_main(tmp_path, *words, stdout="/dev/full")
    assert done.returncode == 9
    assert "Traceback" not in done.stderr
    said = "error: the result cannot be written to standard output: No space left on device"
    assert done.stderr.splitlines()[-2:] == [said, "  next: look at where it is redirected to"]


def test_an_option_of_every_task_may_be_given_twice(tmp_path: Path) -> None:
    words = ("targets", "--verbose", "--verbose", "--debug", "--debug")
    assert run_main(tmp_path, *words, stdout=os.devnull).returncode == 0
