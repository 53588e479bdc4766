"""What went wrong, for the user: refusals of the operating system, and errors as documents."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from toolchain.errors import DiskFullError, ToolchainError
from toolchain.layout import CACHE_VARIABLE

DEBUG_VARIABLE = "TOOLCHAIN_DEBUG"
"""When set, a failure's traceback is printed too."""

_FILE_AND_FOLDER = "a file stands where a folder is needed, or a folder where a file is"
_WHY: Mapping[int, str] = {
    errno.EISDIR: _FILE_AND_FOLDER,
    errno.ENOTDIR: _FILE_AND_FOLDER,
    errno.ENAMETOOLONG: "one name has more than 255 bytes, or the whole path more than 4,095",
    errno.ELOOP: "symbolic links lead back to themselves",
    errno.EMFILE: "this process has too many files open: ulimit -n says how many it may have",
}
"""Causes that the system's number tells; in all other cases it is the user's rights."""


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


def output_failure(error: OSError) -> ToolchainError:
    """Return the error for a result that cannot be written to standard output."""
    return ToolchainError(
        f"the result cannot be written to standard output: {os.strerror(error.errno or 0)}",
        next_step="look at where it is redirected to",
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
        why=_WHY.get(
            error.errno or 0,
            "it, or a folder above it, is missing, read-only or belongs to another user",
        ),
        next_step=f"put that right; {CACHE_VARIABLE} names another folder for the cache, and "
        f"{DEBUG_VARIABLE}=1 shows where this happened",
    )
