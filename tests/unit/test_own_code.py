"""What was found out before is used again only where the same code of this project found it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.commands_support import (
    EDGE,
    INT8,
    copy_project,
    firmware_contents,
    hello_world,
    know,
    session_in,
    steps_of,
)
from toolchain.building import arena_measurement, checked
from toolchain.building.arena_measurement import ArenaMeasurement, measure_arena
from toolchain.building.own_code import ARENA_CODE, FIRMWARE_CODE, PROJECT, code_digest
from toolchain.commands.build import build
from toolchain.session import Session

MEASURED = ArenaMeasurement(1024, 1000, (1008, 1024, 2048))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    with session_in(copy_project(tmp_path)) as session:
        yield session


@pytest.mark.parametrize("packages", [ARENA_CODE, FIRMWARE_CODE])
def test_every_package_is_there_and_has_code(packages: tuple[str, ...]) -> None:
    for package in packages:
        assert (PROJECT / package / "__init__.py").is_file()


def test_content_names_and_places_of_modules_decide_and_nothing_else(tmp_path: Path) -> None:
    def digest(number: int, **texts: str) -> str:
        project = tmp_path / str(number)
        for name, text in texts.items():
            path = project / "part" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return code_digest(("part",), project)

    first = digest(1, a_py="1", in__b_py="2")
    others = [
        digest(2, a_py="1", in__b_py="3"),
        digest(3, a_py="1", in__c_py="2"),
        digest(4, a_py="1", b_py="2"),
        digest(5, a_py="2", in__b_py="1"),
        digest(6, a_py="1"),
    ]
    assert len({first, *others}) == 6
    assert digest(7, a_py="1", in__b_py="2", in__b_pyc="compiled") == first


def test_sizes_and_files_are_made_again_by_other_code(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(session, steps_of(session), firmware_contents(hello_world()))

    def kept() -> tuple[int, int]:
        build(session, [EDGE], INT8, "release")
        folders = (session.layout.checked, session.layout.packaged)
        sizes, files = (len(list(folder.iterdir())) for folder in folders)
        return sizes, files

    formats = len(EDGE.package.formats)
    assert kept() == kept() == (1, formats)
    monkeypatch.setattr(checked, "code_digest", lambda _packages: "another")
    assert kept() == kept() == (2, 2 * formats)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How large the arena was in each measurement that was really made."""
    made: list[int] = []

    def measure(_board: object, _image: bytes, _elf: Path, largest: int) -> ArenaMeasurement:
        made.append(largest)
        return MEASURED

    monkeypatch.setattr(arena_measurement, "_measure", measure)
    return made


def test_an_arena_is_measured_again_by_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[int]
) -> None:
    elf = tmp_path / "elf"
    elf.write_bytes(b"an elf")
    for times in (1, 1, 2, 2):
        if times == 2:
            monkeypatch.setattr(arena_measurement, "code_digest", lambda _packages: "another")
        assert measure_arena(EDGE, b"image", elf, 2048, tmp_path / "memos") == MEASURED
        assert len(measured) == times


@pytest.mark.parametrize(
    "known",
    [
        "",
        "[]",
        "[" * 100_000,
        json.dumps({"smallest": "16", "used": 1, "tried": []}),
        json.dumps({"smallest": 16, "used": None, "tried": []}),
        json.dumps({"smallest": 16, "used": 1, "tried": [1.5]}),
        json.dumps({"smallest": 4096, "used": 1, "tried": []}),
        json.dumps({"smallest": -16, "used": 1, "tried": []}),
    ],
)
def test_a_damaged_measurement_is_made_again(
    tmp_path: Path, known: str, measured: list[int]
) -> None:
    elf = tmp_path / "elf"
    elf.write_bytes(b"an elf")
    memos = tmp_path / "memos"
    measure_arena(EDGE, b"image", elf, 2048, memos)
    (memo,) = memos.iterdir()
    memo.write_text(known)
    assert measure_arena(EDGE, b"image", elf, 2048, memos) == MEASURED
    assert len(measured) == 2
