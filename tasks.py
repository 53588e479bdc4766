"""Invoke tasks: parse options, call the library, print what it returns."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from toolchain.commands.failure import DEBUG_VARIABLE, failure_document, system_failure
from toolchain.commands.option_groups import (
    LONG_ONLY,
    BuildOptions,
    FirmwareOptions,
    ModelOptions,
    PlaceOptions,
    ReleaseOptions,
    ResultOptions,
    flattened,
)
from toolchain.commands.options import (
    DEFAULT_BUILD_TYPE,
    DEFAULT_MODEL,
    chosen_model,
    use_bundle,
    whole_number,
    write_page,
)
from toolchain.console import PlainReporter, make_reporter
from toolchain.errors import CancelledError, ToolchainError
from toolchain.program import READER_GONE


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Turn expected failures into their message and exit code."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except ToolchainError as error:
            raise _exit(error, bool(options.get("json"))) from error
        except KeyboardInterrupt:
            raise _exit(CancelledError("stopped"), bool(options.get("json"))) from None
        except OSError as error:
            failure = system_failure(error)
            if failure is None:
                raise
            raise _exit(failure, bool(options.get("json"))) from error

    return run


class _TaskOfGroups(Task[Callable[..., None]]):
    """A task some of whose options have a long name only."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options as Invoke makes them, without the letters that are not wanted."""
        made = super().get_arguments(ignore_unknown_help)
        for argument in made:
            if argument.attr_name in LONG_ONLY:
                argument.names = tuple(name for name in argument.names if len(name) > 1)
        return made


def _task(
    *,
    help: Mapping[str, str],
    positional: Sequence[str] | None = None,
    iterable: Sequence[str] | None = None,
) -> Callable[[Callable[..., None]], Task[Callable[..., None]]]:
    """Make a task of a function that may have groups of options; ``help`` is of its own ones."""

    def make(function: Callable[..., None]) -> Task[Callable[..., None]]:
        body, texts = flattened(function)
        made: Task[Callable[..., None]] = task(
            klass=_TaskOfGroups,
            positional=positional,
            iterable=iterable,
            help={**texts, **help},
        )(_command(body))
        return made

    return make


def _exit(error: ToolchainError, as_json: bool) -> Exit:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    if as_json:
        _show(failure_document(error))
    return Exit(f"error: {error}", code=error.exit_code)


def _end_with(check: Callable[[], None]) -> None:
    """End with what a check of the result finds; the result itself is told already.

    With ``--json`` that was the one document, so that the failure is told as text.
    """
    try:
        check()
    except ToolchainError as error:
        raise Exit(f"error: {error}", code=error.exit_code) from error


def _reporter(quiet: bool) -> PlainReporter:
    return make_reporter(quiet=quiet)


def _show(text: str) -> None:
    """Write a result to standard output, whatever that can take."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        # What the terminal has no character for, in a folder's name perhaps, is shown as an escape.
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. Python would flush, and fail, once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=READER_GONE) from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ToolchainError(
            f"the result cannot be written to standard output: {os.strerror(error.errno or 0)}",
            next_step="look at where it is redirected to",
        ) from error


def _show_json(kind: str, **fields: object) -> None:
    document = {"schema": f"tinyml-toolchain/{kind}/1", **fields}
    _show(json.dumps(document, indent=2, default=str))


def _dicts(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(value) for value in values]


_TARGET_HELP = "board, or 'all' for every one (./invoke targets lists them)"
_SIMULATOR_HELP = "unicorn, this project's own, or renode, where that can be had"

_MODEL = ModelOptions()
_BUILD = BuildOptions()
_FIRMWARE = FirmwareOptions()
_ANY_FIRMWARE = FirmwareOptions(model="")
_PLACE = PlaceOptions()
_RELEASE = ReleaseOptions()
_RESULT = ResultOptions()


@_task(
    help={
        "target": _TARGET_HELP,
        "jobs": "steps run side by side; 0 for as many as there are processors",
        "bundle": "file made by ./invoke bundle, from which everything pinned is taken",
        "explain": "say of each step why it runs: what changed since it last did",
    }
)
def build(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = _FIRMWARE,
    jobs: str = "0",
    bundle: str = "",
    place: PlaceOptions = _PLACE,
    explain: bool = False,
    result: ResultOptions = _RESULT,
) -> None:
    """Make a flashable firmware: train, convert, compile, check."""
    from toolchain.commands.build import build as run
    from toolchain.commands.build import find_targets
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout
    from toolchain.render import arena_line, artifact_table, next_commands, size_bars

    use_bundle(bundle)
    side_by_side = whole_number("--jobs", jobs, at_least=0)
    boards = find_targets(project_layout(), target)
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    chosen_place = place.chosen()
    with open_session(
        _reporter(result.silent), jobs=side_by_side or None, engine=chosen_place, explain=explain
    ) as session:
        firmwares = run(session, boards, chosen, kind, arena_bytes)
    if result.json:
        _show_json("build", firmwares=[each.as_json() for each in firmwares])
        return
    for each in firmwares:
        _show(f"\n{each.board.title}, {each.model.name}, {each.build_type}\n")
        _show(artifact_table(each))
        _show("")
        _show(size_bars(each.size))
        if each.arena:
            _show(arena_line(each.arena))
    if not result.quiet:
        _show("")
        _show(next_commands(target, chosen, kind))


@_task(
    help={
        "target": _TARGET_HELP,
        "inferences": "how many to run; 1000, or each case of your own model once, if not given",
        "lines": "how many console lines to show; all are in simulation.json",
        "html": "write a page on which the run can be replayed to this file; for one target",
        "watch": "show the run on this terminal as it went, at a speed for eyes",
        "simulator": _SIMULATOR_HELP,
    }
)
def simulate(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = _FIRMWARE,
    inferences: str = "",
    lines: str = "12",
    html: str = "",
    watch: bool = False,
    simulator: str = "unicorn",
    place: PlaceOptions = _PLACE,
    result: ResultOptions = _RESULT,
) -> None:
    """Run the very file that would be flashed in the simulator; show console and LEDs."""
    from simulator.replay import replay_page
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.build import find_targets
    from toolchain.commands.renode import (
        chosen_simulator,
        engine_and_simulator,
        renode_summary,
        simulate_in_renode,
    )
    from toolchain.commands.session import open_session
    from toolchain.commands.simulate import run_title, simulate_all
    from toolchain.commands.watch import require_terminal
    from toolchain.commands.watch import watch as show_run
    from toolchain.errors import UsageError
    from toolchain.layout import project_layout
    from toolchain.render import shown_path, simulation_summary

    number = whole_number("--inferences", inferences, at_least=1) if inferences else None
    shown = whole_number("--lines", lines, at_least=0)
    boards = find_targets(project_layout(), target)
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    engine, simulator = engine_and_simulator(place.engine, simulator)
    chosen_place = dataclasses.replace(place, engine=engine).chosen()
    renode = chosen_simulator(simulator, project_layout())
    if (html or watch) and (len(boards) > 1 or renode is not None or (watch and result.json)):
        raise UsageError(
            "--html and --watch show one board, simulated by this project, and --watch no JSON",
            next_step="name the board with --target, and leave the other options out",
        )
    if watch:
        require_terminal(sys.stdout)
    with open_session(_reporter(result.silent), engine=chosen_place) as session:
        firmwares = build_firmwares(session, boards, chosen, kind, arena_bytes)
        if renode is not None:
            others = simulate_in_renode(renode, firmwares, number)
            if result.json:
                _show_json("renode-simulations", simulations=[run.as_json() for run in others])
            else:
                _show("\n\n".join(renode_summary(run, shown) for run in others))
            return
        runs = simulate_all(firmwares, number)
    if html:
        page = Path(html).expanduser().absolute()
        write_page(page, replay_page(boards[0], run_title(runs[0]), runs[0].result))
    if watch:
        show_run(runs[0], run_title(runs[0]))
    if result.json:
        _show_json("simulations", simulations=[run.as_json() for run in runs])
        return
    _show("\n\n".join(simulation_summary(run, shown) for run in runs))
    if html:
        _show(f"replay   {shown_path(page)}")


@_task(
    help={
        "target": _TARGET_HELP,
        "compare": "another build: its folder, or a commit of this checkout, which is built too",
        "lines": "how many symbols to list; all are in the page and in JSON",
        "html": "write one page for a browser to this file",
        "markdown": "print a table in Markdown, for a job's summary",
    }
)
def size(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = _FIRMWARE,
    compare: str = "",
    lines: str = "15",
    html: str = "",
    markdown: bool = False,
    place: PlaceOptions = _PLACE,
    result: ResultOptions = _RESULT,
) -> None:
    """Tell what the bytes are for, down to the symbol, and what changed since another build."""
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.build import find_targets
    from toolchain.commands.session import open_session
    from toolchain.commands.size import firmware_sizes
    from toolchain.layout import project_layout
    from toolchain.render import shown_path
    from toolchain.sizes.page import size_page
    from toolchain.sizes.text import size_markdown, size_text

    shown = whole_number("--lines", lines, at_least=0)
    boards = find_targets(project_layout(), target)
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    chosen_place = place.chosen()
    with open_session(_reporter(result.silent or markdown), engine=chosen_place) as session:
        firmwares = build_firmwares(session, boards, chosen, kind, arena_bytes)
        sizes = firmware_sizes(session, firmwares, compare)
    if html:
        page = Path(html).expanduser().absolute()
        write_page(page, size_page(sizes))
    if result.json:
        _show_json("sizes", sizes=[each.as_json() for each in sizes])
    elif markdown:
        _show(size_markdown(sizes))
    else:
        _show("\n\n\n".join(size_text(each, shown) for each in sizes))
        if html:
            _show(f"\npage  {shown_path(page)}")


@_task(
    help={
        "target": _TARGET_HELP,
        "model": "as for build, or both of the project when not given",
        "simulator": "unicorn; or renode, where the same must come out once more",
    }
)
def verify(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = _ANY_FIRMWARE,
    simulator: str = "unicorn",
    place: PlaceOptions = _PLACE,
    result: ResultOptions = _RESULT,
) -> None:
    """Prove in simulation that the firmware computes what the model computes."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.renode import chosen_simulator, engine_and_simulator
    from toolchain.commands.session import open_session
    from toolchain.commands.verify import verify as run
    from toolchain.layout import project_layout
    from toolchain.pipeline import MODELS
    from toolchain.render import verification_table

    boards = find_targets(project_layout(), target)
    chosen = dataclasses.replace(firmware, model=firmware.model or DEFAULT_MODEL).chosen()
    models = [chosen] if firmware.model else list(MODELS.values())
    kind, arena_bytes = firmware.kind(), firmware.arena_bytes()
    engine, simulator = engine_and_simulator(place.engine, simulator)
    chosen_place = dataclasses.replace(place, engine=engine).chosen()
    renode = chosen_simulator(simulator, project_layout())
    with open_session(_reporter(result.silent), engine=chosen_place) as session:
        verifications = run(session, boards, models, kind, arena_bytes, renode=renode)
    if result.json:
        _show_json("verifications", verifications=[each.as_json() for each in verifications])
        return
    _show(verification_table(verifications))


@_task(
    positional=["file"],
    help={
        "file": "matrix of models, boards and build types, as TOML or CSV",
        "again": "work on all rows, also on those that an earlier run verified",
        "csv": "also write the table to this file",
        "markdown": "print the table in Markdown, for a job's summary",
        "jobs": "steps run side by side; 0 for as many as there are processors, or workers",
    },
)
def matrix(
    _context: Context,
    file: str,
    again: bool = False,
    csv: str = "",
    markdown: bool = False,
    jobs: str = "0",
    place: PlaceOptions = _PLACE,
    result: ResultOptions = _RESULT,
) -> None:
    """Build and verify many models on many boards, into one table (./invoke matrix FILE)."""
    from toolchain.commands.matrix import find_matrix, require_all_verified, run_matrix
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout
    from toolchain.matrix.table import matrix_csv, matrix_markdown, matrix_text

    wanted = find_matrix(project_layout(), file)
    side_by_side = whole_number("--jobs", jobs, at_least=0)
    silent = result.silent or markdown
    with open_session(
        _reporter(silent), jobs=side_by_side or None, engine=place.chosen()
    ) as session:
        report = run_matrix(session, wanted, again=again)
    if csv:
        write_page(Path(csv).expanduser().absolute(), matrix_csv(report))
    if result.json:
        _show_json("matrix", **dataclasses.asdict(report), verified=not report.failed)
    else:
        _show(matrix_markdown(report) if markdown else matrix_text(report))
    _end_with(lambda: require_all_verified(report))


@_task(
    help={
        "target": "the board that is connected (see ./invoke targets)",
        "port": "serial port of the board; it is looked for when not given",
        "tool": "way of flashing, where the board has several (see ./invoke targets)",
        "image": "write this file instead of building one",
        "dry-run": "say what would be done, command lines included, and send nothing",
    }
)
def flash(
    _context: Context,
    target: str,
    firmware: FirmwareOptions = _FIRMWARE,
    port: str = "",
    tool: str = "",
    image: str = "",
    dry_run: bool = False,
    result: ResultOptions = _RESULT,
) -> None:
    """Build, check, and write the firmware to a board that is connected."""
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.build import find_targets
    from toolchain.commands.flash import FlashRequest, plan, prepare
    from toolchain.commands.flash import flash as run
    from toolchain.commands.session import open_session
    from toolchain.errors import UsageError
    from toolchain.flashing.host import this_host
    from toolchain.layout import project_layout

    layout, reporter = project_layout(), _reporter(result.silent)
    boards = find_targets(layout, target)
    if len(boards) != 1:
        raise UsageError("one board is flashed at a time", next_step="name it with --target")
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    if not image:
        with open_session(reporter) as session:
            build_firmwares(session, boards, chosen, kind, arena_bytes)
    request = FlashRequest(
        board=boards[0],
        folder=layout.build / boards[0].name / chosen.name,
        application=chosen.application,
        image=Path(image) if image else None,
        port=port,
        tool=tool,
    )
    job = prepare(request, this_host(), dry_run=dry_run)
    if result.json:
        told = {"target": boards[0].name, "model": chosen.name, "plan": plan(job)}
        done = "" if dry_run else run(job, reporter, quiet=True)
        _show_json("flash", **told, written=not dry_run, result=str(done))
        return
    if dry_run:
        _show("\n".join(plan(job)))
        return
    done = run(job, reporter, quiet=result.quiet)
    _show(
        f"{done}\nconsole: {boards[0].console.baud} baud, 8N1; it begins with {chosen.application}:"
    )


@_task(
    help={
        "epochs": "passes over the training data; the model's own number when not given",
        "model-1-epochs": "those of the smaller network that the report compares it with",
        "seed": "of data, weights and shuffling; the model's own when not given",
    }
)
def train(
    _context: Context,
    epochs: str = "",
    model_1_epochs: str = "",
    seed: str = "",
    place: PlaceOptions = _PLACE,
    result: ResultOptions = _RESULT,
) -> None:
    """Train and convert the sine networks; write plots and a report to build/model/sine."""
    from toolchain.commands.session import open_session
    from toolchain.commands.train import LARGEST_SEED
    from toolchain.commands.train import train as run
    from toolchain.pipeline import TrainingOptions
    from toolchain.render import training_summary

    default = TrainingOptions()
    options = TrainingOptions(
        epochs=whole_number("--epochs", epochs, at_least=1) if epochs else None,
        seed=whole_number("--seed", seed, at_least=0, at_most=LARGEST_SEED) if seed else None,
        small_epochs=whole_number("--model-1-epochs", model_1_epochs, at_least=1)
        if model_1_epochs
        else default.small_epochs,
    )
    reporter = _reporter(result.silent)
    chosen_place = place.chosen()
    with open_session(reporter, training=options, engine=chosen_place) as session:
        trained = run(session)
    if result.json:
        _show_json("train", **dataclasses.asdict(trained))
        return
    _show(training_summary(trained))
    if (options.epochs, options.seed) != (default.epochs, default.seed):
        reporter.note(
            "the next build trains with the model's own options again; "
            "to keep these, change DEFAULT_EPOCHS or DEFAULT_SEED in model/train.py"
        )


@_task(
    help={
        "port": "of 127.0.0.1; one that is free when not given",
        "pair": "make the notebook from its .py file instead of opening it",
    }
)
def notebook(_context: Context, port: str = "", pair: bool = False) -> None:
    """Open the notebook that goes through the training step by step, in Jupyter, until Ctrl-C."""
    from toolchain.commands.notebook import pair_notebook, serve_notebook
    from toolchain.render import shown_path

    if pair:
        _show(f"made {shown_path(pair_notebook(_reporter(False)))}")
        return

    def announce(address: str) -> None:
        _show(f"open {address}\nyour copy is in build/notebook; Ctrl-C ends Jupyter")

    number = whole_number("--port", port, at_least=1, at_most=65535) if port else 0
    serve_notebook(_reporter(False), announce, port=number)


@_task(
    help={
        "target": _TARGET_HELP,
        "json": "print the result as JSON",
    }
)
def plan(
    _context: Context,
    target: str = "all",
    build: BuildOptions = _BUILD,
    place: PlaceOptions = _PLACE,
    json: bool = False,
) -> None:
    """Say which steps a build would run, and why."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.plan import plan as run
    from toolchain.commands.plan import plan_summary
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout

    boards = find_targets(project_layout(), target)
    chosen, kind = build.chosen(), build.kind()
    chosen_place = place.chosen()
    with open_session(_reporter(json), engine=chosen_place) as session:
        steps = run(session, boards, chosen, kind)
    if json:
        _show_json("plan", steps=_dicts(steps))
        return
    _show(plan_summary(steps))


@_task(
    help={
        "target": _TARGET_HELP,
        "model": "sine_int8 or sine_float; both when not given",
        "build-type": "release, release_with_logs, default or debug",
        "vary": "names of variations with commas between them; all when not given",
        "engine": "docker, or host where the compiler is the pinned one",
        "at-once": "how many variations share a build; on a difference each gets its own",
        "library": "what each build compiles of it: 'linked', 'whole', or at the 'ends' the whole",
        "compiled-only": "leave out converting, embedding and the references",
    }
)
def repro(
    _context: Context,
    target: str = "all",
    model: str = "",
    build_type: str = DEFAULT_BUILD_TYPE,
    vary: str = "",
    engine: str = "docker",
    at_once: str = "3",
    library: str = "ends",
    compiled_only: bool = False,
    result: ResultOptions = _RESULT,
) -> None:
    """Build from clean under varied circumstances and compare every byte."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.repro import (
        ReproRequest,
        difference_lines,
        find_extent,
        reproduction_tables,
    )
    from toolchain.commands.repro import repro as run
    from toolchain.commands.session import chosen_engine, open_session
    from toolchain.layout import project_layout
    from toolchain.pipeline import MODELS, find_build_type
    from toolchain.render import table
    from toolchain.repro.variations import find_variations

    boards, variations = find_targets(project_layout(), target), find_variations(vary)
    models = [chosen_model(model)] if model else list(MODELS.values())
    request = ReproRequest(
        boards,
        models,
        find_build_type(build_type),
        variations,
        at_once=whole_number("--at-once", at_once, at_least=1),
        library=find_extent(library),
        model_steps=not compiled_only,
    )
    place = chosen_engine(engine)
    with open_session(_reporter(result.silent), engine=place) as session:
        found = run(session, place, request)
    if result.json:
        _show_json("repro", **dataclasses.asdict(found), equal=found.equal)
    else:
        for heads, lines in reproduction_tables(found):
            _show(table(heads, lines, frozenset({len(heads) - 4, len(heads) - 3})))
            _show("")
        for line in difference_lines(found):
            _show(line)
        _show(f"{found.engine}: {found.builds} builds in {found.seconds:.0f} s")
    _end_with(found.require_equal)


@_task(
    help={
        "target": _TARGET_HELP,
        "version": "of the release; git's description of the checkout when not given, or 0",
    }
)
def package(
    _context: Context,
    target: str = "all",
    model: ModelOptions = _MODEL,
    version: str = "",
    place: ReleaseOptions = _RELEASE,
    result: ResultOptions = _RESULT,
) -> None:
    """Build, simulate, verify, and put a release of it into dist/: an archive for each board."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.package import chosen_version
    from toolchain.commands.package import package as run
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout
    from toolchain.render import shown_path, table

    layout, chosen_place = project_layout(), place.chosen()
    boards, chosen = find_targets(layout, target), model.chosen()
    named = chosen_version(layout.project, version)
    with open_session(_reporter(result.silent), engine=chosen_place) as session:
        done = run(session, boards, chosen, named)
    if result.json:
        _show_json("package", **dataclasses.asdict(done))
        return
    lines = [
        (shown_path(done.folder / name), f"{digest.size_bytes:,}", digest.sha256)
        for name, digest in done.files.items()
    ]
    _show(table(("file", "bytes", "sha256"), lines, frozenset({1})))


@_task(
    positional=["place"],
    help={
        "place": "folder of a release, or one archive in it",
        "json": "print the result as JSON",
    },
)
def verify_release(_context: Context, place: str, json: bool = False) -> None:
    """Check that a release is what it says, without network (./invoke verify-release dist)."""
    from toolchain.commands.verify_release import verify_release as run

    found = run(Path(place).expanduser().absolute())
    manifest = found.manifest
    if json:
        _show_json(
            "verify-release",
            version=manifest.version,
            model=manifest.model.name,
            archives=found.archives,
            files=sorted(found.files),
        )
        return
    _show(
        f"{manifest.project} {manifest.version}, {manifest.model.name}: everything agrees in "
        f"{', '.join(sorted(found.files))}"
    )


@_task(
    positional=["place"],
    help={
        "place": "folder of a release, or one archive in it",
        "model": "the .keras file that it was made from; a .tflite file is in the release",
        "representative": "the data that it was quantised from",
        "inputs": "the inputs that it was verified on",
    },
)
def reproduce(
    _context: Context,
    place: str,
    model: str = "",
    representative: str = "",
    inputs: str = "",
    runs_in: ReleaseOptions = _RELEASE,
    result: ResultOptions = _RESULT,
) -> None:
    """Make a release again from its recorded pins and model, and compare every byte."""
    from toolchain.commands.reproduce import GivenPaths
    from toolchain.commands.reproduce import reproduce as run
    from toolchain.commands.session import open_session
    from toolchain.commands.verify_release import verify_release as check

    chosen_place = runs_in.chosen()
    release = check(Path(place).expanduser().absolute())
    given = GivenPaths(model, representative, inputs)
    with open_session(_reporter(result.silent), engine=chosen_place) as session:
        done = run(session, release, given)
    if result.json:
        _show_json("reproduce", **dataclasses.asdict(done))
        return
    _show(f"{done.version} was made again: the same bytes in {', '.join(sorted(done.files))}")


@_task(help={"json": "print the result as JSON"})
def targets(_context: Context, json: bool = False) -> None:
    """List the boards with their facts."""
    from toolchain.boards import board_names, find_board
    from toolchain.layout import project_layout
    from toolchain.render import target_tables

    folder = project_layout().boards
    boards = [find_board(folder, name) for name in board_names(folder)]
    if json:
        _show_json("targets", targets=[board.model_dump() for board in boards])
        return
    _show(target_tables(boards))


@_task(help={"check": "change nothing; fail when one is not up to date"})
def schemas(_context: Context, check: bool = False) -> None:
    """Write what is made from the code: JSON schemas, reference, files to deploy a service."""
    from toolchain.extra_packages import require_packages
    from toolchain.layout import project_layout
    from toolchain.pins import REMOTE_LOCK
    from toolchain.render import shown_path
    from toolchain.schemas import FOLDER, require_fresh, write_schemas

    project = project_layout().project
    require_packages(REMOTE_LOCK, "ruamel.yaml", _reporter(False))
    if check:
        require_fresh(project)
        return
    changed = write_schemas(project)
    _show("\n".join(f"wrote {shown_path(path)}" for path in changed) or f"{FOLDER} is up to date")


@_task(
    help={
        "push": "registry to push them to by their content names, such as registry.example:5000/me",
        "pull": "registry to ask before an image is made; TOOLCHAIN_REGISTRY sets it for all tasks",
        "renode": "build the image for --simulator renode instead; needs the site of its archive",
        "devcontainer": "make the image of .devcontainer instead, with the tools of all steps",
    }
)
def images(
    _context: Context,
    push: str = "",
    pull: str = "",
    renode: bool = False,
    devcontainer: bool = False,
    result: ResultOptions = _RESULT,
) -> None:
    """Make the container images that the steps need; list, push or pull them."""
    from toolchain.commands.images import ensure_all_images, push_all_images
    from toolchain.errors import UsageError
    from toolchain.render import table

    reporter = _reporter(result.silent)
    if renode or devcontainer:
        from toolchain.commands.images import make_devcontainer_image
        from toolchain.commands.renode import make_renode_image

        name = make_renode_image(reporter) if renode else make_devcontainer_image(reporter)
        if result.json:
            _show_json("image", name=name)
        else:
            _show(name)
        return
    if push and pull:
        raise UsageError("--push and --pull exclude each other", next_step="leave one out")
    if push:
        pushed = push_all_images(reporter, push)
        if result.json:
            _show_json("pushed-images", images=_dicts(pushed))
            return
        rows = [[item.reference, item.manifest] for item in pushed]
        _show(table(["image", "manifest"], rows, frozenset()))
        return
    found = ensure_all_images(reporter, registry=pull)
    if result.json:
        _show_json("images", images=_dicts(found))
        return
    _show(
        table(
            ["image", "MB"],
            [[image.name, f"{image.size_bytes / 1e6:,.0f}"] for image in found],
            frozenset({1}),
        )
    )


@_task(
    help={
        "out": "file to write; build/tinyml-toolchain-bundle.tar when not given",
        "json": "print the result as JSON",
    }
)
def bundle(_context: Context, out: str = "", json: bool = False) -> None:
    """Write everything pinned to one file, for ./invoke build --bundle FILE without network."""
    from toolchain.commands.bundle import make_bundle
    from toolchain.render import shown_path

    made = make_bundle(_reporter(json), Path(out).expanduser().absolute() if out else None)
    if json:
        _show_json("bundle", **dataclasses.asdict(made))
        return
    _show(
        f"{shown_path(made.path)}: {made.files} files, {made.digest.size_bytes / 1e6:,.0f} MB\n"
        f"sha256 {made.digest.sha256}"
    )


@_task(
    help={
        "target": "board whose make workspace is mounted",
        "model": "sine_int8 or sine_float",
        "command": "run by /bin/sh instead of a shell to type in",
    }
)
def shell(
    _context: Context, target: str, model: str = DEFAULT_MODEL, command: str = "/bin/bash"
) -> None:
    """Open a shell in the cross image, without network, with a board's workspace at /project."""
    from toolchain.boards import find_board
    from toolchain.commands.shell import open_shell
    from toolchain.layout import project_layout
    from toolchain.pipeline import find_model

    board = find_board(project_layout().boards, target)
    code = open_shell(_reporter(False), board, find_model(model), command)
    if code:
        raise Exit(code=code)


@_task(
    help={
        "fast": "unit tests only: no Docker, within a minute",
        "select": "passed to pytest as -k",
        "junit": "folder for JUnit reports of the tests, which CI hosts show",
    }
)
def test(_context: Context, fast: bool = False, select: str = "", junit: str = "") -> None:
    """Set up what the tests need and run them; with --fast without Docker."""
    from toolchain.commands.test import run_tests

    reports = Path(junit).expanduser().absolute() if junit else None
    code = run_tests(_reporter(False), fast=fast, select=select, reports=reports)
    if code:
        raise Exit(code=code)


@_task(
    help={
        "bundle": "also write what was found, without what is private, to this zip file",
        "json": "print the result as JSON",
    }
)
def doctor(_context: Context, bundle: str = "", json: bool = False) -> None:
    """Look at what a build needs of this computer, and say what to do about what is missing."""
    from toolchain.doctor.bundle import support_bundle, write_bundle
    from toolchain.doctor.checks import Surroundings, examine
    from toolchain.errors import ProblemsFoundError
    from toolchain.layout import project_layout
    from toolchain.render import findings_text, shown_path

    layout = project_layout()
    findings = examine(Surroundings(layout))
    problems = [each for each in findings if each.state == "problem"]
    if bundle:
        file = Path(bundle).expanduser().absolute()
        write_bundle(file, support_bundle(layout, findings))
    if json:
        _show_json("doctor", healthy=not problems, findings=_dicts(findings))
    else:
        _show(findings_text(findings))
        if bundle:
            _show(f"\nwrote {shown_path(file)}; look into it before you give it away")
    if problems:
        error = ProblemsFoundError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} would hinder a build",
            next_step="do what the list says beside each",
        )
        raise Exit(f"error: {error}", code=error.exit_code)


@_task(help={"out": "folder of the site, which is replaced; build/site when not given"})
def docs(_context: Context, out: str = "") -> None:
    """Build the documentation site from docs/; a link that leads nowhere is an error."""
    from toolchain.commands.docs import build_docs
    from toolchain.render import shown_path

    page = build_docs(_reporter(False), Path(out).expanduser().absolute() if out else None)
    _show(f"open {shown_path(page)}")


@_task(
    iterable=["job"],
    help={
        "job": "test, board, repro, release or renode; may be given again; all but renode if not"
    },
)
def ci(_context: Context, job: list[str]) -> None:
    """Run what the workflows in .github run: tests, each board, varied builds, a release."""
    from toolchain.boards import board_names
    from toolchain.commands.ci import chosen_jobs, run_ci
    from toolchain.layout import project_layout

    layout = project_layout()
    jobs, targets = chosen_jobs(job), board_names(layout.boards)
    code = run_ci(layout.project, jobs, targets, _reporter(False).note)
    if code:
        raise Exit(code=code)


@_task(help={"json": "print the result as JSON"})
def cache(_context: Context, json: bool = False) -> None:
    """Show the cache's parts, sizes and bound; 'cache export' and 'cache import' carry it on."""
    from toolchain.commands.cache import report_cache
    from toolchain.render import cache_table

    found = report_cache()
    if json:
        _show_json("cache", **dataclasses.asdict(found))
        return
    _show(cache_table(found))


@_task(
    help={
        "listen": "address to listen at; another one than this machine's own asks for tokens and "
        "is encrypted",
        "port": "to listen at",
        "workers": "how many actions this machine runs side by side; 0 for none",
        "tokens": "ask for a token on this machine too",
        "encrypt": "encrypt on this machine too",
    }
)
def remote_up(
    _context: Context,
    listen: str = "127.0.0.1",
    port: str = "50051",
    workers: str = "2",
    tokens: bool = False,
    encrypt: bool = False,
    result: ResultOptions = _RESULT,
) -> None:
    """Start a remote execution service on this machine, with workers (./invoke remote up)."""
    from toolchain.commands.remote import chosen_listen, up
    from toolchain.render import remote_text

    number = whole_number("--port", port, at_least=1024, at_most=65535)
    slots = whole_number("--workers", workers, at_least=0, at_most=64)
    where = chosen_listen(listen, number, tokens=tokens, encrypt=encrypt)
    found = up(_reporter(result.silent), where, slots)
    if result.json:
        _show_json("remote-status", **found.as_json())
        return
    _show(remote_text(found))


@_task(help={"json": "print the result as JSON"})
def remote_status(_context: Context, json: bool = False) -> None:
    """Tell how the service of 'remote up' is (./invoke remote status)."""
    from toolchain.commands.remote import status
    from toolchain.render import remote_text

    found = status(_reporter(True))
    if json:
        _show_json("remote-status", **found.as_json())
        return
    _show(remote_text(found))


@_task(help={"lines": "how many of each part"})
def remote_logs(_context: Context, lines: str = "40") -> None:
    """Show what the parts of the service wrote last (./invoke remote logs)."""
    from toolchain.commands.remote import logs

    _show(logs(_reporter(True), whole_number("--lines", lines, at_least=1)))


@_task(help={"delete": "remove its state too: blobs, results, certificates, the tokens' secret"})
def remote_down(_context: Context, delete: bool = False) -> None:
    """End the service; its state stays for the next 'remote up' (./invoke remote down)."""
    from toolchain.commands.remote import down

    ran = down(_reporter(False), delete=delete)
    _show("the service has ended" if ran else "the service did not run")


@_task(
    help={
        "role": "client, worker, or writer: a client that may also store results",
        "holder": "who gets it; stands in the service's log",
        "days": "for how long it is good",
    }
)
def remote_token(
    _context: Context, role: str = "client", holder: str = "someone", days: str = "30"
) -> None:
    """Print a token for the service of 'remote up' (./invoke remote token --role client)."""
    from toolchain.commands.remote import token

    good = whole_number("--days", days, at_least=1, at_most=3650)
    _show(token(_reporter(True), role, holder, good))


@_task(
    help={
        "server": "grpc[s]://HOST:PORT[/INSTANCE] of the service to work for",
        "slots": "how many actions run side by side; 0 for as many as there are processors",
        "name": "of this worker; one that stays the same when not given",
        "token-file": "file with this worker's token",
        "ca-file": "certificates to trust, in PEM",
        "quiet": "tell warnings only",
    }
)
def worker(
    _context: Context,
    server: str = "",
    slots: str = "0",
    name: str = "",
    token_file: str = "",
    ca_file: str = "",
    quiet: bool = False,
) -> None:
    """Run actions for a remote execution service, in the sandbox of local steps, until Ctrl-C."""
    from toolchain.commands.remote import chosen_worker, work

    number = whole_number("--slots", slots, at_least=0, at_most=256) or os.cpu_count() or 1
    chosen = chosen_worker(server, number, name, token_file=token_file, ca_file=ca_file)
    _show(f"{work(_reporter(quiet), chosen)} actions were finished")


@_task(
    positional=["folder"],
    help={
        "folder": "where to; missing, or an export to be added to",
        "target": "board whose builds are wanted, or all; everything in the cache when not given",
        "json": "print the result as JSON",
    },
)
def cache_export(_context: Context, folder: str, target: str = "", json: bool = False) -> None:
    """Write step results to a folder, to be imported elsewhere (./invoke cache export FOLDER)."""
    from toolchain.commands.cache import export_cache
    from toolchain.render import exchange_line

    done = export_cache(_reporter(json), Path(folder).expanduser().absolute(), target)
    if json:
        _show_json("cache-export", **dataclasses.asdict(done))
        return
    _show(f"exported {exchange_line(done)}")


@_task(
    positional=["folder"],
    help={"folder": "an export", "json": "print the result as JSON"},
)
def cache_import(_context: Context, folder: str, json: bool = False) -> None:
    """Take the step results of an export, each one checked (./invoke cache import FOLDER)."""
    from toolchain.commands.cache import import_cache
    from toolchain.render import exchange_line

    done = import_cache(_reporter(json), Path(folder).expanduser().absolute())
    if json:
        _show_json("cache-import", **dataclasses.asdict(done))
        return
    _show(f"imported {exchange_line(done)}")


@_task(
    help={
        "dist": "also remove dist/, the packed release",
        "cache": "also remove downloads, step results, and the private engine with its images",
        "images": "also remove this project's images from the engine, beside those of this "
        "checkout, and what other builds of them left",
        "dry-run": "say what would go, with sizes, and remove nothing",
        "json": "print the result as JSON",
    }
)
def clean(
    _context: Context,
    cache: bool = False,
    images: bool = False,
    dist: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove build/; with --dist the release, with --cache the cache that all checkouts share."""
    from toolchain.commands.clean import clean as run

    done = run(_reporter(json), cache=cache, images=images, dist=dist, dry_run=dry_run)
    if json:
        _show_json("clean", removed=not dry_run, items=_dicts(done))


@_task(
    help={
        "check": "compare with what is offered today: what is outdated, what has vanished",
        "update": "take the mirror's current packages and make the locks anew",
        "json": "print the result of --check as JSON",
    }
)
def pins(_context: Context, check: bool = False, update: bool = False, json: bool = False) -> None:
    """Check that the locks agree with pins.toml; compare with what is offered, or take that."""
    from toolchain.commands import pins as command
    from toolchain.errors import UsageError
    from toolchain.pins_check import vanished_error
    from toolchain.render import pins_table

    if check and update:
        raise UsageError("--check and --update exclude each other", next_step="leave one out")
    if check:
        states = command.check_offers(_reporter(json))
        if json:
            _show_json("pins", pins=_dicts(states))
        else:
            _show(pins_table(states))
        error = vanished_error(states)
        if error is not None:
            raise Exit(f"error: {error}", code=error.exit_code)
        return
    if not update:
        command.check(_reporter(False))
        return
    for line in command.update(_reporter(False)):
        _show(line)


@_task(positional=["shell"], help={"shell": "bash, zsh or fish"})
def completion(_context: Context, shell: str) -> None:
    """Print the script by which a shell completes tasks, options, boards and models."""
    from toolchain.completion import described, script
    from toolchain.layout import project_layout

    _show(script(shell, described(project_layout().project)).rstrip())
