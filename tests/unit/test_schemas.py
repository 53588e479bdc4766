from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from toolchain.boards import Board, board_names, find_board
from toolchain.errors import UsageError
from toolchain.render import target_tables
from toolchain.schemas import FOLDER, render_schemas, require_fresh, stale_schemas, write_schemas

PROJECT = Path(__file__).resolve().parents[2]
BOARDS = [find_board(PROJECT / "boards", name) for name in board_names(PROJECT / "boards")]
SCHEMA: dict[str, Any] = json.loads(render_schemas()["board.schema.json"])


def test_the_committed_schemas_are_what_the_models_say() -> None:
    assert stale_schemas(PROJECT) == ()
    require_fresh(PROJECT)


def test_a_stale_or_missing_schema_is_noticed_and_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"board\.schema\.json"):
        require_fresh(tmp_path)
    path, manifest = write_schemas(tmp_path)
    assert path == tmp_path / FOLDER / "board.schema.json"
    assert manifest == tmp_path / FOLDER / "manifest.schema.json"
    assert write_schemas(tmp_path) == ()
    path.write_text(path.read_text().replace("board.toml", "other", 1))
    assert stale_schemas(tmp_path) == (path,)


def properties(schema: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the properties of a table, given by the names of the model's classes."""
    found = schema["$defs"][place] if place else schema
    assert found["additionalProperties"] is False
    properties: dict[str, Any] = found["properties"]
    return properties


def test_the_schema_has_every_key_of_every_table() -> None:
    assert set(properties(SCHEMA, "")) == set(Board.model_fields)
    for name, definition in SCHEMA["$defs"].items():
        assert definition["additionalProperties"] is False, name
    assert properties(SCHEMA, "Led")["active"]["enum"] == ["high", "low"]
    assert properties(SCHEMA, "Application")["load_address"]["maximum"] == 0xFFFF_FFFF
    assert "ambiq_wired_update" in json.dumps(properties(SCHEMA, "Package")["formats"])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_every_key_of_every_board_is_in_the_schema(board: Board) -> None:
    def walk(value: object, schema: dict[str, Any]) -> None:
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            for choice in schema["anyOf"]:
                if choice.get("type") != "null":
                    schema = choice
            return walk(value, schema)
        if isinstance(value, dict) and "properties" in schema:
            for key, inner in value.items():
                assert key in schema["properties"], key
                walk(inner, schema["properties"][key])
        elif isinstance(value, list):
            assert schema["type"] == "array"
            kinds = schema.get("prefixItems") or [schema["items"]] * len(value)
            for inner, kind in zip(value, kinds, strict=True):
                walk(inner, kind)
        elif isinstance(value, int):
            assert schema["type"] == "integer"
            assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
        elif isinstance(value, str):
            assert schema["type"] == "string"
            assert value in schema.get("enum", [value])
            assert re.search(schema.get("pattern", ""), value)
        return None

    path = PROJECT / "boards" / board.name / "board.toml"
    walk(tomllib.loads(path.read_text()), SCHEMA)
    assert path.read_text().startswith(f"#:schema ../../{FOLDER}/board.schema.json\n")


def test_the_targets_show_names_lights_files_and_ways_of_flashing() -> None:
    text = target_tables(BOARDS)
    for board in BOARDS:
        rows = [line for line in text.splitlines() if line.startswith(f"{board.name} ")]
        assert len(rows) == 2
        facts, outputs = rows
        assert board.title in facts
        assert f"0x{board.application.load_address:08X}" in facts
        for word in (
            *board.aliases,
            *(led.name for led in board.led),
            *board.package.formats,
            *(f"{way.tool} ({way.format})" for way in board.flashing),
        ):
            assert word in outputs
        assert ("display" in outputs) == (board.display is not None)
