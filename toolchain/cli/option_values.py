"""Values of options that are words: numbers, and files that other modules look for.

Invoke would convert numbers itself, but it meets a word that is none with a traceback.
"""

from __future__ import annotations

import os
import re

from toolchain.errors import UsageError

_DECIMAL = re.compile(r"[+-]?[0-9]{1,4000}")


def whole_number(option: str, text: str, *, at_least: int, at_most: int | None = None) -> int:
    """Return the number that ``text`` writes in decimal.

    Args:
        option: as the user writes it, such as ``--jobs``; for the message.
        text: what the user gave.
        at_least: the smallest number that can be used.
        at_most: the largest one; None where there is none.

    Raises:
        UsageError: it is no whole number, or outside these limits.
    """
    limits = f"{at_least} or more" if at_most is None else f"from {at_least} to {at_most}"
    # Python itself would take other scripts' digits, blanks around them, and 1_000.
    number = int(text) if _DECIMAL.fullmatch(text) else None
    if number is None or number < at_least or (at_most is not None and number > at_most):
        raise UsageError(
            f"{option} cannot be '{text}'", next_step=f"give it a whole number, {limits}"
        )
    return number


def use_bundle(bundle: str) -> None:
    """Let everything pinned be taken from a file that ``./invoke bundle`` made.

    Args:
        bundle: its path; nothing is changed when it is empty.

    Raises:
        UsageError: there is no such file.
    """
    if not bundle:
        return
    from toolchain.environment import BUNDLE_VARIABLE
    from toolchain.paths import user_path

    file = user_path(bundle)
    if not file.is_file():
        raise UsageError(
            f"--bundle: there is no file {bundle}",
            next_step="make it with ./invoke bundle, on a machine with network",
        )
    os.environ[BUNDLE_VARIABLE] = str(file)
