"""The cache, and what was carried out of it or into it."""

from __future__ import annotations

from toolchain.actions.exchange import Exchanged
from toolchain.commands.cache import CacheReport
from toolchain.render.basics import table


def cache_table(report: CacheReport) -> str:
    """Return the cache's parts with their sizes, and its bound."""
    rows = [
        [part.name, f"{part.files:,}", f"{part.size_bytes / 1e6:,.1f}"]
        for part in report.parts
        if part.files
    ]
    limit = "no bound" if report.limit_bytes is None else f"{report.limit_bytes / 1e6:,.0f} MB"
    return "\n".join(
        [
            table([str(report.folder), "files", "MB"], rows, frozenset({1, 2})),
            "",
            f"results, inputs, outputs and downloads: {report.bounded_bytes / 1e6:,.1f} MB, "
            f"kept within {limit} (TOOLCHAIN_CACHE_LIMIT)",
        ]
    )


def exchange_line(done: Exchanged) -> str:
    """Return what an export or import of step results came to."""
    return (
        f"{done.results} results with {done.copied_bytes / 1e6:,.1f} MB of outputs; "
        f"{done.known} were there already"
        + (f", {done.refused} were left out" if done.refused else "")
    )
