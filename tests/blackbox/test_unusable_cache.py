"""A cache folder that cannot be used."""

from __future__ import annotations

import pytest

from tests.blackbox.support import Checkout, failed


@pytest.mark.parametrize("command", ["build", "clean", "plan"])
def test_a_cache_that_cannot_be_made_is_one_error(built: Checkout, command: str) -> None:
    place = built.folder / "LICENSE" / "cache"
    said = failed(built.invoke(command, TOOLCHAIN_CACHE=str(place)), 9)
    assert f"{place}" in said
    assert "Not a directory" in said
    assert "TOOLCHAIN_CACHE" in said
