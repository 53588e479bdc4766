"""What docstrings must say: which errors a function raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.commands_support import PROJECT
from toolchain.reference.errors_page import error_classes

OURS = {each.__name__ for each in error_classes()} | {"RuleBrokenError", "FormatError"}
FILES = [
    path.relative_to(PROJECT)
    for folder in ("toolchain", "simulator", "model")
    for path in sorted((PROJECT / folder).rglob("*.py"))
    # A task's docstring is its help.
    if not path.name.endswith("_tasks.py")
]


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield public functions and public methods of public classes."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def raised(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the names of classes that a function itself raises, inner functions left out."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
                yield name
        waiting += ast.iter_child_nodes(node)


def unsaid(source: str) -> list[str]:
    return [
        f"{function.name} raises {name}"
        for function in public_functions(ast.parse(source))
        for name in raised(function)
        # "see ``Tool.write``" names the one that says it.
        if name in OURS and not re.search(rf"{name}|see ``", ast.get_docstring(function) or "")
    ]


def test_an_error_that_is_not_said_is_found() -> None:
    source = 'def read():\n    """Return it."""\n    raise UsageError("no")\n'
    assert unsaid(source) == ["read raises UsageError"]
    assert (
        unsaid(source.replace("Return it.", "Return it.\n\n    Raises:\n        UsageError: no."))
        == []
    )
    assert unsaid(source.replace("def read", "def _read")) == []


def test_the_errors_that_a_function_raises_are_in_its_docstring() -> None:
    assert len(FILES) > 300
    assert {
        str(file): found for file in FILES if (found := unsaid((PROJECT / file).read_text()))
    } == {}
