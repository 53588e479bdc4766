"""Refreshes what follows from the versions in ``pins.toml``: digests and locks."""

from __future__ import annotations

from toolchain.console import Reporter
from toolchain.layout import project_layout


def update(reporter: Reporter) -> tuple[str, ...]:
    """Take the mirror's current compiler packages into ``pins.toml`` and make the locks anew.

    Returns:
        One line for each package that changed.

    Raises:
        ToolchainError: a registry cannot be reached, or the requirements cannot be met together.
    """
    from toolchain.actions import project_lock
    from toolchain.commands.test import require_test_packages
    from toolchain.engine import open_engine
    from toolchain.pins_update import update_locks, update_packages

    # uv and tomlkit come with the test requirements.
    require_test_packages(reporter)
    layout = project_layout()
    with project_lock(layout, reporter):
        update_locks(layout, reporter)
        with open_engine(layout, reporter) as engine:
            return update_packages(engine, layout, reporter)


def check(reporter: Reporter) -> None:
    """Check that every lock agrees with ``pins.toml``.

    Raises:
        PinsError: one does not.
    """
    from toolchain.images import project_pins
    from toolchain.pins import check_locks

    layout = project_layout()
    check_locks(layout.project, project_pins(layout))
    reporter.note("pins.toml and its locks agree")
