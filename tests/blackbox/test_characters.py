"""Terminals that can show few characters."""

from __future__ import annotations

from tests.blackbox.support import Checkout


def test_where_characters_are_few_everything_is_ascii(built: Checkout) -> None:
    for command in (("build",), ("simulate", "--inferences", "2000"), ("verify",), ("targets",)):
        done = built.invoke(*command, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert "\\u" not in done.stdout
