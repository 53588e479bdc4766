"""What went wrong, for the user: refusals of the operating system, and errors as documents."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from toolchain.errors import DiskFullError, ToolchainError
from toolchain.layout import CACHE_VARIABLE

DEBUG_VARIABLE = "TOOLCHAIN_DEBUG"
"""When set, a failure's traceback is printed too."""


def failure_document(error: ToolchainError) -> str:
    """Return the JSON document that tells of an error."""
    return json.dumps(
        {
            "schema": "tinyml-toolchain/error/1",
            "error": type(error).__name__,
            "exit_code": error.exit_code,
            "what": error.what,
            "why": error.why,
            "next": error.next_step,
        },
        indent=2,
    )


def system_failure(error: OSError) -> ToolchainError | None:
    """Return the error for a file or folder that the system does not let us use.

    Returns:
        None when the system names no file, so that the fault is not in the user's folders.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f"{error.filename} cannot be written" if error.filename else ""
        return DiskFullError(
            "the disk is full, or the user's quota is used up",
            why=place,
            next_step="free some space and run the command again; what was finished is kept",
        )
    if not isinstance(error.filename, str | bytes | Path):
        return None
    return ToolchainError(
        f"{os.fsdecode(error.filename)} cannot be used: {os.strerror(error.errno or 0)}",
        why="it, or a folder above it, is missing, read-only or belongs to another user",
        next_step=f"put that right; {CACHE_VARIABLE} names another folder for the cache, and "
        f"{DEBUG_VARIABLE}=1 shows where this happened",
    )
