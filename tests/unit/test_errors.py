from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator
import toolchain
from toolchain.errors import CancelledError, ToolchainError

LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


def kinds(base: type[ToolchainError] = ToolchainError) -> Iterator[type[ToolchainError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    for package in (toolchain, simulator):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    by_code: dict[int, list[str]] = {}
    for kind in kinds():
        assert "exit_code" in vars(kind), f"{kind.__name__} shares its base's exit code"
        by_code.setdefault(kind.exit_code, []).append(kind.__name__)
    assert {code: names for code, names in by_code.items() if len(names) > 1} == {}
    assert len(by_code) > 20


def test_exit_codes_are_none_that_shell_python_or_invoke_give() -> None:
    codes = {kind.exit_code for kind in kinds()}
    assert {code for code in codes if not 9 <= code < 126} == {CancelledError.exit_code}
    assert CancelledError.exit_code == 128 + 2


def test_every_kind_says_in_a_sentence_what_it_is() -> None:
    assert [kind.__name__ for kind in kinds() if not (kind.__doc__ or "").strip()] == []


@given(LINES, st.just("") | LINES, st.just("") | LINES)
def test_a_message_has_a_line_for_each_of_its_parts(what: str, why: str, step: str) -> None:
    error = ToolchainError(what, why=why, next_step=step)
    expected = [what]
    expected += [f"  why:  {why}"] if why else []
    expected += [f"  next: {step}"] if step else []
    assert str(error).split("\n") == error.render().split("\n") == expected
