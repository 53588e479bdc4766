"""Says what is wrong in a ``board.toml``: where, in which line, and what to write instead."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, get_origin

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError

Place: TypeAlias = tuple[str | int, ...]
"""Way to a key from the top of the file: ``("led", 0, "pin")``."""

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)")

_CURES: Mapping[str, str] = {
    "int_type": "write a whole number without quotes: 4096, 4_096 or 0x1000",
    "int_from_float": "write a whole number without quotes: 4096, 4_096 or 0x1000",
    "string_type": "put the value in double quotes",
    "tuple_type": "write a list in square brackets",
    "dict_type": "write a table of keys and values",
    "model_type": "write a table of keys and values",
    "literal_error": "write one of: {expected}",
    "string_pattern_mismatch": "write what the pattern {pattern} matches",
    "greater_than": "write a number above {gt}",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "too_short": "name at least {min_length}",
    "too_long": "name {max_length}",
    "float_type": "write a number without quotes: 0.5 or 1",
}


class Contradiction(ValueError):  # noqa: N818
    """Values that are right one by one and wrong together.

    Args:
        message: what is wrong, a clause.
        place: the key to change.
        cure: what to write instead.
    """

    def __init__(self, message: str, place: Place, cure: str) -> None:
        super().__init__(message)
        self.place = place
        self.cure = cure


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file.

    Attributes:
        line: from 1.
        key: way to it, dotted; empty for the file as a whole.
        message: what is wrong.
        cure: what to do about it.
    """

    line: int
    key: str
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


def line_of(text: str, place: Place) -> int:
    """Return the line in which a key, or a table's header, begins; from 1.

    Args:
        text: a whole TOML file without mistakes of grammar.
        place: the key; where it is not there, its table, and so on up to the file's first line.
    """
    lines = text.splitlines(keepends=True)
    document = tomllib.loads(text)
    depth = len(place)
    while depth and not _has(document, place[:depth]):
        depth -= 1
    if not depth:
        return 1
    # Beginnings of the file have the key from some line on.
    without, having = 0, len(lines)
    while having - without > 1:
        middle = (without + having) // 2
        count, beginning = _whole_beginning(lines, middle)
        if count > without and _has(beginning, place[:depth]):
            having = count
        else:
            without = middle
    return _whole_beginning(lines, having - 1)[0] + 1


def _whole_beginning(lines: Sequence[str], count: int) -> tuple[int, Mapping[str, Any]]:
    """Return the longest beginning of at most ``count`` lines that is TOML, and what it says.

    The lines behind it are inside of a value that goes over several lines.
    """
    while count:
        try:
            return count, tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            count -= 1
    return 0, {}


def _has(document: Any, place: Place) -> bool:
    found = document
    for part in place:
        if isinstance(part, int):
            if not isinstance(found, list) or part >= len(found):
                return False
        elif not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def grammar_problem(error: tomllib.TOMLDecodeError, text: str) -> Problem:
    """Return what keeps a file from being TOML."""
    message = str(error)
    found = _AT_LINE.search(message)
    line = int(found[1]) if found else len(text.splitlines())
    return Problem(
        line,
        "",
        f"it is not TOML: {_AT_LINE.sub('', message)}",
        "look for a missing quote, bracket or equals sign in this line or the one before",
    )


def validation_problems(
    error: ValidationError, text: str, model: type[BaseModel]
) -> tuple[Problem, ...]:
    """Return what is wrong in a file's values, in the order of its lines.

    A key that is unknown and like one that is missing is one problem: a misspelt key. A list that
    is too short because its entries are wrong is none of its own.
    """
    problems = []
    renamed: set[Place] = set()
    items = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    for item in items:
        place, context = tuple(item["loc"]), item.get("ctx", {})
        is_inside = any(each["loc"][: len(place)] == place != each["loc"] for each in items)
        if place in renamed or (item["type"] == "too_short" and is_inside):
            continue
        message, cure = item["msg"], ""
        match item["type"]:
            case "extra_forbidden":
                meant, cure = _unknown(place, model)
                renamed.add((*place[:-1], meant))
                message = "there is no such key"
            case "missing" if isinstance(place[-1], int):
                place = place[:-1]
                message = "it has too few values"
                cure = "name one more in the square brackets"
            case "missing":
                message = "it is missing"
                cure = _added(place, model)
            case "tuple_type" if _tables(place, model):
                header = _dotted(part for part in place if isinstance(part, str))
                cure = f"begin each of them with [[{header}]], in two pairs of brackets"
            case "value_error":
                reason = context["error"]
                message = str(reason)
                if isinstance(reason, Contradiction):
                    place, cure = (*place, *reason.place), reason.cure
            case kind:
                cure = _CURES.get(kind, "").format(**context)
        problems.append(Problem(line_of(text, place), _dotted(place), message, cure))
    return tuple(sorted(problems, key=lambda problem: problem.line))


def _added(place: Place, model: type[BaseModel]) -> str:
    """Return the advice to add a key, or the table that it stands for."""
    table = _dotted(part for part in place[:-1] if isinstance(part, str))
    kind = _field(place, model)
    if kind is None or _model_in(kind) is None:
        return f"add '{place[-1]} = …' to {f'[{table}]' if table else 'the file'}"
    header = f"{table}.{place[-1]}" if table else place[-1]
    return f"add a table [[{header}]]" if _tables(place, model) else f"add a table [{header}]"


def _tables(place: Place, model: type[BaseModel]) -> bool:
    """Return whether a key is an array of tables."""
    kind = _field(place, model)
    return get_origin(kind) is tuple and _model_in(kind) is not None


def _field(place: Place, model: type[BaseModel]) -> Any:
    """Return the type of a key; None for what is no key of a table."""
    table = _table(place[:-1], model)
    field = table.model_fields.get(str(place[-1])) if table else None
    return field.annotation if field else None


def _unknown(place: Place, model: type[BaseModel]) -> tuple[str, str]:
    """Return the key that was probably meant, empty if none is like it, and the advice."""
    known = _known_keys(place[:-1], model)
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    if close:
        return close[0], f"did you mean '{close[0]}'?"
    return "", f"remove it, or use one of: {', '.join(known)}"


def _known_keys(place: Place, model: type[BaseModel]) -> Sequence[str]:
    table = _table(place, model)
    return tuple(table.model_fields) if table else ()


def _table(place: Place, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return what describes the table at a place; None where none is."""
    for part in place:
        if isinstance(part, int):
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _dotted(place: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in place)
