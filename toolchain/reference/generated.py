"""What of the documentation is made from the code: JSON schemas, and the table of errors.

Schemas are of files that people write or read and of what commands print with ``--json``; they are
made from the types of these, so that they cannot say something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from toolchain.boards import Board
from toolchain.errors import UsageError
from toolchain.release.manifest import Manifest

FOLDER = PurePosixPath("docs/schemas")
_PROJECT = Path(__file__).resolve().parents[2]
ERRORS = PurePosixPath("docs/reference/errors.md")


def board_schema() -> Mapping[str, Any]:
    """Return the JSON schema of ``board.toml``.

    What keys mean for each other, such as overlapping memories, has no form in a schema and is
    checked when the file is read.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Board.model_json_schema(),
        "title": "board.toml",
    }


def manifest_schema() -> Mapping[str, Any]:
    """Return the JSON schema of a release's ``manifest.json``.

    What its fields mean for each other is checked by ``./invoke verify-release``.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Manifest.model_json_schema(by_alias=True),
        "title": "manifest.json",
    }


_SCHEMAS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "board.schema.json": board_schema,
    "manifest.schema.json": manifest_schema,
}


def render_schemas() -> Mapping[PurePosixPath, str]:
    """Return the text of each file that is made from the code, by its path in the checkout."""
    from toolchain.cli.completion import described
    from toolchain.reference import pages
    from toolchain.reference.documents import document_fields, document_schema
    from toolchain.reference.errors_page import errors_table
    from toolchain.remote import deployments

    schemas = {name: make() for name, make in _SCHEMAS.items()}
    schemas |= {f"{kind}.schema.json": document_schema(kind) for kind in document_fields()}
    return {
        FOLDER / name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    } | {
        ERRORS: errors_table(),
        deployments.COMPOSE: deployments.compose_text(),
        deployments.KUBERNETES: deployments.kubernetes_text(),
        pages.FOLDER / "commands.md": pages.commands_page(described()),
        pages.FOLDER / "board-toml.md": pages.board_page(),
        pages.FOLDER / "pins-toml.md": pages.pins_page(),
        pages.FOLDER / "json.md": pages.json_page(),
        pages.FOLDER / "simulator.md": pages.simulator_page(_PROJECT / "simulator"),
    }


def stale_schemas(project: Path) -> tuple[Path, ...]:
    """Return the files of a checkout that are missing or not what would be written."""
    return tuple(
        project / name
        for name, text in render_schemas().items()
        if not (project / name).is_file() or (project / name).read_text(encoding="utf-8") != text
    )


def require_fresh(project: Path) -> None:
    """Raise unless every file that is made from the code is up to date.

    Raises:
        UsageError: one is not; the message names it.
    """
    stale = stale_schemas(project)
    if stale:
        raise UsageError(
            f"not up to date: {', '.join(path.name for path in stale)}",
            next_step="run ./invoke schemas and commit what it writes",
        )


def write_schemas(project: Path) -> tuple[Path, ...]:
    """Write the files that are made from the code and return those that were not up to date."""
    stale = stale_schemas(project)
    texts = render_schemas()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[PurePosixPath(path.relative_to(project))], encoding="utf-8")
    return stale
