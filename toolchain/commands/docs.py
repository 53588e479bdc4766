"""Builds the documentation site."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain.console import Reporter
from toolchain.disk import disk_full, says_disk_full, space_checked
from toolchain.errors import DocumentationError, ToolchainError, UsageError
from toolchain.files import remove_tree
from toolchain.layout import project_layout
from toolchain.quoted import last_lines

_SHOWN_LINES = 12
_OF_A_SITE = ("index.html", "404.html", "search/search_index.json")


def build_docs(reporter: Reporter, out: Path | None = None) -> Path:
    """Build the site from ``docs/`` and return its first page.

    Args:
        reporter: told what goes on.
        out: folder of the site; ``build/site`` if not given. A site that is there is replaced when
            the new one is complete.

    Raises:
        DocumentationError: a page has a mistake, such as a link that leads nowhere.
        UsageError: what builds it is not installed, or ``out`` is something else than a site.
        DiskFullError: there is no room.
        OSError: the folder cannot be written.
    """
    from toolchain.commands.test import require_test_packages

    folder = Path(os.path.realpath(out or project_layout().build / "site"))
    if out:
        require_replaceable(folder)
    require_test_packages(reporter)
    project = project_layout().project
    with space_checked(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
            made = Path(place, "site")
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "mkdocs", "build", "--strict"),
                    *("--config-file", str(project / "mkdocs.yml"), "--site-dir", str(made)),
                ],
                cwd=project,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode:
                raise _failure(done.stderr, folder)
            if out:
                require_replaceable(folder)
            remove_tree(folder)
            made.rename(folder)
    return folder / "index.html"


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something else than a site.

    Raises:
        UsageError: it does, or it is no folder.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if folder.is_dir() and all((folder / name).is_file() for name in _OF_A_SITE):
        return
    raise UsageError(
        f"--out: {folder} is there already and no site of ours",
        why="all that is in the folder of a site is replaced",
        next_step="name a folder that does not exist yet",
    )


def _failure(said: str, folder: Path) -> ToolchainError:
    if says_disk_full(said):
        return disk_full(folder.parent)
    return DocumentationError(
        "the documentation has a mistake",
        why=f"MkDocs says:\n{last_lines(said, _SHOWN_LINES)}",
        next_step="mend the page; every warning is an error",
    )
