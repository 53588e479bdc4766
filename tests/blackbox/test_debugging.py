"""What a developer of the toolchain asks for."""

from __future__ import annotations

from tests.blackbox.support import Checkout


def test_a_traceback_is_shown_to_those_who_ask_for_one(built: Checkout) -> None:
    done = built.invoke("build", "--model", "cosine", TOOLCHAIN_DEBUG="1")
    assert done.returncode == 29
    assert "Traceback (most recent call last)" in done.stderr
    assert "find_model" in done.stderr
    assert "error: there is no model 'cosine'" in done.stderr
    assert done.stdout == ""
