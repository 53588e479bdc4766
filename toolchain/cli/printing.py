"""Results on standard output, and in files that the user named."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from toolchain.cli.failure import output_failure
from toolchain.cli.program import READER_GONE
from toolchain.errors import UsageError
from toolchain.json_text import json_text


def show(text: str) -> None:
    """Write a result to standard output, whatever that can take.

    Raises:
        Exit: the reader has closed the pipe.
        ToolchainError: it cannot be written for another reason.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # What the terminal has no character for, in a folder's name perhaps, is shown as an escape.
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. Python would flush, and fail, once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=READER_GONE) from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise output_failure(error) from error


def show_json(kind: str, **fields: object) -> None:
    """Write a document; ``toolchain.reference.documents`` has the fields of each kind."""
    document = {"schema": f"tinyml-toolchain/{kind}/1", **fields}
    show(json_text(document))


def as_fields(result: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, as ``show_json`` takes them."""
    return dataclasses.asdict(result)


def as_dicts(results: Iterable[Any]) -> list[dict[str, Any]]:
    """Return each dataclass as an object of a document."""
    return [dataclasses.asdict(result) for result in results]


def write_file(place: Path, data: bytes) -> None:
    """Write a file to where the user wants it, complete or not at all.

    Args:
        place: as ``output_path`` returns it, which is asked before the work begins.
        data: what it will hold.

    Raises:
        DiskFullError: there is no room.
        UsageError: it cannot be written there.
    """
    from toolchain.files import write_atomically

    try:
        write_atomically(place, data)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written: {os.strerror(error.errno or 0)}",
            next_step="name a file in a folder that is yours",
        ) from error
