"""Remembers on which processor a network was trained, beside the results and never in them.

A step's outputs depend on its inputs alone; should two machines ever disagree, this says what they
were.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import StepResult
from toolchain.digest import Digest
from toolchain.files import write_atomically
from toolchain.layout import Layout

MACHINE_SCHEMA = "tinyml-toolchain/machine/1"
MACHINE_RECORD = PurePosixPath("machine.json")
"""Under ``build/model/<family>``; no output of a step."""

_CPU_INFORMATION = Path("/proc/cpuinfo")
_VECTORS = re.compile(r"^(sse\w*|ssse3|avx\w*|fma\w*|f16c|amx\w*|bmi\d|asimd\w*|sve\w*)$")


@dataclass(frozen=True)
class Machine:
    """A processor.

    Attributes:
        model: as it names itself; empty where the system does not say.
        flags_sha256: digest of all its features, sorted, joined with spaces.
        vector_extensions: those that numeric kernels are chosen by, sorted.
        processors: how many the system has.
    """

    model: str
    flags_sha256: str
    vector_extensions: tuple[str, ...]
    processors: int


def read_machine(information: str, processors: int) -> Machine:
    """Return the machine, of so many processors, that a text like ``/proc/cpuinfo`` describes."""
    model = re.search(r"^model name\s*: *(.*)$", information, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: *(.*)$", information, re.MULTILINE)
    features = sorted(set(flags[1].split())) if flags else []
    return Machine(
        model=model[1].strip() if model else "",
        flags_sha256=Digest.of_bytes(" ".join(features).encode()).sha256,
        vector_extensions=tuple(feature for feature in features if _VECTORS.match(feature)),
        processors=processors,
    )


def this_machine() -> Machine:
    """Return the machine that this runs on."""
    try:
        information = _CPU_INFORMATION.read_text(encoding="utf-8", errors="replace")
    except OSError:
        information = ""
    return read_machine(information, os.cpu_count() or 1)


def remember_machines(layout: Layout, results: Mapping[str, StepResult]) -> None:
    """Remember this machine for every training that was run just now."""
    for name, result in results.items():
        if name.startswith("train ") and not result.cached:
            text = json.dumps(asdict(this_machine()), indent=2, sort_keys=True) + "\n"
            write_atomically(_memo(layout, result), text.encode())


def machine_text(layout: Layout, results: Mapping[str, StepResult]) -> str:
    """Return ``machine.json``: the machine of each training in ``results``, null if unknown."""
    trained: dict[str, object] = {}
    for name, result in results.items():
        if name.startswith("train "):
            try:
                trained[name] = json.loads(_memo(layout, result).read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError):
                trained[name] = None
    record = {"schema": MACHINE_SCHEMA, "trained": trained}
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def _memo(layout: Layout, result: StepResult) -> Path:
    return layout.machines / f"{result.action.sha256}.json"
