"""The digest of this project's own code, for the keys of what that code found out."""

from __future__ import annotations

import functools
from pathlib import Path

from toolchain.digest import Digest

PROJECT = Path(__file__).resolve().parents[2]
"""Where the code that runs stands, which need not be the checkout that is built."""

ARENA_CODE = ("simulator", "toolchain/boards", "toolchain/building", "toolchain/firmware")
"""What measures a tensor arena."""

FIRMWARE_CODE = ("toolchain/boards", "toolchain/building", "toolchain/firmware")
"""What checks programs, tells their sizes, and writes files for flashing."""


@functools.cache
def code_digest(packages: tuple[str, ...], project: Path = PROJECT) -> str:
    """Return the sha256 over all modules of some packages, by their paths.

    Args:
        packages: folders below ``project``.
        project: folder that holds them.

    Raises:
        OSError: a module cannot be read.
    """
    lines = [
        f"{path.relative_to(project).as_posix()} {Digest.of_file(path)}"
        for package in packages
        for path in sorted((project / package).rglob("*.py"))
    ]
    return Digest.of_bytes("\n".join(lines).encode()).sha256
