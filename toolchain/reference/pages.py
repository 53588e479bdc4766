"""The reference pages of the documentation, made from the code."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from toolchain.boards import Board
from toolchain.cli.completion import Task
from toolchain.pins import Pins
from toolchain.reference.documents import VERSION, document_fields

FOLDER = PurePosixPath("docs/reference")
_MADE = "<!-- Made from the code by ./invoke schemas. -->"


def commands_page(tasks: Sequence[Task]) -> str:
    """Return the page of all tasks and options."""
    lines = ["# Commands", "", _MADE, ""]
    lines += ["Every task takes `--help`, `--verbose` for details, and `--debug` for where a"]
    lines += [
        "failure happened. Results go to standard output, everything else to standard error.",
        "",
    ]
    for task in tasks:
        lines += [f"## {task.name.replace('cache-', 'cache ')}", "", task.summary, ""]
        if not task.options:
            continue
        lines += ["| option | what it does |", "|---|---|"]
        for option in task.options:
            value = f"={option.name.upper()}" if option.takes_value else ""
            short = f", `-{option.short}`" if option.short else ""
            lines.append(f"| `--{option.name}{value}`{short} | {_cell(option.help)} |")
        lines.append("")
    return "\n".join(lines)


def board_page() -> str:
    """Return the page of every key of ``board.toml``."""
    intro = (
        "One description of a board, from which linker script, make fragment, simulator and\n"
        "instructions for flashing are made. The [schema](../schemas/board.schema.json) is for\n"
        "editors: the first line of each `board.toml` names it. A mistake is told with its line."
    )
    return _tables("board.toml", intro, Board)


def pins_page() -> str:
    """Return the page of every key of ``pins.toml``."""
    intro = (
        "The one list of everything pinned. `./invoke pins --update` refreshes digests and locks,\n"
        "`./invoke pins --check` says what is outdated or has vanished."
    )
    return _tables("pins.toml", intro, Pins)


def _tables(title: str, intro: str, model: type[BaseModel]) -> str:
    lines = [f"# {title}", "", _MADE, "", intro, ""]
    for name, table in _models("", model):
        lines += [f"## {name or 'Top level'}", "", _described(table), ""]
        lines += ["| key | type | needed |", "|---|---|---|"]
        notes = _attributes(table)
        for key, field in table.model_fields.items():
            note = f": {notes[key]}" if key in notes else ""
            needed = "yes" if field.is_required() else "no"
            lines.append(f"| `{key}`{_cell(note)} | {_cell(_type(field.annotation))} | {needed} |")
        lines.append("")
    return "\n".join(lines)


def _models(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield name, model
    for key, field in model.model_fields.items():
        for inner in _inner_models(field.annotation):
            path = f"{name}.{key}" if name else key
            yield from _models(path, inner)


def _inner_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _inner_models(argument)


def _type(annotation: Any) -> str:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "table"
    arguments = [each for each in get_args(annotation) if each is not type(None)]
    origin = getattr(get_origin(annotation), "__name__", "")
    if origin == "Literal":
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in {"tuple", "list", "Sequence"}:
        kinds = dict.fromkeys(_type(each) for each in arguments if each is not Ellipsis)
        return f"list of {' and '.join(kinds)}"
    if origin in {"dict", "Mapping"}:
        return f"table by name of {_type(arguments[-1])}"
    if origin in {"Union", "UnionType", "Annotated"}:
        choices = arguments[:1] if origin == "Annotated" else arguments
        return " or ".join(_type(each) for each in choices)
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), "text"
    )


def _described(table: type[BaseModel]) -> str:
    text = inspect.cleandoc(table.__doc__ or "").partition("\n\nAttributes:")[0]
    return text.replace("``", "`")


def _attributes(table: type[BaseModel]) -> Mapping[str, str]:
    """Return what the docstring says of each attribute."""
    _, _, listed = inspect.cleandoc(table.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    key = ""
    for line in textwrap.dedent(listed).splitlines():
        name, colon, rest = line.partition(": ")
        if colon and name.isidentifier():
            key = name
            found[key] = rest
        elif key:
            found[key] += f" {line.strip()}"
    return found


def json_page() -> str:
    """Return the page of all documents that commands print with ``--json``."""
    lines = ["# JSON documents", "", _MADE, ""]
    lines += [
        "With `--json` a command prints one document and nothing beside it. Its `schema` is",
        f"`tinyml-toolchain/<kind>/{VERSION}`. Fields may be added under the same version, which",
        "grows when one goes or means something else. A failure is a document of the kind `error`.",
        "Where a number that the firmware computed is not finite, null stands for it.",
        "",
        "| kind | fields | schema |",
        "|---|---|---|",
    ]
    for kind, fields in document_fields().items():
        names = ", ".join(f"`{name}`" for name in fields)
        lines.append(f"| `{kind}` | {names} | [schema](../schemas/{kind}.schema.json) |")
    return "\n".join(lines) + "\n"


def simulator_page(folder: Path) -> str:
    """Return the page of everything that the simulator refuses.

    Args:
        folder: of the simulator's sources, in which the rules are looked up.
    """
    lines = ["# What the simulator refuses", "", _MADE, ""]
    lines += [
        "A firmware that does one of these ends its run with exit code 22, and the message names",
        "rule, function and line. `…` stands for a name or a number.",
        "",
    ]
    for path in sorted(folder.rglob("*.py"), key=lambda each: (len(each.parts), each)):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rules = sorted(set(_rules(tree)))
        if rules:
            where = path.relative_to(folder).with_suffix("")
            summary = (ast.get_docstring(tree) or "").splitlines()[0]
            lines += [f"## {' / '.join(where.parts)}", "", summary.replace("``", "`"), ""]
            lines += ["| what | why |", "|---|---|"]
            lines += [f"| {_cell(what)} | {_cell(why)} |" for what, why in rules]
            lines.append("")
    return "\n".join(lines)


def _rules(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "RuleBrokenError"
            and node.args
        ):
            why = next((each.value for each in node.keywords if each.arg == "why"), None)
            what = _text(node.args[0])
            if what.strip(" …"):
                yield what, _text(why) if why is not None else ""


def _text(node: ast.expr) -> str:
    """Return a string of the source, with ``…`` where something is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "…"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("``", "`").replace("<", "&lt;").split())
