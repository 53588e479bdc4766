"""What the linker says when a firmware does not fit its board."""

from __future__ import annotations

import re

from toolchain.errors import FirmwareDoesNotFitError, StepFailedError
from toolchain.models import BuildType

# What GNU ld says when a section leaves its memory region, and the linker script's own assertions.
_OVERFLOWED = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")
_DOES_NOT_FIT = ("will not fit in region", "overflowed by", "does not fit", "reach into the stack")


def does_not_fit(error: StepFailedError, build_type: BuildType) -> FirmwareDoesNotFitError | None:
    """Return what the linker said as an error of its own; None when it said something else."""
    said = [
        line.rpartition("/ld: ")[2].strip()
        for line in str(error).splitlines()
        if any(sign in line for sign in _DOES_NOT_FIT)
    ]
    if not said:
        return None
    step = error.what.partition(" failed ")[0]
    missing = ", ".join(
        f"{int(size):,} bytes of {'RAM' if region == 'ram' else region}"
        for region, size in dict(_OVERFLOWED.findall("\n".join(said))).items()
    )
    smaller = "" if build_type == "release" else ", or build with --build-type release"
    return FirmwareDoesNotFitError(
        f"the firmware does not fit the board's memory: {step}"
        + (f" lacks {missing}" if missing else ""),
        why=f"the linker says: {'; '.join(said)}",
        next_step=f"make the model or its tensor arena smaller{smaller}; {error.next_step}",
    )
