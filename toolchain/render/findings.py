"""What ``./invoke doctor`` found."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.doctor.finding import Finding


def findings_text(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, and its cure below it."""
    width = max((len(each.check) for each in findings), default=0)
    states = max((len(each.state) for each in findings), default=0)
    lines = []
    for each in findings:
        measured = f" ({each.measured})" if each.measured else ""
        lines.append(f"{each.state:<{states}}  {each.check:<{width}}  {each.what}{measured}")
        if each.cure and each.state != "ok":
            lines.append(f"{'':<{states + width + 4}}next: {each.cure}")
    return "\n".join(lines)
