"""Checks a release without network and without an engine."""

from __future__ import annotations

from pathlib import Path

from toolchain.layout import project_layout
from toolchain.release.checks import CheckedRelease, check_release


def verify_release(place: Path) -> CheckedRelease:
    """Check the release at ``place``; see ``check_release``.

    The boards are those of this checkout.

    Raises:
        UsageError: there is nothing.
        ReleaseInvalidError: it is not what it says; the message names the file.
    """
    return check_release(place, project_layout().boards)
