"""The table of all errors, for the documentation."""

from __future__ import annotations

import inspect

from toolchain import errors
from toolchain.errors import ToolchainError

_HEAD = """# Errors and exit codes

<!-- Made from toolchain/errors.py by ./invoke schemas. -->

Every failure that can be expected is one message on standard error: what happened, why it probably
did, and what to do next. The command ends with the exit code of its kind, so that a script can tell
them apart. With `--json` a document of the kind `error`, with the same words and the code, comes on
standard output too.

Beside these, 0 is success, 8 says that the Python environment could not be made, and 141 that the
reader of a pipe has gone.

| exit code | class | what it means | what helps |
|---:|---|---|---|
"""


def error_classes() -> tuple[type[ToolchainError], ...]:
    """Return every class of error by exit code."""
    found = [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, ToolchainError)
    ]
    return tuple(sorted(found, key=lambda each: each.exit_code))


def errors_table() -> str:
    """Return the page in Markdown."""
    rows = []
    for each in error_classes():
        meaning = "What no other class is for." if each is ToolchainError else _first(each)
        rows.append(f"| {each.exit_code} | `{each.__name__}` | {meaning} | {each.cure} |")
    return _HEAD + "\n".join(rows) + "\n"


def _first(each: type[ToolchainError]) -> str:
    text = (inspect.getdoc(each) or "").split("\n\n")[0]
    return " ".join(text.replace("``", "`").split())
