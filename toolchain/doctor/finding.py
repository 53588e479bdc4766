"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "note", "problem", "unknown"]
"""``note`` hinders no build; ``problem`` does; ``unknown`` could not be looked at."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what, in a word or two.
        state: how it is.
        what: what was found; the same as long as nothing is different.
        cure: what to do about it; empty where there is nothing to be done.
        measured: figures that change from one look to the next.
    """

    check: str
    state: State
    what: str
    cure: str = ""
    measured: str = ""
