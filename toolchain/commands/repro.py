"""Builds everything from clean under varied circumstances and compares the bytes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import FrameType

from toolchain.actions import OutputOf, Step
from toolchain.actions.sandbox import Sandbox
from toolchain.boards import Board
from toolchain.digest import Digest
from toolchain.errors import UsageError
from toolchain.firmware.generated import target_arch
from toolchain.models import BuildType, Model
from toolchain.pipeline import firmware_name
from toolchain.repro import elf_difference
from toolchain.repro.bench import Bench
from toolchain.repro.matrix import MODEL_STEPS, LibraryExtent, Reproduction
from toolchain.repro.places import ContainerPlace, HostPlace, Place
from toolchain.repro.recipe import Recipe, make_recipe, write_lists
from toolchain.repro.variations import Variation
from toolchain.session import EngineChoice, Session

AT_ONCE = 3
"""How many variations share a build, if not told otherwise."""

_COMPILED = frozenset({"library", "interpreter", "firmware", "sources"})
_MODEL_VERBS = frozenset({"convert", "embed", "reference"})
_CLOCK = PurePosixPath("clock.so")


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
            step = session.pipeline.firmwares.sources(board, model, build_type)
            steps.setdefault(step.name, step)
    results = session.runner.run(list(steps.values()))
    known = {
        OutputOf(name, path): digest
        for name, result in results.items()
        for path, digest in result.outputs.items()
    }
    with (
        _terminable(),
        Sandbox(session.layout.sandboxes) as sandbox,
        _opened(session, engine, sandbox) as place,
    ):
        sandbox.folder.chmod(0o755)

        def recipe_of(verbs: frozenset[str], name: str) -> Recipe:
            chosen = [step for step in steps.values() if _verb(step) in verbs]
            recipe = make_recipe(chosen, known, session.runner.store, sandbox.folder / name)
            write_lists(recipe)
            return recipe

        compiled = recipe_of(_COMPILED, "compiled")
        columns = _columns(request, compiled)
        bench = Bench(
            place,
            compiled,
            session.pipeline.cross_image,
            columns,
            session.runner.store,
            session.reporter,
        )
        rows = list(
            bench.compiled_rows(
                known,
                request.variations,
                at_once=request.at_once,
                linked=_linked(session, known),
                library=request.library,
            )
        )
        builds, differences = bench.builds, bench.differences
        if request.model_steps:
            recipe = recipe_of(_MODEL_VERBS, "model")
            bench = Bench(
                place,
                recipe,
                session.pipeline.train_image,
                {MODEL_STEPS: frozenset(step.name for step in recipe.steps)},
                session.runner.store,
                session.reporter,
                builds,
            )
            rows += bench.model_rows(known, request.variations)
            builds, differences = bench.builds, [*differences, *bench.differences]
    return Reproduction(
        engine="host" if engine.name == "host" else "docker",
        columns=(*columns, *([MODEL_STEPS] if request.model_steps else [])),
        library=request.library,
        rows=tuple(rows),
        differences=tuple(differences),
        builds=builds,
        seconds=time.monotonic() - started,
    )


def _verb(step: Step) -> str:
    return step.name.split()[0]


def _columns(request: ReproRequest, recipe: Recipe) -> dict[str, frozenset[str]]:
    """Return the names of the steps that make each firmware, by its board and model."""
    columns = {}
    for board in request.boards:
        architecture = target_arch(board)
        for model in request.models:
            shared = (["library", architecture], ["interpreter", architecture])
            own = ["sources", architecture, model.name]
            columns[f"{board.name} {model.name}"] = frozenset(
                {
                    firmware_name(model.application, board, model, request.build_type),
                    *(
                        step.name
                        for step in recipe.steps
                        if step.name.split()[:2] in shared or step.name.split()[:3] == own
                    ),
                }
            )
    return columns


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
        from toolchain.host_tools.tools import HostTools

        yield HostPlace(session.layout, HostTools(session.layout, session.pins))
        return
    from toolchain.actions.docker_executor import LABEL_CACHE, LABEL_SANDBOX
    from toolchain.engine import open_engine
    from toolchain.images.ensure import ensure_image

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
