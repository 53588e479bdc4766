"""JSON: one document, with a schema, and nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.blackbox.support import TARGET, Checkout, sha256
from toolchain.layout import project_layout
from toolchain.reference.generated import FOLDER

WITH_JSON = ("build", "simulate", "verify", "plan", "targets", "images", "cache")


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """Check a document against the schema that is published for its kind."""
    kind = document["schema"].split("/")[1]
    schema = json.loads((project_layout().project / FOLDER / f"{kind}.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    return document


def printed(checkout: Checkout, *arguments: str) -> dict[str, Any]:
    done = checkout.invoke(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return checked(read)


def test_json_is_one_document_with_a_schema_and_nothing_beside_it(
    built: Checkout, tmp_path: Path
) -> None:
    documents = {}
    for command in WITH_JSON:
        board = () if command in {"targets", "images", "cache"} else ("--target", TARGET)
        done = built.invoke(command, *board, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        documents[command] = json.loads(done.stdout)
    schemas = {command: document["schema"] for command, document in documents.items()}
    assert schemas == {
        "build": "tinyml-toolchain/build/1",
        "simulate": "tinyml-toolchain/simulations/1",
        "verify": "tinyml-toolchain/verifications/1",
        "plan": "tinyml-toolchain/plan/1",
        "targets": "tinyml-toolchain/targets/1",
        "images": "tinyml-toolchain/images/1",
        "cache": "tinyml-toolchain/cache/1",
    }
    for document in documents.values():
        checked(document)
    (firmware,) = documents["build"]["firmwares"]
    assert {Path(each["path"]).name for each in firmware["artifacts"]} >= {
        *("hello_world.bin", "hello_world.elf", "hello_world.hex", "hello_world.map"),
    }
    for each in firmware["artifacts"]:
        assert sha256(Path(each["path"])) == each["sha256"]
        assert Path(each["path"]).stat().st_size == each["size_bytes"]
    (simulation,) = documents["simulate"]["simulations"]
    assert simulation == json.loads((built.output / "simulation.json").read_text())
    verifications = {each["model"]: each for each in documents["verify"]["verifications"]}
    assert set(verifications) == {"sine_int8", "sine_float"}
    assert verifications["sine_int8"] == json.loads((built.output / "verify.json").read_text())
    assert [step["will_run"] for step in documents["plan"]["steps"]].count(False) == len(
        documents["plan"]["steps"]
    )
    assert TARGET in {board["name"] for board in documents["targets"]["targets"]}
    assert all(image["size_bytes"] > 0 for image in documents["images"]["images"])


def test_what_other_commands_print_is_by_their_schema(built: Checkout, tmp_path: Path) -> None:
    export = str(tmp_path / "export")
    for arguments in (
        ("size", "--target", TARGET, "--compare", str(built.output)),
        ("cache", "export", export, "--target", TARGET),
        ("cache", "import", export),
        ("clean", "--dry-run"),
        ("flash", "--target", TARGET, "--dry-run"),
    ):
        assert printed(built, *arguments)
    checked(json.loads((built.output / "size.json").read_text()))


def test_a_failure_is_a_document_too_and_the_message_stays(built: Checkout) -> None:
    done = built.invoke("build", "--target", "nowhere", "--json")
    assert done.returncode == 10
    document = checked(json.loads(done.stdout))
    assert document["error"] == "UnknownTargetError"
    assert document["exit_code"] == 10
    assert done.stderr.startswith(f"error: {document['what']}\n")
    assert document["next"] in done.stderr
