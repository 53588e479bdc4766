"""Paths as users type them."""

from __future__ import annotations

import os
from pathlib import Path

from toolchain.errors import UsageError


def user_path(text: str) -> Path:
    """Return a path that the user typed, from the folder in which the command runs.

    Raises:
        UsageError: it begins with a ``~`` whose home is not known, has a NUL in it, or is relative
            to a folder that has been removed.
    """
    if "\0" in text:
        raise UsageError(
            f"{text!r} is no path", why="it has a NUL in it", next_step="look at the path"
        )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            f"it is not known whose home {text} begins with",
            why="there is no such user, or HOME is not set",
            next_step="write the path without ~; a file's name that begins so needs ./ before it",
        ) from error
    except FileNotFoundError as error:
        raise UsageError(
            f"{text} is relative to a folder that is not there",
            why="the folder in which the command runs has been removed",
            next_step="change to another folder, or give the path from / on",
        ) from error


def output_path(option: str, text: str) -> Path:
    """Return the path of a file to be written, before the work whose result it will hold.

    A symbolic link stands for what it leads to.

    Args:
        option: where it was given, for the message.
        text: what the user gave.

    Raises:
        UsageError: it is there and no file, or its folder cannot be written to.
    """
    path = Path(os.path.realpath(user_path(text)))
    reason = _hindrance(path)
    if reason:
        raise UsageError(
            f"{option}: {path} cannot be written: {reason}",
            next_step="name a file in a folder that is yours",
        )
    return path


def _hindrance(path: Path) -> str:
    try:
        if path.is_dir():
            return "it is a folder"
        # A rename would put a file in the place of /dev/null.
        if path.exists() and not path.is_file():
            return "it is there, and no file"
        folder = path.parent
        while not folder.exists():
            folder = folder.parent
    except OSError as error:
        return os.strerror(error.errno or 0)
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} may not be written to"
    return ""
