from __future__ import annotations

import pytest

from toolchain.commands.test import _first_failure


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0, 0], 0),
        ([0, 1, 0], 1),
        ([2, 0, 1], 2),
        ([0, 5], 0),
        ([5, 1], 1),
        ([5, 5], 5),
    ],
)
def test_the_first_failure_counts_and_no_test_at_all_is_one(codes: list[int], code: int) -> None:
    assert _first_failure(codes) == code
