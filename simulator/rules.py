"""How a model says that the firmware did what the silicon refuses."""

from __future__ import annotations


class RuleBrokenError(Exception):
    """A rule of the silicon was broken; the machine adds where and ends the run.

    Args:
        what: what the firmware did, one sentence without a full stop.
        why: the rule and the likely cause.
        next_step: what to change.
        address: of the instruction to blame; None: the one that runs.
    """

    def __init__(
        self, what: str, *, why: str, next_step: str = "", address: int | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step
        self.address = address
