"""Quotes what other programs said, in messages of this project."""

from __future__ import annotations

_LONGEST = 300


def last_lines(said: str, count: int) -> str:
    """Return the last ``count`` lines that are not empty, indented, each cut at 300 characters."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    return "\n".join(f"    {line[:_LONGEST]}" for line in lines[-count:])
