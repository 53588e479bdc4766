"""Varied builds in real containers: equal as the project is, and caught where a rule is broken."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.conftest import RunSteps
from toolchain.actions import OutputOf
from toolchain.boards import Board
from toolchain.commands.repro import AGAIN, ReproRequest, repro
from toolchain.commands.session import EngineChoice, Session, open_session
from toolchain.console import PlainReporter
from toolchain.engine import Engine
from toolchain.errors import NotReproducibleError
from toolchain.layout import Layout
from toolchain.pipeline import MODELS, Pipeline, firmware_name
from toolchain.repro.elf_difference import differences
from toolchain.repro.places import ContainerPlace
from toolchain.repro.recipe import make_recipe, write_lists
from toolchain.repro.variations import Conditions, find_variations, varied

INT8 = MODELS["sine_int8"]
DOCKER = EngineChoice("docker")
_DATE = "extern const char kBuiltOn[];\n__attribute__((used)) const char kBuiltOn[] = __DATE__;\n"


@pytest.fixture
def copy(layout: Layout, tmp_path: Path) -> Layout:
    """Return a copy of what steps are made of, with the user's cache."""
    project = tmp_path / "checkout"
    for name in ("boards", "tflm", "model", "docker"):
        ignored = shutil.ignore_patterns("__py*")
        shutil.copytree(layout.project / name, project / name, ignore=ignored)
    shutil.copy(layout.project / "pins.toml", project)
    return Layout(project, layout.cache)


@pytest.fixture
def session(copy: Layout, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", engine.address.url)
    with open_session(PlainReporter(), layout=copy, engine=DOCKER) as session:
        yield session


def request_for(board: Board, names: str) -> ReproRequest:
    return ReproRequest(
        boards=[board],
        models=[INT8],
        build_type="release",
        variations=find_variations(names),
        library="linked",
        model_steps=False,
    )


def test_firmware_and_what_is_linked_are_equal_under_other_circumstances(
    session: Session, board: Board
) -> None:
    names = "path,user,umask,time_zone,clock,source_date,hostname,file_order,environment,aslr"
    request = dataclasses.replace(request_for(board, names), at_once=10)
    found = repro(session, DOCKER, request)
    found.require_equal()
    assert [row.variation for row in found.rows] == [AGAIN, *names.split(",")]
    assert [row.variation for row in found.rows if not row.in_effect] == []
    assert all(row.equal == {"sparkfun_edge sine_int8": True} for row in found.rows)
    assert min(row.files for row in found.rows) == 10


def test_the_date_of_the_build_is_caught_and_named(session: Session, board: Board) -> None:
    source = session.layout.project / "boards/sparkfun_edge/board.cc"
    source.write_text(source.read_text() + _DATE)
    found = repro(session, DOCKER, request_for(board, "clock,source_date"))
    equal = {row.variation: set(row.equal.values()) for row in found.rows}
    # While SOURCE_DATE_EPOCH is set, the compiler takes the date from there.
    assert equal == {AGAIN: {True}, "clock": {True}, "source_date": {False}}
    (elf,) = (each for each in found.differences if each.path == PurePosixPath("bin/hello_world"))
    place = elf.places[0]
    assert (elf.variation, place.symbol) == ("source_date", "kBuiltOn")
    assert place.section.startswith((".text", ".rodata"))
    assert "Jan  2 1980" in place.text
    with pytest.raises(NotReproducibleError, match="other bytes with source_date") as failure:
        found.require_equal()
    assert "kBuiltOn" in str(failure.value)


def test_a_folder_in_the_outputs_is_caught_and_named(
    engine: Engine,
    board: Board,
    pipeline: Pipeline,
    run_steps: RunSteps,
    layout: Layout,
    tmp_path: Path,
) -> None:
    steps = pipeline.firmware_steps([board], [INT8], "release")
    runner, results = run_steps(steps)
    known = {
        OutputOf(name, path): digest
        for name, result in results.items()
        for path, digest in result.outputs.items()
    }
    name = firmware_name("hello_world", board, INT8, "release")
    (firmware,) = (step for step in steps if step.name == name)
    makefile = (layout.project / "tflm/Makefile").read_text()
    rule = "-ffile-prefix-map=$(PROJECT)/= "
    assert rule in makefile
    broken = dataclasses.replace(
        firmware,
        inputs={
            **firmware.inputs,
            PurePosixPath("tflm/Makefile"): makefile.replace(rule, "").encode(),
        },
    )
    place = ContainerPlace(engine, b"")
    made = []
    recipe = make_recipe([broken], known, runner.store, tmp_path / "recipe")
    write_lists(recipe)
    for conditions in (Conditions(), varied(Conditions(), find_variations("path"))):
        made.append(place.run(recipe, conditions, pipeline.cross_image).outputs)
    elf = (name, PurePosixPath("bin/hello_world"))
    found = differences(made[0][elf], made[1][elf])
    assert {place.section for place in found} & {".debug_str", ".debug_line_str", ".debug_line"}
    assert [place for place in found if "/work/build" in place.text]
