from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.imports import module_closure


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
