from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from toolchain.boards import Board, board_names, find_board
from toolchain.cli.failure import failure_document
from toolchain.errors import UsageError
from toolchain.reference.documents import document_fields, document_schema
from toolchain.reference.errors_page import error_classes, errors_table
from toolchain.reference.generated import (
    ERRORS,
    FOLDER,
    render_schemas,
    require_fresh,
    stale_schemas,
    write_schemas,
)
from toolchain.render.boards import target_tables

PROJECT = Path(__file__).resolve().parents[2]
BOARDS = [find_board(PROJECT / "boards", name) for name in board_names(PROJECT / "boards")]
SCHEMA: dict[str, Any] = json.loads(render_schemas()[FOLDER / "board.schema.json"])


def test_the_committed_schemas_are_what_the_models_say() -> None:
    assert stale_schemas(PROJECT) == ()
    require_fresh(PROJECT)


def test_a_stale_or_missing_schema_is_noticed_and_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"board\.schema\.json"):
        require_fresh(tmp_path)
    written = write_schemas(tmp_path)
    path = written[0]
    assert path == tmp_path / FOLDER / "board.schema.json"
    assert tmp_path / ERRORS in written
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


def printed_kinds() -> set[str]:
    """Return the kinds of documents that the tasks print."""
    calls = [
        node
        for path in (PROJECT / "toolchain/cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "show_json"
    ]
    kinds = {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}
    assert len(kinds) > 15
    return {str(kind) for kind in kinds}


def test_every_document_that_is_printed_has_a_schema_and_no_other() -> None:
    # size.json is a file beside the firmware; an error is told by whatever fails.
    assert printed_kinds() == set(document_fields()) - {"size", "error"}
    error = json.loads(failure_document(UsageError("what", why="why", next_step="next")))
    Draft202012Validator(dict(document_schema("error"))).validate(error)


@pytest.mark.parametrize("kind", document_fields())
def test_the_schema_of_a_document_is_one_and_closed(kind: str) -> None:
    schema = dict(document_schema(kind))
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["schema"] == {"const": f"tinyml-toolchain/{kind}/1"}
    assert set(schema["required"]) == set(schema["properties"])
    assert list(Draft202012Validator(schema).iter_errors({"schema": "another"}))


def test_every_error_is_in_the_table_with_a_code_of_its_own_and_a_cure() -> None:
    classes = error_classes()
    codes = [each.exit_code for each in classes]
    assert len(set(codes)) == len(codes)
    assert {code for code in codes if code != 130} <= set(range(9, 64))
    table = errors_table()
    for each in classes:
        assert f"| {each.exit_code} | `{each.__name__}` | " in table
        assert "cure" in vars(each), each
        assert each.cure.endswith(".")


def named_in(*files: Path) -> set[str]:
    """Return the names that are used, not only imported, in modules."""
    return {
        node.id
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name)
    }


def test_every_error_can_be_met_and_is_asked_for_in_a_test() -> None:
    folders = (PROJECT / "toolchain", PROJECT / "simulator")
    modules = [path for folder in folders for path in folder.rglob("*.py")]
    made = named_in(*modules)
    tests = "".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    for each in error_classes():
        assert each.__name__ in made, each
        assert each.__name__ in tests or f", {each.exit_code})" in tests, each
