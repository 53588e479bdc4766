"""``junit.xml``: what was verified of a board's firmware, for tools that show tests.

The names of the tests are the same in every build of a model, so that such a tool can tell since
when one fails; how many inputs were compared is in their output. Made from the reports in the same
archive, so that it can be made again and compared.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.verification.cases import (
    CASES_SCHEMA,
    CaseReference,
    compare_cases,
    read_case_reference,
)
from toolchain.verification.sine import (
    ALLOWED_DIFFERENCE,
    Observation,
    Reference,
    agreement,
    float_of_bits,
    read_reference,
)

PERIOD_PARTS = 16
"""Into so many parts of the sine's period its inputs are put together, one test for each."""

TEST_PROGRAM, IMAGE = "test_program", "image"
"""Groups of tests: of the program that tries every input, and of the flashable image."""


@dataclass(frozen=True)
class Verdict:
    """What one test came to.

    Attributes:
        group: which program ran.
        name: says of which inputs it is.
        said: what was compared, and how much of it.
        failure: what is wrong; empty when nothing is.
        skipped: why nothing was compared; empty when something was.
    """

    group: str
    name: str
    said: str = ""
    failure: str = ""
    skipped: str = ""


def verdicts(verify: bytes, simulation: bytes, reference: bytes) -> tuple[Verdict, ...]:
    """Compare what the simulated image printed with the reference.

    Of the sine, the first verdict is that of the test program, which tries every input of the
    reference; then follow the inputs of the flashable image, by parts of the period. Of a given
    model there is one for each case that is built in.

    Args:
        verify: ``verify.json``.
        simulation: ``simulation.json``.
        reference: ``reference.json``.

    Raises:
        VerificationError: the reference cannot be used, or belongs to another model.
        ValueError, LookupError, TypeError: a report cannot be understood.
    """
    try:
        return _verdicts(verify, simulation, reference)
    except (struct.error, ArithmeticError, AttributeError, RecursionError) as error:
        # Bits of no number, or of one that is in no part of the period.
        raise ValueError(f"a value in it cannot be used: {error}") from error


def _verdicts(verify: bytes, simulation: bytes, reference: bytes) -> tuple[Verdict, ...]:
    verified, simulated = json.loads(verify), json.loads(simulation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.json"
        path.write_bytes(reference)
        if json.loads(reference)["schema"] == CASES_SCHEMA:
            return tuple(_of_cases(read_case_reference(path), simulated["cases"]))
        known = read_reference(path)
    return (_of_test(known, verified["test"]), *_of_inferences(known, simulated["inferences"]))


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
        place = {"classname": f"{suite}.{each.group}", "name": each.name}
        case = ET.SubElement(element, "testcase", place)
        if each.failure:
            ET.SubElement(case, "failure", {"message": each.failure})
        elif each.skipped:
            ET.SubElement(case, "skipped", {"message": each.skipped})
        if each.said:
            ET.SubElement(case, "system-out").text = each.said
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _of_test(reference: Reference, test: Mapping[str, Any]) -> Verdict:
    cases, equal, largest = test["cases"], test["equal"], test["largest_difference"]
    failure = ""
    if cases != len(reference.inputs):
        failure = f"{cases} inputs were tried and the reference has {len(reference.inputs)}"
    elif not largest <= ALLOWED_DIFFERENCE[reference.kind]:
        failure = f"an output is {largest} from the reference"
    return Verdict(
        TEST_PROGRAM,
        "every input of the reference",
        f"{equal} of {cases} outputs equal those of {test['judge']}",
        failure,
    )


def _of_inferences(reference: Reference, inferences: list[Mapping[str, Any]]) -> Iterator[Verdict]:
    parts: dict[int, dict[Observation, None]] = {}
    for each in inferences:
        raw_in, raw_out = (
            (each["raw_in"], each["raw_out"])
            if reference.kind == "int8"
            else (each["x_bits"], each["y_bits"])
        )
        seen = Observation(raw_in, raw_out, each["x_bits"], each["y_bits"])
        _require_numbers(seen, reference)
        x = float_of_bits(seen.x_bits)
        # What is not finite lies in no part, and is as wrong in any.
        part = int(x / (2 * math.pi) * PERIOD_PARTS) if math.isfinite(x) else 0
        parts.setdefault(min(max(part, 0), PERIOD_PARTS - 1), {})[seen] = None
    for part, found in sorted(parts.items()):
        yield _of_part(reference, part, list(found))


def _require_numbers(seen: Observation, reference: Reference) -> None:
    """Raise ``ValueError`` unless each number is one that a firmware can print."""
    raw = range(-128, 128) if reference.kind == "int8" else range(1 << 32)
    for value, values in (
        (seen.raw_in, raw),
        (seen.raw_out, raw),
        (seen.x_bits, range(1 << 32)),
        (seen.y_bits, range(1 << 32)),
    ):
        if type(value) is not int or value not in values:
            raise ValueError(f"an inference has the number {value!r}")


def _of_part(reference: Reference, part: int, seen: Sequence[Observation]) -> Verdict:
    """Judge the different inferences of one part of the period."""
    start, end = (at * 2 * math.pi / PERIOD_PARTS for at in (part, part + 1))
    name = f"x from {start:.2f} to {end:.2f}"
    found = agreement(reference, seen)
    said = f"{found.equal} of {found.known} different inferences equal {reference.judge}"
    if found.known < found.inferences:
        said += f"; of {found.inferences - found.known} more the reference has no such input"
    if found.known != found.equal or found.converted != found.inferences:
        wrong = [each for each in seen if not _is_right(reference, each)]
        first = wrong[0]
        failure = (
            f"input {first.raw_in} (x = {float_of_bits(first.x_bits):.6g}): the output "
            f"{first.raw_out} is not the reference's, or not the y that was printed; "
            f"{len(wrong)} of {len(seen)} inferences are wrong"
        )
        return Verdict(IMAGE, name, said, failure)
    if not found.known:
        why = "the reference has no such input; the test program has"
        return Verdict(IMAGE, name, skipped=why)
    return Verdict(IMAGE, name, said)


def _is_right(reference: Reference, each: Observation) -> bool:
    found = agreement(reference, [each])
    return found.known == found.equal and found.converted == 1


def _of_cases(reference: CaseReference, cases: list[Mapping[str, Any]]) -> Iterator[Verdict]:
    if [each["number"] for each in cases] != list(range(len(reference.judged))):
        raise ValueError(
            f"{len(cases)} cases were simulated and the reference has {len(reference.judged)}"
        )
    for each, judged in zip(cases, reference.judged, strict=True):
        alone = dataclasses.replace(reference, judged=(judged,), opinions={})
        outputs = tuple(bytes.fromhex(output) for output in each["outputs"])
        largest = compare_cases(alone, [outputs]).firmware.largest
        yield Verdict(
            IMAGE,
            f"case {each['number']}",
            f"{sum(map(len, judged))} bytes of output compared with {reference.judge}",
            str(largest) if largest else "",
        )
