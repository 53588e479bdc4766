"""JSON of documents, of which every number is one that JSON has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def json_text(document: object, indent: int = 2) -> str:
    """Return a document as JSON; numbers that are not finite, which JSON has not, as null.

    Args:
        document: of mappings, lists and tuples; what JSON has no form for is written as text.
        indent: spaces of a level.
    """
    try:
        return json.dumps(document, indent=indent, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), indent=indent, default=str, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
