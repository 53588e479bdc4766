from __future__ import annotations

import ast
from pathlib import Path

import pytest

from toolchain.pipeline.imports import _imports, module_closure


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(root: Path, module: str) -> list[str]:
    return [path.as_posix() for path in module_closure(root, module)]


def test_follows_every_form_of_import_and_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "p/__init__.py": "",
            "p/a.py": "import p.b\nfrom p import c\nfrom p.d import thing\nimport json",
            "p/b.py": "def later():\n    from . import e",
            "p/c.py": "from .sub import f",
            "p/d.py": "thing = 1",
            "p/e.py": "",
            "p/sub/__init__.py": "from .g import x",
            "p/sub/f.py": "from ..d import thing",
            "p/sub/g.py": "x = 1",
            "p/unused.py": "import p.a",
            "json.py": "",
        },
    )
    assert names(tmp_path, "p.a") == [
        *("p/__init__.py", "p/a.py", "p/b.py", "p/c.py", "p/d.py", "p/e.py"),
        *("p/sub/__init__.py", "p/sub/f.py", "p/sub/g.py"),
    ]


def test_circular_imports_end(tmp_path: Path) -> None:
    write(tmp_path, {"p/__init__.py": "", "p/a.py": "import p.b", "p/b.py": "import p.a"})
    assert names(tmp_path, "p.a") == ["p/__init__.py", "p/a.py", "p/b.py"]


def test_missing_module_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"p/__init__.py": ""})
    with pytest.raises(FileNotFoundError, match=r"p\.nothing"):
        module_closure(tmp_path, "p.nothing")


@pytest.mark.parametrize(
    "source",
    [
        "from p import (  # why (and when)\n    b,\n    c,\n)\n",
        "from p import b, \\\n    c\n",
        "import p.b; import p.c\n",
        "if True: import p.b, p.c\n",
        "try:\n\timport p.b as x, p.c\nexcept ImportError:\n\tpass\n",
        "from p import(b,c)\n",
        "from . import b, c\n",
        "def f():\n    from .b import (\n        thing,\n    )\n    from p.c import thing as x\n",
        '"""from p import (\n\nfrom p.b import an unfinished thought"""\nfrom p import b, c\n',
    ],
)
def test_finds_every_import_however_it_is_written(tmp_path: Path, source: str) -> None:
    write(tmp_path, {"p/__init__.py": "", "p/a.py": source, "p/b.py": "", "p/c.py": ""})
    assert names(tmp_path, "p.a") == ["p/__init__.py", "p/a.py", "p/b.py", "p/c.py"]


@pytest.mark.parametrize("package", ["model", "toolchain", "simulator"])
def test_finds_what_parsing_the_whole_source_finds(package: str) -> None:
    root = Path(__file__).resolve().parents[2]
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found = set(_imports(path.read_bytes(), name, path.name == "__init__.py"))
        absolute = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.ImportFrom) and not node.level
            for alias in node.names
        }
        assert absolute <= found, path
