"""Tasks that make firmwares, look at them, run them, and write them to a board."""

from __future__ import annotations

import dataclasses
import sys

from invoke.context import Context

from toolchain.cli.option_groups import (
    ANY_FIRMWARE,
    BUILD,
    FIRMWARE,
    PLACE,
    RESULT,
    SIMULATOR_HELP,
    TARGET_HELP,
    BuildOptions,
    FirmwareOptions,
    PlaceOptions,
    ResultOptions,
)
from toolchain.cli.option_values import use_bundle, whole_number
from toolchain.cli.printing import as_dicts, as_fields, show, show_json, write_file
from toolchain.cli.task import end_with, task
from toolchain.console import make_reporter
from toolchain.models import DEFAULT_MODEL
from toolchain.paths import output_path, user_path


@task(
    help={
        "target": TARGET_HELP,
        "jobs": "steps run side by side; 0 for as many as there are processors",
        "bundle": "file made by ./invoke bundle, from which everything pinned is taken",
        "explain": "say of each step why it runs: what changed since it last did",
    }
)
def build(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = FIRMWARE,
    jobs: str = "0",
    bundle: str = "",
    place: PlaceOptions = PLACE,
    explain: bool = False,
    result: ResultOptions = RESULT,
) -> None:
    """Make a flashable firmware: train, convert, compile, check."""
    from toolchain.boards import find_targets
    from toolchain.commands.build import build as run
    from toolchain.layout import project_layout
    from toolchain.render.firmware import firmware_text, next_commands
    from toolchain.session import open_session

    use_bundle(bundle)
    side_by_side = whole_number("--jobs", jobs, at_least=0)
    boards = find_targets(project_layout().boards, target)
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    chosen_place = place.chosen()
    with open_session(
        make_reporter(quiet=result.silent),
        jobs=side_by_side or None,
        engine=chosen_place,
        explain=explain,
    ) as session:
        firmwares = run(session, boards, chosen, kind, arena_bytes)
    if result.json:
        show_json("build", firmwares=[each.as_json() for each in firmwares])
        return
    for each in firmwares:
        show(f"\n{firmware_text(each)}")
    if not result.quiet:
        show("")
        show(next_commands(target, chosen, kind))


@task(
    help={
        "target": TARGET_HELP,
        "json": "print the result as JSON",
    }
)
def plan(
    _context: Context,
    target: str = "all",
    build: BuildOptions = BUILD,
    place: PlaceOptions = PLACE,
    json: bool = False,
) -> None:
    """Say which steps a build would run, and why."""
    from toolchain.boards import find_targets
    from toolchain.commands.plan import plan as run
    from toolchain.layout import project_layout
    from toolchain.render.plan import plan_summary
    from toolchain.session import open_session

    boards = find_targets(project_layout().boards, target)
    chosen, kind = build.chosen(), build.kind()
    chosen_place = place.chosen()
    with open_session(make_reporter(quiet=json), engine=chosen_place) as session:
        steps = run(session, boards, chosen, kind)
    if json:
        show_json("plan", steps=as_dicts(steps))
        return
    show(plan_summary(steps))


@task(
    help={
        "target": TARGET_HELP,
        "inferences": "how many to run; 1000, or each case of your own model once, if not given",
        "lines": "how many console lines to show; all are in simulation.json",
        "html": "write a page on which the run can be replayed to this file; for one target",
        "watch": "show the run on this terminal as it went, at a speed for eyes",
        "simulator": SIMULATOR_HELP,
    }
)
def simulate(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = FIRMWARE,
    inferences: str = "",
    lines: str = "12",
    html: str = "",
    watch: bool = False,
    simulator: str = "unicorn",
    place: PlaceOptions = PLACE,
    result: ResultOptions = RESULT,
) -> None:
    """Run the very file that would be flashed in the simulator; show console and LEDs."""
    from simulator.replay import replay_page
    from toolchain.boards import find_targets
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.renode import chosen_simulator, engine_and_simulator, simulate_in_renode
    from toolchain.commands.simulate import run_title, simulate_all
    from toolchain.errors import UsageError
    from toolchain.layout import project_layout
    from toolchain.render.basics import shown_path
    from toolchain.render.simulation import renode_summary, simulation_summary
    from toolchain.render.watch import require_terminal
    from toolchain.render.watch import watch as show_run
    from toolchain.session import open_session

    number = whole_number("--inferences", inferences, at_least=1) if inferences else None
    shown = whole_number("--lines", lines, at_least=0)
    boards = find_targets(project_layout().boards, target)
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
    page = output_path("--html", html) if html else None
    with open_session(make_reporter(quiet=result.silent), engine=chosen_place) as session:
        firmwares = build_firmwares(session, boards, chosen, kind, arena_bytes)
        if renode is not None:
            others = simulate_in_renode(renode, firmwares, number)
            if result.json:
                show_json("renode-simulations", simulations=[run.as_json() for run in others])
            else:
                show("\n\n".join(renode_summary(run, shown) for run in others))
            return
        runs = simulate_all(firmwares, number)
    if page:
        told = replay_page(boards[0], run_title(runs[0]), runs[0].result)
        write_file(page, told.encode())
    if watch:
        show_run(runs[0], run_title(runs[0]))
    if result.json:
        show_json("simulations", simulations=[run.as_json() for run in runs])
        return
    show("\n\n".join(simulation_summary(run, shown) for run in runs))
    if page:
        show(f"replay   {shown_path(page)}")


@task(
    help={
        "target": TARGET_HELP,
        "model": "as for build, or both of the project when not given",
        "simulator": "unicorn; or renode, where the same must come out once more",
    }
)
def verify(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = ANY_FIRMWARE,
    simulator: str = "unicorn",
    place: PlaceOptions = PLACE,
    result: ResultOptions = RESULT,
) -> None:
    """Prove in simulation that the firmware computes what the model computes."""
    from toolchain.boards import find_targets
    from toolchain.commands.renode import chosen_simulator, engine_and_simulator
    from toolchain.commands.verify import verify as run
    from toolchain.layout import project_layout
    from toolchain.models import MODELS
    from toolchain.render.verification import verification_table
    from toolchain.session import open_session

    boards = find_targets(project_layout().boards, target)
    chosen = dataclasses.replace(firmware, model=firmware.model or DEFAULT_MODEL).chosen()
    models = [chosen] if firmware.model else list(MODELS.values())
    kind, arena_bytes = firmware.kind(), firmware.arena_bytes()
    engine, simulator = engine_and_simulator(place.engine, simulator)
    chosen_place = dataclasses.replace(place, engine=engine).chosen()
    renode = chosen_simulator(simulator, project_layout())
    with open_session(make_reporter(quiet=result.silent), engine=chosen_place) as session:
        verifications = run(session, boards, models, kind, arena_bytes, renode=renode)
    if result.json:
        show_json("verifications", verifications=[each.as_json() for each in verifications])
        return
    show(verification_table(verifications))


@task(
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
    place: PlaceOptions = PLACE,
    result: ResultOptions = RESULT,
) -> None:
    """Build and verify many models on many boards, into one table (./invoke matrix FILE)."""
    from toolchain.commands.matrix import find_matrix, require_all_verified, run_matrix
    from toolchain.layout import project_layout
    from toolchain.render.matrix import matrix_csv, matrix_markdown, matrix_text
    from toolchain.session import open_session

    wanted = find_matrix(project_layout(), file)
    side_by_side = whole_number("--jobs", jobs, at_least=0)
    silent = result.silent or markdown
    rows = output_path("--csv", csv) if csv else None
    with open_session(
        make_reporter(quiet=silent), jobs=side_by_side or None, engine=place.chosen()
    ) as session:
        report = run_matrix(session, wanted, again=again)
    if rows:
        write_file(rows, matrix_csv(report).encode())
    if result.json:
        show_json("matrix", **as_fields(report), verified=not report.failed)
    else:
        show(matrix_markdown(report) if markdown else matrix_text(report))
    end_with(lambda: require_all_verified(report))


@task(
    help={
        "target": TARGET_HELP,
        "compare": "another build: its folder, or a commit of this checkout, which is built too",
        "lines": "how many symbols to list; all are in the page and in JSON",
        "html": "write one page for a browser to this file",
        "markdown": "print a table in Markdown, for a job's summary",
    }
)
def size(
    _context: Context,
    target: str = "all",
    firmware: FirmwareOptions = FIRMWARE,
    compare: str = "",
    lines: str = "15",
    html: str = "",
    markdown: bool = False,
    place: PlaceOptions = PLACE,
    result: ResultOptions = RESULT,
) -> None:
    """Tell what the bytes are for, down to the symbol, and what changed since another build."""
    from toolchain.boards import find_targets
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.size import firmware_sizes
    from toolchain.layout import project_layout
    from toolchain.render.basics import shown_path
    from toolchain.render.sizes import size_markdown, size_text
    from toolchain.render.sizes_page import size_page
    from toolchain.session import open_session

    shown = whole_number("--lines", lines, at_least=0)
    boards = find_targets(project_layout().boards, target)
    chosen, kind, arena_bytes = firmware.chosen(), firmware.kind(), firmware.arena_bytes()
    chosen_place = place.chosen()
    page = output_path("--html", html) if html else None
    with open_session(
        make_reporter(quiet=result.silent or markdown), engine=chosen_place
    ) as session:
        firmwares = build_firmwares(session, boards, chosen, kind, arena_bytes)
        sizes = firmware_sizes(session, firmwares, compare, arena_bytes)
    if page:
        write_file(page, size_page(sizes).encode())
    if result.json:
        show_json("sizes", sizes=[each.as_json() for each in sizes])
    elif markdown:
        show(size_markdown(sizes))
    else:
        show("\n\n\n".join(size_text(each, shown) for each in sizes))
        if page:
            show(f"\npage  {shown_path(page)}")


@task(
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
    firmware: FirmwareOptions = FIRMWARE,
    port: str = "",
    tool: str = "",
    image: str = "",
    dry_run: bool = False,
    result: ResultOptions = RESULT,
) -> None:
    """Build, check, and write the firmware to a board that is connected."""
    from toolchain.boards import find_targets
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.flash import FlashRequest, plan, prepare
    from toolchain.commands.flash import flash as run
    from toolchain.errors import UsageError
    from toolchain.flashing.host import this_host
    from toolchain.layout import project_layout
    from toolchain.session import open_session

    layout, reporter = project_layout(), make_reporter(quiet=result.silent)
    boards = find_targets(layout.boards, target)
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
        image=user_path(image) if image else None,
        port=port,
        tool=tool,
    )
    job = prepare(request, this_host(), dry_run=dry_run)
    if result.json:
        told = {"target": boards[0].name, "model": chosen.name, "plan": plan(job)}
        done = "" if dry_run else run(job, reporter, quiet=True)
        show_json("flash", **told, written=not dry_run, result=str(done))
        return
    if dry_run:
        show("\n".join(plan(job)))
        return
    done = run(job, reporter, quiet=result.quiet)
    show(
        f"{done}\nconsole: {boards[0].console.baud} baud, 8N1; it begins with {chosen.application}:"
    )
