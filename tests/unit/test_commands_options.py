from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.commands.options import whole_number
from toolchain.errors import UsageError


@given(st.integers(), st.integers(), st.none() | st.integers())
def test_a_number_within_its_limits_is_returned_and_another_refused(
    number: int, low: int, high: int | None
) -> None:
    if low <= number and (high is None or number <= high):
        assert whole_number("--n", str(number), at_least=low, at_most=high) == number
    else:
        with pytest.raises(UsageError, match="--n cannot be"):
            whole_number("--n", str(number), at_least=low, at_most=high)


@pytest.mark.parametrize("text", ["", "many", "1.5", "0x10", "1e3", "--target"])
def test_what_is_no_whole_number_is_refused_with_the_limits(text: str) -> None:
    with pytest.raises(UsageError, match="whole number, 3 or more"):
        whole_number("--n", text, at_least=3)
    with pytest.raises(UsageError, match="whole number, from 3 to 9"):
        whole_number("--n", text, at_least=3, at_most=9)
