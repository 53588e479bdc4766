"""Checks the Python code of a peripheral without Renode.

Renode runs it by IronPython 2.7, anew for each access, in a scope of its own that stays. What it is
written in must mean the same to Python 3, by which the tests run it, and what it asks of Renode
must be there: an unknown name halts the core, any other exception ends Renode.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

REQUEST: Mapping[str, str] = {
    "IsInit": "the scope is new",
    "IsRead": "Value is to be set",
    "IsWrite": "Value was written",
    "Offset": "from the peripheral's first byte",
    "Value": "0 to 2**64 - 1; set to 0 before a read",
}
"""What is used of ``request`` (PeripheralPythonEngine.PythonRequest), and what it means."""

SELF = frozenset({"GetMachine", "DebugLog", "InfoLog", "WarningLog", "ErrorLog"})
"""What is used of ``self``: extension methods of IPeripheralExtensions and of Logger."""

MACHINE = frozenset({"SystemBus"})
"""What is used of a machine, beside ``machine['sysbus.name']``."""

BUS = frozenset({"ReadByte", "ReadWord", "ReadDoubleWord"})
DEVICE = frozenset({"OnGPIO"})

RESERVED = frozenset(
    (
        *("request", "self", "size", "logger", "LogLevel", "machine", "sysbus", "cpu", "clr"),
        *("System", "Antmicro", "time", "sys", "emulationManager", "pythonEngine"),
    )
)
"""Names that Renode puts into the scope of a script."""

_BUILTINS = frozenset(
    (
        *("abs", "bool", "dict", "divmod", "float", "int", "len", "list", "max", "min", "range"),
        *("set", "sum", "tuple"),
    )
)
_FUTURE = (
    *(ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.Nonlocal, ast.YieldFrom, ast.Match),
    *(ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.MatMult),
)


def script_problems(script: str) -> Iterator[str]:
    """Yield what is wrong with a script, one sentence each."""
    # Braces, quotes, backslashes and slashes mean something to Renode before it finds the string's
    # end; whether they do inside of one differs by its version.
    for sign in ("{", "}", '"', "\\", "//", "/*", "''"):
        if sign in script:
            yield f"its script holds {sign}, which Renode may take for its own"
    if not script.isascii():
        yield "its script holds characters beyond ASCII"
    if re.search(r"\d_\d", script):
        yield "its script has an underscore in a number, which IronPython 2.7 does not read"
    try:
        tree = ast.parse(script)
    except SyntaxError as error:
        yield f"its script is no Python: {error.msg} in its line {error.lineno}"
        return
    yield from _of_names(tree)
    for node in ast.walk(tree):
        line = f"in line {getattr(node, 'lineno', 0)} of its script"
        if isinstance(node, _FUTURE) or _is_of_python_3(node):
            yield f"{type(node).__name__} {line} is not known to IronPython 2.7"
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Delete | ast.ClassDef):
            yield f"{type(node).__name__} {line}: a script is functions and its own names only"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if not any(_is_float(side) for side in (node.left, node.right)):
                yield f"/ {line} drops the remainder in IronPython 2.7: make one side float(...)"
        elif isinstance(node, ast.Attribute):
            yield from (f"{what} {line}" for what in _of_attribute(node))


def _is_of_python_3(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef(returns=returns, args=arguments):
            every = [*arguments.args, *arguments.posonlyargs, *arguments.kwonlyargs]
            return bool(
                returns is not None
                or arguments.posonlyargs
                or arguments.kwonlyargs
                or any(argument.annotation for argument in every)
            )
        case ast.Raise(cause=cause):
            return cause is not None
        case ast.Assign(targets=targets):
            parts = [part for target in targets for part in ast.walk(target)]
            return any(isinstance(part, ast.Starred) for part in parts)
    return False


def _is_float(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="float")):
            return True
        case ast.Constant(value=float()):
            return True
    return False


def _of_names(tree: ast.Module) -> Iterator[str]:
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    given |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    given |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    for name in sorted(given & RESERVED):
        yield f"its script gives a new meaning to {name}, which is Renode's"
    known = given | _BUILTINS | {"request", "self"}
    for name in sorted({name.id for name in names} - known):
        yield f"its script uses {name}, which it does not set"


def _of_attribute(node: ast.Attribute) -> Iterator[str]:
    name = node.attr
    match node.value:
        case ast.Name(id="request"):
            owner, there = "request", frozenset(REQUEST)
            if name not in there and name[:1].upper() + name[1:] in there:
                yield f"request.{name}, which has a capital letter since Renode 1.16,"
                return
            if isinstance(node.ctx, ast.Store) and name != "Value":
                yield f"request.{name}, which cannot be set,"
        case ast.Name(id="self"):
            owner, there = "self", SELF
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="GetMachine")):
            owner, there = "a machine", MACHINE
        case ast.Attribute(attr="SystemBus"):
            owner, there = "the system bus", BUS
        case ast.Subscript(value=ast.Call(func=ast.Attribute(attr="GetMachine"))):
            owner, there = "a LED", DEVICE
        case _:
            # Of lists and dictionaries, which are Python's own.
            owner, there = "a value", frozenset({"get", "append", "sort"})
    if name not in there:
        yield f"{name} of {owner}, which is not known here,"
