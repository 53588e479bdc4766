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
from types import GenericAlias
from typing import Any, Literal, TypeAlias, get_type_hints

from simulator.request import Inference
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
    inferences: tuple[Inference, ...]
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
    inferences: tuple[Any, ...]
    cases: tuple[Any, ...]
    brightness: Mapping[str, tuple[float, ...]]
    console: str = ""


@dataclass(frozen=True)
class Verification:
    """A verified firmware, as ``verify.json`` has it.

    Attributes:
        test: all inputs of the sine's test program, with the judge; ``image`` the flashed file's.
        cases: of a given model, with the judge.
    """

    schema: Literal["tinyml-toolchain/verify/1"]
    target: str
    model: str
    build_type: str
    passed: bool
    image_sha256: str
    test_sha256: str | None = None
    test_instructions: int | None = None
    test: Any = None
    image: Agreement | None = None
    instructions: tuple[int, ...] | None = None
    cases: Any = None
    renode_bytes: int | None = None


def _verification() -> Any:
    """Return ``Verification`` with the type of ``test``, which has a property among its fields."""
    comparison = _test_comparison()
    hints = get_type_hints(Verification) | {"test": comparison | None}
    return dataclasses.make_dataclass(
        "Verification",
        [
            (each.name, hints[each.name], dataclasses.field(default=each.default))
            if each.default is not dataclasses.MISSING
            else (each.name, hints[each.name])
            for each in dataclasses.fields(Verification)
        ],
    )


def _test_comparison() -> Any:
    """Return the type of ``Verification.test``, which has a property of its type as a field."""
    hints = get_type_hints(Comparison)
    names = [(field.name, hints[field.name]) for field in dataclasses.fields(Comparison)]
    return dataclasses.make_dataclass("TestComparison", [*names, ("allowed_difference", int)])


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
        "verifications": {"verifications": GenericAlias(tuple, (_verification(), ...))},
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
