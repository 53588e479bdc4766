"""JSON schemas of the files that people write or read, for editors and other programs to check.

Made from the models that read these files, so that they cannot say something else.
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


def render_schemas() -> Mapping[str, str]:
    """Return the text of each schema, by file name."""
    return {
        name: json.dumps(make(), indent=2, ensure_ascii=False) + "\n"
        for name, make in _SCHEMAS.items()
    }


def stale_schemas(project: Path) -> tuple[Path, ...]:
    """Return the schema files of a checkout that are missing or not what would be written."""
    folder = project / FOLDER
    return tuple(
        folder / name
        for name, text in render_schemas().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    )


def require_fresh(project: Path) -> None:
    """Raise unless every schema is up to date.

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
    """Write the schemas of a checkout and return the files that were not up to date."""
    stale = stale_schemas(project)
    texts = render_schemas()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path.name], encoding="utf-8")
    return stale
