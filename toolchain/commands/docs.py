"""Builds the documentation site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import DocumentationError
from toolchain.layout import project_layout
from toolchain.quoted import last_lines

_SHOWN_LINES = 12


def build_docs(reporter: Reporter, out: Path | None = None) -> Path:
    """Build the site from ``docs/`` and return its first page.

    Args:
        reporter: told what goes on.
        out: folder of the site; ``build/site`` if not given. What is in it is replaced.

    Raises:
        DocumentationError: a page has a mistake, such as a link that leads nowhere.
        UsageError: what builds it is not installed.
    """
    from toolchain.commands.test import require_test_packages

    require_test_packages(reporter)
    project = project_layout().project
    folder = out or project_layout().build / "site"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"),
            *("--config-file", str(project / "mkdocs.yml"), "--site-dir", str(folder)),
        ],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DocumentationError(
            "the documentation has a mistake",
            why=f"MkDocs says:\n{last_lines(done.stderr, _SHOWN_LINES)}",
            next_step="mend the page; every warning is an error",
        )
    return folder / "index.html"
