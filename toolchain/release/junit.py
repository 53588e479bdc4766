"""``junit.xml``: what was verified of a board's firmware, case by case, for tools that show tests.

Made from the reports in the same archive, so that it can be made again and compared.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.case_verification import (
    CASES_SCHEMA,
    CaseReference,
    compare_cases,
    read_case_reference,
)
from toolchain.verification import Observation, Reference, agreement, read_reference


@dataclass(frozen=True)
class Verdict:
    """What one case came to.

    Attributes:
        name: says which case.
        failure: what is wrong; empty when nothing is.
        skipped: why it was not compared; empty when it was.
    """

    name: str
    failure: str = ""
    skipped: str = ""


def verdicts(verify: bytes, simulation: bytes, reference: bytes) -> tuple[Verdict, ...]:
    """Compare what the simulated image printed with the reference, case by case.

    Of the sine, the first verdict is that of the test program, which tries every input of the
    reference; then follows each input of the flashable image. Of a given model there is one for
    each case that is built in.

    Args:
        verify: ``verify.json``.
        simulation: ``simulation.json``.
        reference: ``reference.json``.

    Raises:
        VerificationError: the reference cannot be used, or belongs to another model.
        ValueError, LookupError, TypeError: a report cannot be understood.
    """
    verified, simulated = json.loads(verify), json.loads(simulation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.json"
        path.write_bytes(reference)
        if json.loads(reference)["schema"] == CASES_SCHEMA:
            return tuple(_of_cases(read_case_reference(path), simulated["cases"]))
        known = read_reference(path)
    return (_of_test(verified["test"]), *_of_inferences(known, simulated["inferences"]))


def render_junit(suite: str, found: tuple[Verdict, ...]) -> bytes:
    """Return ``junit.xml``; without times, which are the machine's."""
    counts = {
        "tests": str(len(found)),
        "failures": str(sum(bool(each.failure) for each in found)),
        "errors": "0",
        "skipped": str(sum(bool(each.skipped) for each in found)),
    }
    root = ET.Element("testsuites", counts)
    element = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    for each in found:
        case = ET.SubElement(element, "testcase", {"classname": suite, "name": each.name})
        if each.failure:
            ET.SubElement(case, "failure", {"message": each.failure})
        elif each.skipped:
            ET.SubElement(case, "skipped", {"message": each.skipped})
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _of_test(test: Mapping[str, Any]) -> Verdict:
    cases, equal, allowed = test["cases"], test["equal"], test["allowed_difference"]
    largest = test["largest_difference"]
    failure = "" if largest <= allowed else f"an output is {largest} from the reference"
    return Verdict(f"test program: {equal} of {cases} outputs equal the reference", failure)


def _of_inferences(reference: Reference, inferences: list[Mapping[str, Any]]) -> Iterator[Verdict]:
    seen: set[tuple[int, int]] = set()
    for each in inferences:
        int8 = reference.kind == "int8"
        raw_in, raw_out = (
            (each["raw_in"], each["raw_out"]) if int8 else (each["x_bits"], each["y_bits"])
        )
        if (raw_in, raw_out) in seen:
            continue
        seen.add((raw_in, raw_out))
        name = f"input {raw_in}" if int8 else f"input 0x{raw_in:08x}"
        found = agreement(reference, [Observation(raw_in, raw_out, each["x_bits"], each["y_bits"])])
        if not found.known:
            yield Verdict(name, skipped="the reference has no such input; the test program has")
        elif not found.equal:
            yield Verdict(name, f"the output {raw_out} is not the reference's")
        else:
            yield Verdict(name)


def _of_cases(reference: CaseReference, cases: list[Mapping[str, Any]]) -> Iterator[Verdict]:
    if [each["number"] for each in cases] != list(range(len(reference.judged))):
        raise ValueError(
            f"{len(cases)} cases were simulated and the reference has {len(reference.judged)}"
        )
    for each, judged in zip(cases, reference.judged, strict=True):
        alone = dataclasses.replace(reference, judged=(judged,), opinions={})
        outputs = tuple(bytes.fromhex(output) for output in each["outputs"])
        largest = compare_cases(alone, [outputs]).firmware.largest
        yield Verdict(f"case {each['number']}", str(largest) if largest else "")
