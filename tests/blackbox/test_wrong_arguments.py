"""Wrong arguments: told before anything runs, with what could be meant."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.blackbox.support import TARGET, Checkout, failed
from tests.blackbox.test_json import checked
from toolchain.boards import board_names


@pytest.mark.parametrize("command", ["build", "simulate", "verify", "plan", "shell"])
def test_an_unknown_target_is_told_with_the_known_ones(built: Checkout, command: str) -> None:
    said = failed(built.invoke(command, "--target", "sparkfun_egde"), 10)
    assert "there is no target 'sparkfun_egde'" in said
    assert "did you mean 'sparkfun_edge'?" in said
    known = said.partition("choose one of: ")[2].split(", ")
    assert [name.strip() for name in known] == list(board_names(built.folder / "boards"))


@pytest.mark.parametrize("command", ["build", "simulate", "verify", "plan"])
def test_an_unknown_model_or_build_type_is_told_with_the_known_ones(
    built: Checkout, command: str
) -> None:
    said = failed(built.invoke(command, "--model", "cosine"), 29)
    assert "choose one of: sine_int8, sine_float" in said
    said = failed(built.invoke(command, "--build-type", "fast"), 29)
    assert "choose one of: release, release_with_logs, default, debug" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--inferences", "0"),
        ("simulate", "--inferences", "many"),
        ("simulate", "--lines=-1"),
        ("build", "--jobs=-1"),
        ("train", "--epochs", "0"),
        ("train", "--seed=-1"),
        ("train", "--seed", str(1 << 32)),
    ],
)
def test_a_number_that_cannot_be_used_is_told_before_anything_runs(
    built: Checkout, arguments: Sequence[str]
) -> None:
    said = failed(built.invoke(*arguments), 29)
    assert "give it a whole number" in said
    assert ": cached" not in said


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (("biuld",), "there is no task 'biuld'", "did you mean 'build'?"),
        (("--help", "biuld"), "there is no task 'biuld'", "did you mean 'build'?"),
        (("build", "smiulate"), "there is no task 'smiulate'", "did you mean 'simulate'?"),
        (("build", TARGET), f"./invoke build takes no argument '{TARGET}'", "after its option"),
        (("build", "--tagret", "x"), "no option --tagret", "did you mean '--target'?"),
        (("build", "--tagret=x"), "no option --tagret", "did you mean '--target'?"),
        (("--lsit",), "./invoke has no option --lsit", "did you mean '--list'?"),
        (("build", "--target"), "--target of ./invoke build lacks its value", "--help"),
        (("build", "--json=3"), "./invoke build takes no argument '3'", "--help"),
        (("shell",), "./invoke shell needs TARGET", "--help shell"),
        (("verify-release",), "./invoke verify-release needs PLACE", "--help verify-release"),
    ],
)
def test_words_that_cannot_be_parsed_are_told_like_any_wrong_argument(
    built: Checkout, arguments: Sequence[str], what: str, hint: str
) -> None:
    said = failed(built.invoke(*arguments), 29)
    assert what in said.splitlines()[0]
    assert hint in said


@pytest.mark.parametrize("words", [("biuld",), ("build", "--tarhet", "sparkfun_edge")])
def test_words_that_cannot_be_parsed_are_a_document_too(
    built: Checkout, words: tuple[str, ...]
) -> None:
    done = built.invoke(*words, "--json")
    assert done.returncode == 29
    document = checked(json.loads(done.stdout))
    assert document["error"] == "UsageError"
    assert document["what"] in done.stderr
