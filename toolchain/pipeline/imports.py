"""Finds which files of a package a module needs, by reading its imports.

So that a step's input tree holds exactly the modules that it runs, and editing another one
does not run it again.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path


def module_closure(root: Path, module: str) -> tuple[Path, ...]:
    """Return the files that ``module`` imports from its own package, itself included.

    Args:
        root: folder that holds the package.
        module: dotted name, such as ``model.train``.

    Returns:
        Paths relative to ``root``, sorted, with the ``__init__.py`` of every package on the way.

    Raises:
        FileNotFoundError: the module is not there.
    """
    package = module.partition(".")[0]
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_file(root, name)
        if path is None:
            raise FileNotFoundError(f"{name} is not a module under {root}")
        relative = path.relative_to(root)
        if relative in found:
            continue
        found.add(relative)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
        for imported in _imports(path.read_bytes(), name, path.name == "__init__.py"):
            if imported.partition(".")[0] == package and _module_file(root, imported) is not None:
                waiting.append(imported)
    return tuple(sorted(found))


def _module_file(root: Path, name: str) -> Path | None:
    base = root.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


# A whole import statement that begins a line; names in parentheses may go over several lines.
_STATEMENT = re.compile(
    rb"^[ \t]*((?:from[ \t]+\S+[ \t]+)?import\b[ \t]*(?:\([^)]*\)|[^\n(]*))", re.MULTILINE
)
# An import anywhere else on a line, such as after a colon or a semicolon.
_INSIDE_A_LINE = re.compile(rb"^[^#\n]*[:;][ \t]*(?:from|import)\b", re.MULTILINE)


@lru_cache(maxsize=256)
def _imports(source: bytes, name: str, is_package: bool) -> tuple[str, ...]:
    """Return the names of modules, and of what may be modules, that a source imports.

    Only its import statements are parsed, which takes a tenth of the time that all of it would:
    every build asks this of every module of its steps. A text that looks like an import in a
    docstring adds a name that is no module or one input too many, and never one too few.
    """
    statements = [match[1] for match in _STATEMENT.finditer(source)]
    try:
        if _INSIDE_A_LINE.search(source) or b"\\\n" in source:
            raise SyntaxError
        tree = ast.parse(b"\n".join(statements))
    except SyntaxError:
        tree = ast.parse(source, filename=name)
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                levels = node.level - is_package
                parents = name.split(".")[: len(name.split(".")) - levels]
                origin = ".".join([*parents, *([origin] if origin else [])])
            names.append(origin)
            names.extend(f"{origin}.{alias.name}" for alias in node.names)
    return tuple(names)
