"""The JSON documents that commands print with ``--json``, and their schemas.

Each is an object whose ``schema`` is ``tinyml-toolchain/<kind>/<version>``. A field may be added
under the same version; the version grows when one goes or means something else. Shapes are those
of the types here, from which ``docs/schemas`` is made; the tests check real outputs with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

from toolchain.actions.bound import Part
from toolchain.actions.exchange import Exchanged
from toolchain.actions.model import PlannedStep
from toolchain.boards import Board
from toolchain.building.built import Arena
from toolchain.commands.bundle import MadeBundle
from toolchain.commands.clean import Removable
from toolchain.commands.images import AvailableImage
from toolchain.commands.package import Packaged
from toolchain.commands.remote import RemoteStatus
from toolchain.commands.renode import RenodeCase, RenodeInference
from toolchain.commands.reproduce import Reproduced
from toolchain.commands.train import Trained
from toolchain.doctor.finding import Finding
from toolchain.firmware.size import LayerSize, SizeReport
from toolchain.images.sharing import PushedImage
from toolchain.matrix.outcome import MatrixReport
from toolchain.pinning.check import PinState
from toolchain.repro.matrix import Reproduction
from toolchain.sizes.difference import SizeDifference
from toolchain.sizes.files import FilesExplained
from toolchain.sizes.symbols import SymbolSize
from toolchain.verification.cases import Unit
from toolchain.verification.sine import Agreement, Comparison

VERSION = 1


@dataclass(frozen=True)
class Artifact:
    """A file that was made."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Firmware:
    """A firmware that was built; ``arena`` of a given model only."""

    target: str
    model: str
    build_type: str
    artifacts: tuple[Artifact, ...]
    size: SizeReport
    arena: Arena | None


@dataclass(frozen=True)
class SimulatedInference:
    """An inference of the sine; ``x`` or ``y`` is null where it is not finite."""

    x: float | None
    y: float | None
    raw_in: int | None
    raw_out: int | None
    x_bits: int
    y_bits: int
    instructions: int
    brightness: Mapping[str, float]


@dataclass(frozen=True)
class SimulatedCase:
    """A line of the console with a case of a given model; outputs in hexadecimal."""

    number: int
    equal: bool
    outputs: tuple[str, ...]
    instructions: int


@dataclass(frozen=True)
class Simulation:
    """A simulated run, as ``simulation.json`` has it."""

    schema: Literal["tinyml-toolchain/simulation/1"]
    target: str
    model: str
    build_type: str
    image_sha256: str
    instructions: int
    counted: Literal["invoke", "line"]
    inferences: tuple[SimulatedInference, ...]
    cases: tuple[SimulatedCase, ...]
    console: str


@dataclass(frozen=True)
class RenodeSimulation:
    """A run in Renode."""

    schema: Literal["tinyml-toolchain/renode-simulation/1"]
    target: str
    model: str
    build_type: str
    image_sha256: str
    inferences: tuple[RenodeInference, ...]
    cases: tuple[RenodeCase, ...]
    brightness: Mapping[str, tuple[float, float]]
    console: str


@dataclass(frozen=True)
class SineVerification:
    """A verified firmware of the sine, as ``verify.json`` has it.

    Attributes:
        test: all inputs of the test program, with the judge; ``image`` the flashed file's own.
        renode_bytes: that came in Renode too, each the same; there with ``--simulator renode``.
    """

    schema: Literal["tinyml-toolchain/verify/1"]
    target: str
    model: str
    build_type: str
    passed: bool
    image_sha256: str
    test_sha256: str
    test_instructions: int
    test: Comparison
    image: Agreement
    renode_bytes: int | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an interpreter does not run a model."""

    refusal: str


@dataclass(frozen=True)
class CaseDifference:
    """Where an output is farthest from the expected one; a number is null where not finite."""

    case: int
    output: str
    element: int
    expected: float | None
    computed: float | None
    amount: int
    unit: Unit


@dataclass(frozen=True)
class CaseAgreement:
    """How outputs agree with the judge's; ``largest`` is null where none differs."""

    cases: int
    equal: int
    values: int
    equal_values: int
    largest: CaseDifference | None


@dataclass(frozen=True)
class ComparedCases:
    """Outputs of a given model's cases with the judge's; ``opinions`` of other interpreters."""

    model: str
    model_sha256: str
    judge: str
    firmware: CaseAgreement
    opinions: Mapping[str, CaseAgreement | Refusal]


@dataclass(frozen=True)
class CaseVerification:
    """A verified firmware of a given model, as ``verify.json`` has it.

    Attributes:
        instructions: of each inference.
        renode_bytes: that came in Renode too, each the same; there with ``--simulator renode``.
    """

    schema: Literal["tinyml-toolchain/verify/1"]
    target: str
    model: str
    build_type: str
    passed: bool
    image_sha256: str
    instructions: tuple[int, ...]
    cases: ComparedCases
    renode_bytes: int | None = None


@dataclass(frozen=True)
class Kernel:
    """Bytes of one kernel."""

    kernel: str
    flash: int
    ram: int


@dataclass(frozen=True)
class Size(SizeReport):
    """What the bytes of a firmware are for."""

    target: str
    model: str
    build_type: str
    kernels: tuple[Kernel, ...]
    symbols: tuple[SymbolSize, ...]
    files: FilesExplained
    difference: SizeDifference | None


@dataclass(frozen=True)
class SizeFile:
    """``size.json`` beside a firmware."""

    target: str
    elf_sha256: str
    image_sha256: str
    flash_used: int
    flash_available: int
    ram_used: int
    ram_available: int
    stack: int
    layers: tuple[LayerSize, ...]


Fields: TypeAlias = Mapping[str, Any]


def _fields(kind: type, **more: Any) -> Fields:
    """Return names and types of a dataclass's fields, and of others beside them."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)} | more


def document_fields() -> Mapping[str, Fields]:
    """Return the fields of each kind of document, beside ``schema``."""
    return {
        "build": {"firmwares": tuple[Firmware, ...]},
        "simulations": {"simulations": tuple[Simulation, ...]},
        "renode-simulations": {"simulations": tuple[RenodeSimulation, ...]},
        "sizes": {"sizes": tuple[Size, ...]},
        "size": _fields(SizeFile),
        "verifications": {"verifications": tuple[SineVerification | CaseVerification, ...]},
        "flash": {
            "target": str,
            "model": str,
            "plan": tuple[str, ...],
            "written": bool,
            "result": str,
        },
        "train": _fields(Trained),
        "plan": {"steps": tuple[PlannedStep, ...]},
        "repro": _fields(Reproduction, equal=bool),
        "package": _fields(Packaged),
        "verify-release": {
            "version": str,
            "model": str,
            "archives": tuple[str, ...],
            "files": tuple[str, ...],
        },
        "reproduce": _fields(Reproduced),
        "targets": {"targets": tuple[Board, ...]},
        "images": {"images": tuple[AvailableImage, ...]},
        "pushed-images": {"images": tuple[PushedImage, ...]},
        "image": {"name": str},
        "bundle": _fields(MadeBundle),
        "cache": {
            "folder": Path,
            "parts": tuple[Part, ...],
            "bounded_bytes": int,
            "limit_bytes": int | None,
        },
        "cache-export": _fields(Exchanged),
        "cache-import": _fields(Exchanged),
        "matrix": _fields(MatrixReport, verified=bool),
        "remote-status": _fields(RemoteStatus, parts=dict[str, str]),
        "clean": {"removed": bool, "items": tuple[Removable, ...]},
        "pins": {"pins": tuple[PinState, ...]},
        "doctor": {"healthy": bool, "findings": tuple[Finding, ...]},
        "error": {"error": str, "exit_code": int, "what": str, "why": str, "next": str},
    }


def document_schema(kind: str) -> Mapping[str, Any]:
    """Return the JSON schema of a kind of document.

    Raises:
        KeyError: there is no such kind.
    """
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {name: (kind_, ...) for name, kind_ in document_fields()[kind].items()}
    model = create_model(
        kind.replace("-", "_"),
        __config__=ConfigDict(arbitrary_types_allowed=True, protected_namespaces=()),
        **fields,
    )
    made = model.model_json_schema(mode="serialization")
    made["properties"] = {
        "schema": {"const": f"tinyml-toolchain/{kind}/{VERSION}"},
        **made["properties"],
    }
    made["required"] = ["schema", *made.get("required", ())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_closed(made),
        "title": f"{kind} document",
    }


def _closed(value: Any) -> Any:
    """Return a schema in which no object has properties that it does not name."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    closed = {name: _closed(each) for name, each in value.items()}
    if "properties" in closed and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
