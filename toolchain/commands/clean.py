"""Removes what was made."""

from __future__ import annotations

import shutil

from toolchain.console import Reporter
from toolchain.layout import project_layout


def clean(reporter: Reporter, *, cache: bool) -> None:
    """Remove ``build/``, and with ``cache`` the user's cache too.

    The step cache is kept by default: the next build restores what it knows without running it.
    """
    from toolchain.actions import project_lock

    layout = project_layout()
    with project_lock(layout, reporter):
        folders = [layout.build]
        if cache:
            # The folders by name: a cache variable that points elsewhere must not cost a home.
            folders += [
                layout.downloads,
                layout.store,
                layout.actions,
                layout.sandboxes,
                layout.engine,
                layout.cache / "checked",
            ]
        for folder in folders:
            if folder.exists():
                shutil.rmtree(folder)
                reporter.note(f"removed {folder}")
