"""Removes what was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.console import Reporter
from toolchain.errors import UsageError
from toolchain.flock import try_exclusive
from toolchain.layout import Layout, project_layout

if TYPE_CHECKING:
    from toolchain.images.inventory import StoredImage


@dataclass(frozen=True)
class Removable:
    """Something that ``clean`` removes.

    Attributes:
        what: a folder, or an image's name or identifier.
        size_bytes: on this disk, or as the engine says; images share layers.
    """

    what: str
    size_bytes: int


def clean(
    reporter: Reporter,
    *,
    cache: bool,
    images: bool = False,
    dist: bool = False,
    dry_run: bool = False,
) -> tuple[Removable, ...]:
    """Remove ``build/``; with ``dist``, ``cache`` and ``images`` what these say.

    A release may be the only copy of what was published, so it goes only when it is asked for. The
    step cache is kept by default: the next build restores what it knows without running it. Old
    images are those of this project that this checkout does not name; what a container uses,
    or another image stands on, stays.

    Args:
        reporter: told what went.
        cache: remove the user's cache too.
        images: remove old images too, from the engine that commands would use.
        dist: remove the packed release too.
        dry_run: remove nothing.

    Returns:
        What was removed, or would be.

    Raises:
        UsageError: ``cache`` is asked for while another command uses the cache, of which nothing
            is removed then.
        EngineUnavailableError: ``images`` is asked for and there is no engine.
        OSError: something belongs to another user.
    """
    from toolchain.actions import project_lock

    layout = project_layout()
    done: list[Removable] = []
    with ExitStack() as stack:
        stack.enter_context(project_lock(layout, reporter))
        if images:
            done += _clean_images(layout, reporter, dry_run=dry_run)
        folders = [layout.build, *([layout.dist] if dist else [])]
        if cache:
            if not dry_run:
                stack.enter_context(_unused_cache(layout))
            folders += _cache_folders(layout)
        done += _clean_folders(folders, reporter, dry_run=dry_run)
    if not done:
        reporter.note("there is nothing to remove")
    if not dist and layout.dist.exists():
        reporter.note(f"{layout.dist} stays; --dist removes the release in it too")
    return tuple(done)


def _clean_images(layout: Layout, reporter: Reporter, *, dry_run: bool) -> list[Removable]:
    from toolchain.engine import open_engine
    from toolchain.images import KINDS, image_name, project_pins
    from toolchain.images.inventory import old_images, remove_images
    from toolchain.images.making import making_images

    pins = project_pins(layout)
    keep = [image_name(kind, pins, layout) for kind in KINDS]
    with open_engine(layout, reporter) as engine, making_images(engine, layout, reporter):
        choose = old_images if dry_run else remove_images
        old = choose(engine, keep=keep)
    for image in old:
        _tell(reporter, _named(image), image.size_bytes, dry_run=dry_run)
    return [Removable(_named(image), image.size_bytes) for image in old]


def _named(image: StoredImage) -> str:
    return ", ".join(image.names) or image.identifier


def _tell(reporter: Reporter, what: object, size_bytes: int, *, dry_run: bool) -> None:
    verb = "would remove" if dry_run else "removed"
    reporter.note(f"{verb} {what} ({size_bytes / 1e6:,.1f} MB)")


def _cache_folders(layout: Layout) -> list[Path]:
    from toolchain.engine.private import private_paths

    # By name: a cache variable that points elsewhere must not cost a home.
    return [
        layout.downloads,
        layout.store,
        layout.actions,
        layout.sandboxes,
        *layout.memos,
        private_paths(layout).run,
        layout.engine,
    ]


def _clean_folders(
    folders: Sequence[Path], reporter: Reporter, *, dry_run: bool
) -> list[Removable]:
    from toolchain.actions.bound import disk_usage
    from toolchain.files import remove_tree

    done = []
    for folder in folders:
        if not (folder.exists() or folder.is_symlink()):
            continue
        is_folder = folder.is_dir() and not folder.is_symlink()
        size = disk_usage(folder) if is_folder else 0
        if not dry_run and not is_folder:
            folder.unlink()
        elif not dry_run:
            # The inputs of a step that was killed lie in folders that may not be written.
            remove_tree(folder)
        _tell(reporter, folder, size, dry_run=dry_run)
        done.append(Removable(str(folder), size))
    return done


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
            if not try_exclusive(guard):
                raise UsageError(
                    f"another command uses the cache {layout.cache}",
                    why="all checkouts of this user share it",
                    next_step="wait until that command has ended, and run this one again",
                )
        if engine.folder.exists():
            stop(engine)
        yield
