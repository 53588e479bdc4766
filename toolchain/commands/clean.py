"""Removes what was made."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import UsageError
from toolchain.layout import Layout, project_layout


def clean(reporter: Reporter, *, cache: bool) -> None:
    """Remove ``build/``, and with ``cache`` the user's cache too.

    The step cache is kept by default: the next build restores what it knows without running it.

    Raises:
        UsageError: ``cache`` is asked for while another command uses the cache; nothing is removed.
        OSError: something belongs to another user.
    """
    from toolchain.actions import project_lock

    layout = project_layout()
    with ExitStack() as stack:
        stack.enter_context(project_lock(layout, reporter))
        folders = [layout.build]
        if cache:
            stack.enter_context(_unused_cache(layout))
            folders += _cache_folders(layout)
        _remove(folders, reporter)


def _cache_folders(layout: Layout) -> list[Path]:
    from toolchain.engine.private import private_paths

    # By name: a cache variable that points elsewhere must not cost a home.
    return [
        layout.downloads,
        layout.store,
        layout.actions,
        layout.sandboxes,
        *(layout.cache / name for name in ("checked", "packaged", "machines")),
        private_paths(layout).run,
        layout.engine,
    ]


def _remove(folders: Sequence[Path], reporter: Reporter) -> None:
    from toolchain.actions.sandbox import remove_tree

    present = [folder for folder in folders if folder.exists() or folder.is_symlink()]
    for folder in present:
        if folder.is_symlink():
            folder.unlink()
        else:
            # The inputs of a step that was killed lie in folders that may not be written.
            remove_tree(folder)
        reporter.note(f"removed {folder}")
    if not present:
        reporter.note("there is nothing to remove")


@contextmanager
def _unused_cache(layout: Layout) -> Iterator[None]:
    """Keep other commands out of the cache, and end a private engine that no command uses."""
    from toolchain.actions.lock import lock_path
    from toolchain.engine.private import private_paths, stop

    ours = lock_path(layout)
    locks = [path for path in ours.parent.glob("*.lock") if path != ours]
    engine = private_paths(layout)
    users = engine.folder / "users.lock"
    with ExitStack() as stack:
        for path in [*locks, *([users] if users.exists() else [])]:
            guard = stack.enter_context(path.open("a"))
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another command uses the cache {layout.cache}",
                    why="all checkouts of this user share it",
                    next_step="wait until that command has ended, and run this one again",
                ) from None
        if engine.folder.exists():
            stop(engine)
        yield
