"""Tests of what Invoke's parser refuses: every refusal is a message of this project's."""

from __future__ import annotations

import pytest
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.parser.context import ParserContext

import tasks
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
