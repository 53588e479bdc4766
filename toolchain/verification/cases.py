"""Compares what the simulated firmware computed of a given model's cases with the judge."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from toolchain.errors import VerificationError
from toolchain.verification.sine import (
    UNUSABLE,
    float_of_bits,
    text_of,
    ulps_between,
    unusable,
)

CASES_SCHEMA = "tinyml-toolchain/cases/1"

Unit: TypeAlias = Literal["step", "ulp"]

_UNITS: Mapping[Unit, tuple[str, str]] = {
    "step": ("step", "steps"),
    "ulp": ("unit in the last place", "units in the last place"),
}

_FORMATS: Mapping[str, str] = {
    "FLOAT32": "I",
    "INT8": "b",
    "UINT8": "B",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "BOOL": "B",
}


@dataclass(frozen=True)
class OutputTensor:
    """An output of a model; ``type`` is the schema's name."""

    name: str
    type: str


@dataclass(frozen=True)
class Opinion:
    """What another interpreter computes.

    Attributes:
        outputs: bytes of each output tensor of each case; None when it does not run the model.
        refusal: why it does not.
    """

    outputs: tuple[tuple[bytes, ...], ...] | None
    refusal: str


@dataclass(frozen=True)
class CaseReference:
    """What a model must compute.

    Attributes:
        judge: name and version of what computed ``judged``.
        judged: bytes of each output tensor of each case.
        opinions: of other interpreters, for information.
    """

    model: str
    model_sha256: str
    judge: str
    outputs: tuple[OutputTensor, ...]
    judged: tuple[tuple[bytes, ...], ...]
    opinions: Mapping[str, Opinion]


@dataclass(frozen=True)
class Difference:
    """Where an output is farthest from the expected one.

    Attributes:
        case: its number, from 0.
        output: name of the output tensor.
        element: index in the flat output tensor.
        expected: what the judge has there, as the tensor holds it; ``computed``: the other.
        amount: steps between integers, units in the last place between floats.
    """

    case: int
    output: str
    element: int
    expected: float
    computed: float
    amount: int
    unit: Unit

    @property
    def distance(self) -> str:
        """The amount with its unit."""
        one, many = _UNITS[self.unit]
        return f"{self.amount:,} {one if self.amount == 1 else many}"

    def __str__(self) -> str:
        return (
            f"case {self.case}, output {self.output}[{self.element}]: {self.computed:.9g} instead "
            f"of {self.expected:.9g}, {self.distance} apart"
        )


@dataclass(frozen=True)
class Agreement:
    """How one interpreter's outputs agree with the judge's.

    Attributes:
        cases: compared.
        equal: of these, the ones of which every byte is the same.
        values: numbers in all outputs of all cases; ``equal_values`` of them are the same.
        largest: where they differ most; None where nothing differs.
    """

    cases: int
    equal: int
    values: int
    equal_values: int
    largest: Difference | None

    def as_json(self) -> dict[str, object]:
        """Return what reports hold."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class CaseComparison:
    """Result for one model on one board.

    Attributes:
        firmware: its outputs against the judge's; every one must be equal.
        opinions: of other interpreters against the judge's; a text where one does not run it.
    """

    model: str
    model_sha256: str
    judge: str
    firmware: Agreement
    opinions: Mapping[str, Agreement | str]

    @property
    def passed(self) -> bool:
        """Whether the firmware computes what the model computes."""
        return self.firmware.largest is None

    def as_json(self) -> dict[str, object]:
        """Return what reports hold."""
        return {
            "model": self.model,
            "model_sha256": self.model_sha256,
            "judge": self.judge,
            "firmware": self.firmware.as_json(),
            "opinions": {
                name: {"refusal": opinion} if isinstance(opinion, str) else opinion.as_json()
                for name, opinion in self.opinions.items()
            },
        }


def read_case_reference(path: Path) -> CaseReference:
    """Read a ``reference.json`` of a given model.

    Raises:
        VerificationError: the file is missing, malformed or of another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != CASES_SCHEMA:
            raise ValueError(f"its schema is {data['schema']}, not {CASES_SCHEMA}")
        reference = CaseReference(
            model=text_of(data, "model"),
            model_sha256=text_of(data, "model_sha256"),
            judge=text_of(data, "judge"),
            outputs=tuple(_tensor(each) for each in data["outputs"]),
            judged=_outputs(data["judged"]),
            opinions={
                name: Opinion(
                    None if opinion["outputs"] is None else _outputs(opinion["outputs"]),
                    text_of(opinion, "refusal"),
                )
                for name, opinion in data["opinions"].items()
            },
        )
        _require_whole(reference)
        return reference
    except UNUSABLE as error:
        raise unusable(path, error) from error


def _tensor(fields: Mapping[str, object]) -> OutputTensor:
    tensor = OutputTensor(text_of(fields, "name"), text_of(fields, "type"))
    if tensor.type not in _FORMATS:
        raise ValueError(f"its output {tensor.name} is of the type {tensor.type}")
    return tensor


def _outputs(rows: Sequence[Sequence[str]]) -> tuple[tuple[bytes, ...], ...]:
    return tuple(tuple(bytes.fromhex(digits) for digits in row) for row in rows)


def _require_whole(reference: CaseReference) -> None:
    """Raise ``ValueError`` unless every case has every output, and each is of whole numbers."""
    if not reference.judged or any(
        len(case) != len(reference.outputs) for case in reference.judged
    ):
        raise ValueError("its cases are empty or lack outputs")
    for case in reference.judged:
        for tensor, data in zip(reference.outputs, case, strict=True):
            if len(data) % struct.calcsize(f"<{_FORMATS[tensor.type]}"):
                raise ValueError(f"an output {tensor.name} is no whole number of {tensor.type}")
    sizes = _sizes(reference.judged)
    for name, opinion in reference.opinions.items():
        if opinion.outputs is not None and _sizes(opinion.outputs) != sizes:
            raise ValueError(f"the outputs of {name} have other sizes than the judge's")


def _sizes(cases: Sequence[Sequence[bytes]]) -> list[list[int]]:
    return [[len(tensor) for tensor in case] for case in cases]


def compare_cases(reference: CaseReference, computed: Sequence[Sequence[bytes]]) -> CaseComparison:
    """Compare the firmware's outputs with the reference.

    Args:
        reference: what the judge and others compute.
        computed: bytes of each output tensor of each case, as the firmware printed them.

    Raises:
        VerificationError: a case or a byte is missing.
    """
    shape, expected = _sizes(computed), _sizes(reference.judged)
    if shape != expected:
        raise VerificationError(
            f"the firmware printed {len(shape)} cases of {reference.model}, the reference has "
            f"{len(expected)}, or their outputs have other sizes",
            next_step="rebuild: firmware and reference come from different models",
        )
    return CaseComparison(
        model=reference.model,
        model_sha256=reference.model_sha256,
        judge=reference.judge,
        firmware=_agreement(reference, computed),
        opinions={
            name: opinion.refusal
            if opinion.outputs is None
            else _agreement(reference, opinion.outputs)
            for name, opinion in reference.opinions.items()
        },
    )


def _differences(reference: CaseReference, computed: Sequence[Sequence[bytes]]) -> list[Difference]:
    differences = []
    for number, (case, wanted) in enumerate(zip(computed, reference.judged, strict=True)):
        for tensor, got, want in zip(reference.outputs, case, wanted, strict=True):
            if got == want:
                continue
            pairs = zip(_values(tensor, got), _values(tensor, want), strict=True)
            for element, (one, other) in enumerate(pairs):
                if one != other and not (tensor.type == "FLOAT32" and _are_nan(one, other)):
                    differences.append(_difference(number, tensor, element, one, other))
    return differences


def _difference(case: int, tensor: OutputTensor, element: int, got: int, want: int) -> Difference:
    if tensor.type != "FLOAT32":
        return Difference(case, tensor.name, element, want, got, abs(got - want), "step")
    expected, computed = float_of_bits(want), float_of_bits(got)
    return Difference(
        case, tensor.name, element, expected, computed, ulps_between(got, want), "ulp"
    )


def _are_nan(*bits: int) -> bool:
    """Return whether all are NaN: which one an operation makes differs between processors."""
    return all(math.isnan(float_of_bits(each)) for each in bits)


def _values(tensor: OutputTensor, data: bytes) -> tuple[int, ...]:
    """Return the numbers of a tensor; floats as their bits."""
    letter = _FORMATS[tensor.type]
    return struct.unpack(f"<{len(data) // struct.calcsize(f'<{letter}')}{letter}", data)


def _agreement(
    reference: CaseReference,
    computed: Sequence[Sequence[bytes]],
) -> Agreement:
    differences = _differences(reference, computed)
    values = sum(
        len(_values(tensor, data))
        for case in computed
        for tensor, data in zip(reference.outputs, case, strict=True)
    )
    return Agreement(
        cases=len(computed),
        equal=len(computed) - len({each.case for each in differences}),
        values=values,
        equal_values=values - len(differences),
        largest=max(differences, key=lambda each: each.amount, default=None),
    )


def require_cases_passed(comparison: CaseComparison) -> None:
    """Raise unless the firmware computes what the model computes.

    Raises:
        VerificationError: it does not; the message says where and by how much it differs most.
    """
    firmware = comparison.firmware
    if firmware.largest is None:
        return
    raise VerificationError(
        f"{comparison.model}: {firmware.equal} of {firmware.cases} cases equal {comparison.judge}; "
        f"the largest difference is in {firmware.largest}",
        why="the firmware does not compute what the model computes",
        next_step="look at verify.json; if other interpreters differ likewise, ask which is right",
    )
