"""Shows the cache, and carries step results to another machine and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolchain.actions.bound import Part, cache_limit, measure
from toolchain.actions.exchange import Exchanged, export_results, import_results
from toolchain.console import Reporter
from toolchain.errors import CacheCorruptError
from toolchain.layout import project_layout


@dataclass(frozen=True)
class CacheReport:
    """The user's cache.

    Attributes:
        bounded_bytes: of the parts that the bound is about.
        limit_bytes: the bound; ``None`` for none.
    """

    folder: Path
    parts: tuple[Part, ...]
    bounded_bytes: int
    limit_bytes: int | None


def report_cache() -> CacheReport:
    """Return the cache's parts with their sizes.

    Raises:
        UsageError: the bound that the user set is no size.
    """
    layout = project_layout()
    parts = measure(layout)
    bounded = sum(part.size_bytes for part in parts if part.bounded)
    return CacheReport(layout.cache, parts, bounded, cache_limit())


def export_cache(reporter: Reporter, folder: Path, target: str = "") -> Exchanged:
    """Write step results to ``folder``.

    Args:
        reporter: told what is left out.
        folder: see ``export_results``.
        target: the board whose builds are wanted, ``all`` for every board; empty for everything
            in the cache, of all checkouts.

    Raises:
        UnknownTargetError: there is no such board.
        UsageError: ``folder`` is something else than an export.
        DiskFullError: there is no room.
    """
    from toolchain.boards import find_targets
    from toolchain.models import MODELS
    from toolchain.session import open_session

    boards = find_targets(project_layout().boards, target) if target else ()
    with open_session(reporter) as session:
        chosen = None
        if target:
            steps = session.pipeline.firmware_steps(boards, list(MODELS.values()), "release")
            planned = session.runner.plan(steps)
            missing = [step.name for step in planned if step.will_run is not False]
            if missing:
                reporter.warning(
                    f"{len(missing)} of {len(planned)} steps are not in the cache, such as "
                    f"'{missing[0]}': build first to export them"
                )
            chosen = [step.action for step in planned if step.action and not step.will_run]
        store = session.runner.store
        return export_results(session.layout.actions, store, folder, reporter.warning, chosen)


def import_cache(reporter: Reporter, folder: Path) -> Exchanged:
    """Take the step results of an export; what is not sound is refused, and the rest is taken.

    Raises:
        UsageError: ``folder`` is no export.
        DiskFullError: there is no room.
        CacheCorruptError: results were refused; all others were taken.
    """
    from toolchain.actions.action_cache import ActionCache
    from toolchain.session import open_session

    with open_session(reporter) as session:
        store = session.runner.store
        cache = ActionCache(session.layout.actions, store, reporter.warning)
        done = import_results(folder, cache, store, reporter.warning)
    if done.refused:
        raise CacheCorruptError(
            f"{done.refused} results of {folder} were refused",
            why=f"the lines above say what is wrong with each; {done.results} others were taken "
            f"and {done.known} were known",
            next_step="copy the export again, or find out who changed it",
        )
    return done
