"""Refreshes what follows from the versions in ``pins.toml``: digests and locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolchain.console import Reporter
from toolchain.layout import project_layout

if TYPE_CHECKING:
    from toolchain.pinning.check import PinState


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
    from toolchain.pinning.update import update_locks, update_packages

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


def check_offers(reporter: Reporter) -> tuple[PinState, ...]:
    """Compare everything pinned with what mirror, index and registries offer today.

    Raises:
        PinsError: a lock does not agree with ``pins.toml``.
        ToolchainError: there is no engine, or no base image.
    """
    from toolchain.actions import project_lock
    from toolchain.commands.test import require_test_packages
    from toolchain.engine import open_engine
    from toolchain.images import project_pins
    from toolchain.pinning.check import check_pins
    from toolchain.pins import check_locks

    # uv comes with the test requirements.
    require_test_packages(reporter)
    layout = project_layout()
    pins = project_pins(layout)
    check_locks(layout.project, pins)
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        return check_pins(engine, layout, pins, reporter)
