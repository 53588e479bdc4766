"""Names of what is in an archive beside the files of the firmware itself."""

from __future__ import annotations

JUNIT = "junit.xml"
REFERENCE = "reference.json"
"""What the model computes, by which ``junit.xml`` can be made again."""

LICENCES = ("LICENSE", "NOTICE")


def junit_suite(board: str, model: str) -> str:
    """Return what the tests of an archive are called."""
    return f"{board}.{model}"
