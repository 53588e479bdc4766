"""What is shown of what the image builder says."""

from __future__ import annotations

import pytest

from toolchain.images.build import said_by_builder


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Step 14/20 : COPY --from=work / /", "step 14 of 20"),
        ("---> Running in 45c2b9485303", ""),
        ("Removing intermediate container d57ecedc0426", ""),
        ("Setting up git (1:2.47.3-0+deb13u1) ...", "Setting up git (1:2.47.3-0+deb13u1) ..."),
        ("x" * 200, "x" * 100),
    ],
)
def test_the_builders_own_bookkeeping_is_not_shown(line: str, shown: str) -> None:
    assert said_by_builder(line) == shown
