"""Checks the whole structure of a ``.tflite`` file, also of what no other module here reads.

The pinned tree follows offsets without looking, so that everything a table may hold must lie in
the file. Field numbers are those of TensorFlow's ``lite/schema/schema.fbs``; a field that is not
listed here is not known to the pinned tree. Options of an operator are checked where they are
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from model.flatbuffer import MalformedFlatbufferError, Table


@dataclass(frozen=True)
class Kind:
    """A kind of table.

    Attributes:
        fields: what each may hold: a scalar by its ``struct`` character, a vector of scalars by
            that in brackets, ``"text"``, a table, or a vector of tables.
        name: how a message calls it.
        required: names of vectors that the pinned tree reads without asking whether they are there.
    """

    fields: Mapping[int, Field]
    name: str = ""
    required: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Many:
    """A vector of tables."""

    kind: Kind


Field: TypeAlias = "str | Kind | Many"

_ANY = Kind({})
_QUANTISATION = Kind({0: "[f]", 1: "[f]", 2: "[f]", 3: "[q]", 4: "B", 5: _ANY, 6: "i"})
_TENSOR = Kind(
    {
        0: "[i]",
        1: "b",
        2: "I",
        3: "text",
        4: _QUANTISATION,
        5: "B",
        6: _ANY,
        7: "[i]",
        8: "B",
    }
)
_OPERATOR = Kind(
    {0: "I", 1: "[i]", 2: "[i]", 3: "B", 4: _ANY, 5: "[B]", 6: "b", 7: "[B]", 8: "[i]"},
    "an operator",
    {1: "inputs", 2: "outputs"},
)
_SUBGRAPH = Kind(
    {0: Many(_TENSOR), 1: "[i]", 2: "[i]", 3: Many(_OPERATOR), 4: "text"},
    "the subgraph",
    {0: "tensors", 1: "inputs", 2: "outputs", 3: "operators"},
)
_NAMED = Kind({0: "text", 1: "I"})
MODEL = Kind(
    {
        0: "I",
        1: Many(Kind({0: "b", 1: "text", 2: "i", 3: "i"})),
        2: Many(_SUBGRAPH),
        3: "text",
        4: Many(Kind({0: "[B]", 1: "Q", 2: "Q"})),
        5: "[i]",
        6: Many(_NAMED),
        7: Many(Kind({0: Many(_NAMED), 1: Many(_NAMED), 2: "text", 4: "I"})),
    },
    "the model",
    {1: "operator codes", 2: "subgraphs", 4: "buffers"},
)


def require_structure(table: Table, kind: Kind = MODEL) -> None:
    """Check a table and all that it leads to.

    Raises:
        MalformedFlatbufferError: something lies outside of the file, or is missing though the
            pinned tree reads it unasked.
    """
    for number, name in kind.required.items():
        if not table.has(number):
            raise MalformedFlatbufferError(f"{kind.name} has no vector of {name}")
    for number, wanted in kind.fields.items():
        if isinstance(wanted, Many):
            for each in table.tables(number):
                require_structure(each, wanted.kind)
        elif isinstance(wanted, Kind):
            nested = table.table(number)
            if nested is not None:
                require_structure(nested, wanted)
        elif wanted == "text":
            table.text(number)
        elif wanted.startswith("["):
            table.require_vector(number, wanted[1])
        else:
            table.number(number, wanted)
