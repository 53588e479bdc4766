from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolchain.quoted import last_lines


def test_the_last_lines_are_indented_and_not_too_long() -> None:
    said = "\n".join(["first", *"abcdef", "", "x" * 999, "  "])
    shown = last_lines(said, 6).splitlines()
    assert [line[:5] for line in shown] == [*(f"    {letter}" for letter in "bcdef"), "    x"]
    assert len(shown[-1]) == 304


@given(st.text(), st.integers(1, 5))
def test_no_more_lines_are_quoted_than_asked_for(said: str, count: int) -> None:
    shown = last_lines(said, count)
    assert len(shown.split("\n")) <= count
    assert all(line.startswith("    ") and len(line) <= 304 for line in shown.split("\n") if line)
