"""Varied builds in real containers: equal as the project is, and caught where a rule is broken."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from tests.blackbox.support import replace_in
from toolchain.actions import OutputOf
from toolchain.boards import Board
from toolchain.commands.repro import ReproRequest, repro, shifted_clock
from toolchain.console import PlainReporter
from toolchain.engine import Engine
from toolchain.errors import NotReproducibleError
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.pipeline import firmware_name
from toolchain.repro.bench import Bench
from toolchain.repro.matrix import AGAIN, Difference, Reproduction
from toolchain.repro.places import ContainerPlace, Made, Place
from toolchain.repro.recipe import Recipe, make_recipe, write_lists
from toolchain.repro.variations import Conditions, find_variations
from toolchain.session import EngineChoice, Session, open_session

INT8 = MODELS["sine_int8"]
DOCKER = EngineChoice("docker")
_INIT = "void BoardInit() {"
_WITH_DATE = """extern const char kBuiltOn[];
const char kBuiltOn[] = __DATE__;
void BoardInit() { asm volatile("" : : "r"(kBuiltOn));"""


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


@pytest.fixture
def clock(session: Session) -> bytes:
    return shifted_clock(session)


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


def matrix_of_firmware(
    session: Session, place: Place, board: Board, names: str, folder: Path
) -> Reproduction:
    """Vary the step that makes the firmware only, with what the others made as it is."""
    steps = session.pipeline.firmware_steps([board], [INT8], "release")
    results = session.runner.run(steps)
    known = {
        OutputOf(name, path): digest
        for name, result in results.items()
        for path, digest in result.outputs.items()
    }
    name = firmware_name("hello_world", board, INT8, "release")
    (firmware,) = (step for step in steps if step.name == name)
    recipe = make_recipe([firmware], known, session.runner.store, folder)
    write_lists(recipe)
    column = {"firmware": frozenset({name})}
    image, store = session.pipeline.cross_image, session.runner.store
    bench = Bench(place, recipe, image, column, store, session.reporter)
    request = request_for(board, names)
    rows = tuple(bench.compiled_rows(known, request.variations, at_once=request.at_once))
    return Reproduction("docker", ("firmware",), "linked", rows, tuple(bench.differences))


def elf_difference(found: Reproduction, variation: str) -> Difference:
    (elf,) = (
        each
        for each in found.differences
        if each.path == PurePosixPath("bin/hello_world") and each.variation == variation
    )
    return elf


def test_the_date_of_the_build_is_caught_and_named(
    session: Session, engine: Engine, clock: bytes, board: Board, tmp_path: Path
) -> None:
    source = session.layout.project / "boards/sparkfun_edge/board.cc"
    replace_in(source, _INIT, _WITH_DATE)
    place = ContainerPlace(engine, clock)
    found = matrix_of_firmware(session, place, board, "clock,source_date", tmp_path / "recipe")
    equal = {row.variation: row.equal["firmware"] for row in found.rows}
    # While SOURCE_DATE_EPOCH is set, the compiler takes the date from there.
    assert equal == {AGAIN: True, "clock": True, "source_date": False}
    place_of_it = elf_difference(found, "source_date").places[0]
    assert place_of_it.symbol == "kBuiltOn"
    assert place_of_it.section.startswith((".text", ".rodata"))
    assert "Jan  2 1980" in place_of_it.text
    with pytest.raises(NotReproducibleError, match="other bytes with source_date") as failure:
        found.require_equal()
    assert "kBuiltOn" in str(failure.value)


def test_a_folder_in_the_outputs_is_caught_and_named(
    session: Session, engine: Engine, board: Board, tmp_path: Path
) -> None:
    rule = "-ffile-prefix-map=$(PROJECT)/= "

    class _Broken(ContainerPlace):
        """Drops the rule on the way, as a change of the Makefile would compile the library anew."""

        def run(
            self, recipe: Recipe, conditions: Conditions, image: str, library_sources: str = ""
        ) -> Made:
            for makefile in recipe.folder.glob("tree/*/project/tflm/Makefile"):
                makefile.write_text(makefile.read_text().replace(rule, ""))
            return super().run(recipe, conditions, image, library_sources)

    assert rule in (session.layout.project / "tflm/Makefile").read_text()
    place = _Broken(engine, b"")
    found = matrix_of_firmware(session, place, board, "path", tmp_path / "recipe")
    assert {row.variation: row.equal["firmware"] for row in found.rows} == {
        AGAIN: False,
        "path": False,
    }
    named = {each.section: each.text for each in elf_difference(found, "path").places}
    assert "/varied/build/0/project/" in named[".debug_str"]
    assert "/varied/elsewhere/" in named[".debug_str"]


def test_a_command_that_is_told_to_end_leaves_nothing(
    session: Session, engine: Engine, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []
    start = Container.start

    def start_and_be_told(container: Container) -> None:
        start(container)
        started.append(container.id)
        os.kill(os.getpid(), signal.SIGTERM)

    # Steps run in containers that are started in another way.
    monkeypatch.setattr(Container, "start", start_and_be_told)
    with pytest.raises(KeyboardInterrupt):
        repro(session, DOCKER, request_for(board, "home"))
    assert len(started) == 1
    with pytest.raises(NotFound):
        engine.client.containers.get(started[0])
    own = f"{os.getpid()}-"
    assert [each for each in session.layout.sandboxes.iterdir() if each.name.startswith(own)] == []
