"""Builds everything from clean under varied circumstances and compares the bytes."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Literal, TypeAlias

from toolchain.actions import OutputOf, Step
from toolchain.actions.sandbox import Sandbox
from toolchain.boards import Board
from toolchain.commands.session import EngineChoice, Session
from toolchain.digest import Digest
from toolchain.errors import NotReproducibleError, UsageError
from toolchain.firmware.archive import members
from toolchain.firmware.generated import target_arch
from toolchain.pipeline import BuildType, Model, firmware_name
from toolchain.repro import elf_difference
from toolchain.repro.places import ContainerPlace, HostPlace, Made, Place
from toolchain.repro.recipe import Recipe, make_recipe, write_lists
from toolchain.repro.variations import Conditions, Variation, packed, varied

AGAIN = "again"
TOGETHER = "together"
MODEL_STEPS = "model steps"
LibraryExtent: TypeAlias = Literal["linked", "ends", "whole"]
LIBRARY_EXTENTS: tuple[LibraryExtent, ...] = ("linked", "ends", "whole")
"""How much of the library a build compiles: what firmwares take of it; the same, but the whole in
the first and the last build; or always the whole."""

AT_ONCE = 3
"""How many variations share a build, if not told otherwise."""

_COMPILED = frozenset({"library", "interpreter", "firmware", "sources"})
_MODEL_VERBS = frozenset({"convert", "embed", "reference"})
# One processor would double the time of a whole build.
_NOT_TOGETHER = "cores"
_CLOCK = PurePosixPath("clock.so")


@dataclass(frozen=True)
class Difference:
    """A file that came out differently.

    Attributes:
        variation: under which circumstances.
        step: that made it.
        path: of the step's output.
        places: where it differs.
        report: of diffoscope, where that is on ``PATH``.
    """

    variation: str
    step: str
    path: PurePosixPath
    places: tuple[elf_difference.Place, ...]
    report: str = ""


@dataclass(frozen=True)
class Row:
    """What one varied build came to.

    Attributes:
        variation: its name; ``again`` varies nothing, ``together`` all at once.
        described: what was varied.
        fact: what it was in the plain build, and in this one; both empty where it was not read.
        in_effect: whether the circumstances were in fact other ones.
        equal: by board and model, as ``<board> sine_int8``.
        files: how many files were compared.
        seconds: wall-clock time of the build.
        build: number of the build; several variations may have shared one.
    """

    variation: str
    described: str
    fact: tuple[str, str]
    in_effect: bool
    equal: Mapping[str, bool]
    files: int
    seconds: float
    build: int


@dataclass(frozen=True)
class Reproduction:
    """The matrix.

    Attributes:
        engine: ``docker`` or ``host``.
        columns: boards and models, and the model's own steps where they were built.
        library: how much of the library the builds compiled.
    """

    engine: str
    columns: tuple[str, ...]
    library: LibraryExtent
    rows: tuple[Row, ...] = ()
    differences: tuple[Difference, ...] = ()
    builds: int = 0
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether every file of every build was the same."""
        return not self.differences

    def require_equal(self) -> None:
        """Refuse differences.

        Raises:
            NotReproducibleError: there are any.
        """
        if self.differences:
            names = list(dict.fromkeys(each.variation for each in self.differences))
            raise NotReproducibleError(
                f"the build is not reproducible: other bytes with {', '.join(names)}",
                why=_described(self.differences[0]),
                next_step="keep out of the outputs what the section and the symbol show",
            )


def find_extent(name: str) -> LibraryExtent:
    """Return the extent of that name.

    Raises:
        UsageError: there is none.
    """
    for extent in LIBRARY_EXTENTS:
        if extent == name:
            return extent
    raise UsageError(
        f"--library cannot be '{name}'", next_step=f"choose one of: {', '.join(LIBRARY_EXTENTS)}"
    )


def _described(difference: Difference) -> str:
    return f"{difference.step}: {difference.path} in {difference.places[0]}"


@dataclass
class Bench:
    """What all builds of one recipe share.

    Attributes:
        place: where they run.
        recipe: what is built.
        image: of its steps.
        columns: names of the steps that a column of the matrix stands for.
        linked: files of which the library is made; empty for all.
        plain: what the plain build made.
        differences: found so far.
        builds: run so far.
    """

    place: Place
    recipe: Recipe
    image: str
    columns: Mapping[str, frozenset[str]]
    linked: str
    plain: Made | None = None
    differences: list[Difference] = field(default_factory=list)
    builds: int = 0


@dataclass(frozen=True)
class ReproRequest:
    """What is to be tried.

    Attributes:
        boards: what to build for.
        models: models of the project.
        build_type: how it is compiled.
        variations: to try.
        at_once: how many variations share a build.
        library: how much of the library the builds compile.
        model_steps: also convert, embed and compute the references under varied circumstances.
    """

    boards: Sequence[Board]
    models: Sequence[Model]
    build_type: BuildType
    variations: Sequence[Variation]
    at_once: int = AT_ONCE
    library: LibraryExtent = "ends"
    model_steps: bool = True


def repro(session: Session, engine: EngineChoice, request: ReproRequest) -> Reproduction:
    """Build firmwares under every variation, and compare them with a plain build.

    The plain build is compared with what ``build`` makes. Variations that have nothing to do with
    each other share a build; where its bytes differ, each of them gets one of its own, so that the
    one at fault is named. In the end there is one build with all of them at once.

    Args:
        session: the open command.
        engine: ``host``, or anything else for Docker.
        request: what is to be tried.

    Raises:
        UsageError: a model is not one of the project.
        StepFailedError: a varied build failed.
    """
    boards, models, build_type = request.boards, request.models, request.build_type
    variations = request.variations
    if any(model.given is not None for model in models):
        raise UsageError(
            "a model of your own cannot be tried", next_step="use sine_int8 or sine_float"
        )
    started = time.monotonic()
    steps = {
        step.name: step for step in session.pipeline.firmware_steps(boards, models, build_type)
    }
    for board in boards:
        for model in models:
            # It also tells which files of the library a model takes.
            step = session.pipeline.sources(board, model, build_type)
            steps.setdefault(step.name, step)
    results = session.runner.run(list(steps.values()))
    known = {
        OutputOf(name, path): digest
        for name, result in results.items()
        for path, digest in result.outputs.items()
    }
    linked = _linked(session, known)
    compiled = [step for name, step in steps.items() if name.split()[0] in _COMPILED]
    columns = {
        f"{board.name} {model.name}": frozenset(
            {
                firmware_name(model.application, board, model, build_type),
                *(
                    step.name
                    for step in compiled
                    if step.name.split()[:2] in (["library", arch], ["interpreter", arch])
                    or step.name.split()[:3] == ["sources", arch, model.name]
                ),
            }
        )
        for board in boards
        for arch in [target_arch(board)]
        for model in models
    }
    with (
        _terminable(),
        Sandbox(session.layout.sandboxes) as sandbox,
        _opened(session, engine, sandbox) as place,
    ):
        folder = sandbox.folder
        folder.chmod(0o755)
        recipe = make_recipe(compiled, known, session.runner.store, folder / "compiled")
        write_lists(recipe)
        bench = Bench(
            place,
            recipe,
            session.pipeline.cross_image,
            columns,
            "" if request.library == "whole" else linked,
        )
        rows = list(compiled_rows(session, bench, request, known))
        if request.model_steps:
            chosen = [step for name, step in steps.items() if name.split()[0] in _MODEL_VERBS]
            recipe = make_recipe(chosen, known, session.runner.store, folder / "model")
            write_lists(recipe)
            names = frozenset(step.name for step in chosen)
            model_bench = Bench(
                place, recipe, session.pipeline.train_image, {MODEL_STEPS: names}, ""
            )
            model_bench.builds = bench.builds
            rows += _model_rows(session, model_bench, variations, known)
            bench.builds = model_bench.builds
            bench.differences += model_bench.differences
    return Reproduction(
        engine="host" if engine.name == "host" else "docker",
        columns=(*columns, *([MODEL_STEPS] if request.model_steps else [])),
        library=request.library,
        rows=tuple(rows),
        differences=tuple(bench.differences),
        builds=bench.builds,
        seconds=time.monotonic() - started,
    )


def _linked(session: Session, known: Mapping[OutputOf, Digest]) -> str:
    """Return the files of the library that any of the firmwares takes."""
    names: set[str] = set()
    for output, digest in known.items():
        if output.path == PurePosixPath("sources.txt"):
            names.update(session.runner.store.get(digest).decode().split())
    return " ".join(sorted(names))


@contextmanager
def _opened(session: Session, engine: EngineChoice, sandbox: Sandbox) -> Iterator[Place]:
    if engine.name == "host":
        from toolchain.host_tools import HostTools

        yield HostPlace(session.layout, HostTools(session.layout, session.pins))
        return
    from toolchain.actions.docker_executor import LABEL_CACHE, LABEL_SANDBOX
    from toolchain.engine import open_engine
    from toolchain.images.build import ensure_image

    clock = shifted_clock(session)
    with open_engine(session.layout, session.reporter) as opened:
        for image in (session.pipeline.cross_image, session.pipeline.train_image):
            ensure_image(
                opened, image, layout=session.layout, pins=session.pins, reporter=session.reporter
            )
        labels = {LABEL_CACHE: str(session.layout.cache), LABEL_SANDBOX: sandbox.identity}
        yield ContainerPlace(opened, clock, labels)


def shifted_clock(session: Session) -> bytes:
    """Return the library that shifts the clock, compiled in the host image."""
    step = Step(
        name="shifted clock",
        image=session.pipeline.host_image,
        arguments=(
            *("x86_64-linux-gnu-gcc", "-O1", "-shared", "-fPIC"),
            *("-o", f"/out/{_CLOCK}", "clock.c", "-ldl"),
        ),
        inputs={PurePosixPath("clock.c"): Path(elf_difference.__file__).with_name("clock.c")},
        outputs=(_CLOCK,),
    )
    result = session.runner.run([step])[step.name]
    return session.runner.store.get(result.outputs[_CLOCK])


@contextmanager
def _terminable() -> Iterator[None]:
    """End as at Ctrl-C when the process is told to end, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def compiled_rows(
    session: Session,
    bench: Bench,
    request: ReproRequest,
    known: Mapping[OutputOf, Digest],
) -> Iterator[Row]:
    """Build plainly, with every variation, and with all at once; yield a row for each.

    Args:
        session: has the outputs that ``build`` made, in its store.
        bench: gets the differences.
        request: names the variations.
        known: the outputs that ``build`` made.
    """
    ends = dataclasses.replace(bench, linked=bench.linked if request.library == "linked" else "")
    yield _again(session, ends, known)
    bench.plain, bench.builds = ends.plain, ends.builds
    packs = packed(request.variations, request.at_once)
    for pack in packs:
        yield from _rows(session, bench, pack)
    together = [each for each in request.variations if each.name != _NOT_TOGETHER]
    if len(packs) > 1 and together:
        ends.builds = bench.builds
        yield dataclasses.replace(
            _built(session, ends, together, TOGETHER)[0],
            variation=TOGETHER,
            described=_all_of(together),
            fact=("", ""),
            in_effect=True,
        )
        bench.builds = ends.builds


def _rows(session: Session, bench: Bench, pack: Sequence[Variation]) -> list[Row]:
    """Build with all of ``pack`` at once; one by one where that differs."""
    before = len(bench.differences)
    rows = _built(session, bench, pack, " + ".join(each.name for each in pack))
    if len(bench.differences) == before or len(pack) == 1:
        return rows
    shared = bench.differences[before:]
    del bench.differences[before:]
    single = [row for each in pack for row in _built(session, bench, [each], each.name)]
    if len(bench.differences) == before:
        bench.differences += shared
        return rows
    return single


def _model_rows(
    session: Session,
    bench: Bench,
    variations: Sequence[Variation],
    known: Mapping[OutputOf, Digest],
) -> list[Row]:
    """Build the model's steps again, and once with everything varied."""
    return [_again(session, bench, known), *_rows(session, bench, variations)]


def _all_of(variations: Sequence[Variation]) -> str:
    return f"{len(variations)} at once: {', '.join(each.name for each in variations)}"


def _again(session: Session, bench: Bench, known: Mapping[OutputOf, Digest]) -> Row:
    """Build plainly and compare with what ``build`` made."""
    started = time.monotonic()
    with session.reporter.activity("building again, nothing varied"):
        made = bench.place.run(bench.recipe, Conditions(), bench.image, bench.linked)
    official = {key: session.runner.store.get(known[OutputOf(*key)]) for key in made.outputs}
    equal = _compare(bench, AGAIN, official, made.outputs)
    bench.plain = made
    bench.builds += 1
    seconds = time.monotonic() - started
    session.reporter.step(f"{AGAIN}: {seconds:.1f} s")
    described = "from clean, compared with what build made"
    return Row(AGAIN, described, ("", ""), True, equal, len(made.outputs), seconds, bench.builds)


def _built(session: Session, bench: Bench, variations: Sequence[Variation], name: str) -> list[Row]:
    """Build once with all of ``variations``; return a row for each."""
    assert bench.plain is not None
    started = time.monotonic()
    conditions = varied(Conditions(), variations)
    with session.reporter.activity(f"building with another {name}"):
        made = bench.place.run(bench.recipe, conditions, bench.image, bench.linked)
    equal = _compare(bench, name, bench.plain.outputs, made.outputs)
    bench.builds += 1
    seconds = time.monotonic() - started
    session.reporter.step(f"{name}: {seconds:.1f} s")
    rows = []
    for variation in variations:
        facts = (bench.plain.facts.get(variation.name, ""), made.facts[variation.name])
        in_effect = facts[0] != facts[1]
        if not in_effect:
            session.reporter.warning(
                f"{variation.name} could not be varied here: it stayed '{facts[0]}'"
            )
        rows.append(
            Row(
                variation.name,
                variation.described,
                facts,
                in_effect,
                equal,
                len(made.outputs),
                seconds,
                bench.builds,
            )
        )
    return rows


Outputs = Mapping[tuple[str, PurePosixPath], bytes]


def _compare(bench: Bench, variation: str, plain: Outputs, other: Outputs) -> dict[str, bool]:
    """Return which columns are equal; differences are added to the bench."""
    different: set[str] = set()
    for (step, path), data in other.items():
        expected = plain[step, path]
        if expected == data or (
            bench.linked and path.suffix == ".a" and _has_members(expected, data)
        ):
            continue
        different.add(step)
        bench.differences.append(
            Difference(
                variation,
                step,
                path,
                elf_difference.differences(expected, data),
                elf_difference.diffoscope(expected, data, path.name),
            )
        )
    return {column: not (steps & different) for column, steps in bench.columns.items()}


def _has_members(whole: bytes, part: bytes) -> bool:
    """Return whether every member of ``part`` is one of ``whole``, byte for byte."""
    before, after = members(whole), members(part)
    return bool(after) and all(before.get(name) == data for name, data in after.items())


def reproduction_tables(found: Reproduction) -> list[tuple[list[str], list[list[str]]]]:
    """Return heads and lines of the matrix: of what was compiled, and of the model's steps."""
    compiled = [column for column in found.columns if column != MODEL_STEPS]
    tables = [_table(found.rows, compiled)]
    if MODEL_STEPS in found.columns:
        tables.append(_table(found.rows, [MODEL_STEPS]))
    return tables


def _table(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    heads = ["variation", *columns, "files", "build", "plain", "varied"]
    lines = []
    for row in rows:
        if not row.equal.keys() & set(columns):
            continue
        same = "equal" if row.in_effect else "not varied"
        cells = [same if row.equal[column] else "DIFFERENT" for column in columns]
        facts = [fact if len(fact) <= 28 else f"{fact[:12]}...{fact[-13:]}" for fact in row.fact]
        build = f"{row.build}: {row.seconds:.0f} s"
        lines.append([row.variation, *cells, str(row.files), build, *facts])
    return heads, lines


def difference_lines(found: Reproduction) -> list[str]:
    """Return what differs, with section and symbol, for people."""
    lines = []
    for difference in found.differences:
        lines.append(f"{difference.variation}: {difference.step}: {difference.path}")
        lines += [f"    {place}" for place in difference.places]
        lines += [f"    | {line}" for line in difference.report.splitlines()]
    return lines
