"""Invoke tasks: parse options, call the library, print what it returns."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from toolchain.console import PlainReporter, make_reporter
from toolchain.errors import CancelledError, ToolchainError

DEBUG_VARIABLE = "TOOLCHAIN_DEBUG"


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Turn expected failures into their message and exit code."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except ToolchainError as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            raise Exit(f"error: {error}", code=error.exit_code) from error
        except KeyboardInterrupt:
            raise Exit("error: cancelled", code=CancelledError.exit_code) from None

    return run


def _reporter(quiet: bool) -> PlainReporter:
    return make_reporter(quiet=quiet)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


_TARGET_HELP = "board, or 'all' (see ./invoke targets)"
_MODEL_HELP = "sine_int8 or sine_float"
_BUILD_TYPE_HELP = "release, release_with_logs, default or debug"


@task(
    help={
        "target": _TARGET_HELP,
        "model": _MODEL_HELP,
        "build-type": _BUILD_TYPE_HELP,
        "jobs": "steps run side by side; 0 for the number of processors",
        "json": "print the result as JSON",
        "quiet": "print the result only",
    }
)
@_command
def build(
    _context: Context,
    target: str = "all",
    model: str = "sine_int8",
    build_type: str = "release",
    jobs: int = 0,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Make a flashable firmware: train, convert, compile, check."""
    from toolchain.commands.build import build as run
    from toolchain.commands.build import find_targets
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout
    from toolchain.pipeline import find_build_type, find_model
    from toolchain.render import artifact_table, size_bars

    boards = find_targets(project_layout(), target)
    chosen, kind = find_model(model), find_build_type(build_type)
    with open_session(_reporter(quiet or json), jobs=jobs or None) as session:
        firmwares = run(session, boards, chosen, kind)
    if json:
        _print_json(
            {
                "schema": "tinyml-toolchain/build/1",
                "firmwares": [
                    {
                        "target": each.board.name,
                        "model": each.model.name,
                        "build_type": each.build_type,
                        "artifacts": [
                            {
                                "path": str(artifact.path),
                                "sha256": artifact.digest.sha256,
                                "size_bytes": artifact.digest.size_bytes,
                            }
                            for artifact in each.artifacts
                        ],
                        "size": dataclasses.asdict(each.size),
                    }
                    for each in firmwares
                ],
            }
        )
        return
    for firmware in firmwares:
        print(f"\n{firmware.board.title}, {firmware.model.name}, {firmware.build_type}\n")
        print(artifact_table(firmware))
        print()
        print(size_bars(firmware.size))
    if not quiet:
        print(
            f"\nnext: ./invoke simulate --target {target}    run it without a board"
            f"\n      ./invoke verify --target {target}      compare all its outputs with the model"
        )


@task(
    help={
        "target": _TARGET_HELP,
        "model": _MODEL_HELP,
        "inferences": "how many to run",
        "lines": "console lines to show",
        "json": "print the result as JSON",
        "quiet": "print the result only",
    }
)
@_command
def simulate(
    _context: Context,
    target: str = "all",
    model: str = "sine_int8",
    build_type: str = "release",
    inferences: int = 1000,
    lines: int = 12,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Run the very file that would be flashed in the simulator; show console and LEDs."""
    from toolchain.commands.build import build as build_firmwares
    from toolchain.commands.build import find_targets
    from toolchain.commands.session import open_session
    from toolchain.commands.simulate import simulate_all
    from toolchain.layout import project_layout
    from toolchain.pipeline import find_build_type, find_model
    from toolchain.render import simulation_summary

    boards = find_targets(project_layout(), target)
    chosen, kind = find_model(model), find_build_type(build_type)
    with open_session(_reporter(quiet or json)) as session:
        firmwares = build_firmwares(session, boards, chosen, kind)
        runs = simulate_all(firmwares, inferences)
    if json:
        _print_json([run.as_json() for run in runs])
        return
    for run in runs:
        print(simulation_summary(run, lines))


@task(
    help={
        "target": _TARGET_HELP,
        "model": "sine_int8 or sine_float; both when not given",
        "json": "print the result as JSON",
        "quiet": "print the result only",
    }
)
@_command
def verify(
    _context: Context,
    target: str = "all",
    model: str = "",
    build_type: str = "release",
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Prove in simulation that the firmware computes what the model computes."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.session import open_session
    from toolchain.commands.verify import verify as run
    from toolchain.layout import project_layout
    from toolchain.pipeline import MODELS, find_build_type, find_model
    from toolchain.render import verification_table

    boards = find_targets(project_layout(), target)
    models = [find_model(model)] if model else list(MODELS.values())
    kind = find_build_type(build_type)
    with open_session(_reporter(quiet or json)) as session:
        verifications = run(session, boards, models, kind)
    if json:
        _print_json([verification.as_json() for verification in verifications])
        return
    print(verification_table(verifications))


@task(
    help={
        "target": "the board that is connected (see ./invoke targets)",
        "model": _MODEL_HELP,
        "port": "serial port of the board; it is looked for when not given",
        "tool": "way of flashing, where the board has several (see ./invoke targets)",
        "image": "write this file instead of building one",
        "dry-run": "say what would be done, command lines included, and send nothing",
        "quiet": "print the result only",
    }
)
@_command
def flash(
    _context: Context,
    target: str,
    model: str = "sine_int8",
    build_type: str = "release",
    port: str = "",
    tool: str = "",
    image: str = "",
    dry_run: bool = False,
    quiet: bool = False,
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
    from toolchain.pipeline import find_build_type, find_model

    layout, reporter = project_layout(), _reporter(quiet)
    boards = find_targets(layout, target)
    if len(boards) != 1:
        raise UsageError("one board is flashed at a time", next_step="name it with --target")
    chosen, kind = find_model(model), find_build_type(build_type)
    if not image:
        with open_session(reporter) as session:
            build_firmwares(session, boards, chosen, kind)
    request = FlashRequest(
        board=boards[0],
        folder=layout.build / boards[0].name / chosen.name,
        image=Path(image) if image else None,
        port=port,
        tool=tool,
    )
    job = prepare(request, this_host(), dry_run=dry_run)
    if dry_run:
        print("\n".join(plan(job)))
        return
    print(run(job, reporter, quiet=quiet))
    print(f"console: {boards[0].console.baud} baud, 8N1; its first line begins with hello_world:")


@task(help={"epochs": "passes over the training data", "seed": "of data, weights and shuffling"})
@_command
def train(_context: Context, epochs: int = 0, seed: int = -1, quiet: bool = False) -> None:
    """Train and convert the sine model; write build/model/sine."""
    from toolchain.commands.session import open_session
    from toolchain.commands.train import train as run
    from toolchain.pipeline import TrainingOptions
    from toolchain.render import shown_path

    options = TrainingOptions(epochs or None, seed if seed >= 0 else None)
    with open_session(_reporter(quiet), training=options) as session:
        folder = run(session)
    print(f"the model, its conversions and reference outputs are in {shown_path(folder)}")


@task(help={"target": _TARGET_HELP, "json": "print the result as JSON"})
@_command
def plan(
    _context: Context,
    target: str = "all",
    model: str = "sine_int8",
    build_type: str = "release",
    json: bool = False,
) -> None:
    """Say which steps a build would run, and why."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.plan import plan as run
    from toolchain.commands.plan import plan_summary
    from toolchain.commands.session import open_session
    from toolchain.layout import project_layout
    from toolchain.pipeline import find_build_type, find_model

    boards = find_targets(project_layout(), target)
    chosen, kind = find_model(model), find_build_type(build_type)
    with open_session(_reporter(json)) as session:
        steps = run(session, boards, chosen, kind)
    if json:
        _print_json([dataclasses.asdict(step) for step in steps])
        return
    print(plan_summary(steps))


@task(help={"json": "print the result as JSON"})
@_command
def targets(_context: Context, json: bool = False) -> None:
    """List the boards with their facts."""
    from toolchain.boards import board_names, find_board
    from toolchain.layout import project_layout
    from toolchain.render import table

    folder = project_layout().boards
    boards = [find_board(folder, name) for name in board_names(folder)]
    if json:
        _print_json([board.model_dump() for board in boards])
        return
    print(
        table(
            ["target", "board", "core", "flash for you", "RAM", "load address", "console"],
            [
                [
                    board.name,
                    board.title,
                    f"{board.core.cpu} {board.core.clock_hz // 1_000_000} MHz",
                    f"{board.application.max_length // 1024} KiB",
                    f"{board.ram.length // 1024} KiB",
                    f"0x{board.application.load_address:08X}",
                    f"{board.console.peripheral} {board.console.baud} 8N1",
                ]
                for board in boards
            ],
            frozenset({3, 4}),
        )
    )


@task(help={"json": "print the result as JSON"})
@_command
def images(_context: Context, quiet: bool = False, json: bool = False) -> None:
    """Make the container images that the steps need; list them with their sizes."""
    from toolchain.commands.images import ensure_all_images
    from toolchain.render import table

    found = ensure_all_images(_reporter(quiet or json))
    if json:
        _print_json([dataclasses.asdict(image) for image in found])
        return
    print(
        table(
            ["image", "MB"],
            [[image.name, f"{image.size_bytes / 1e6:,.0f}"] for image in found],
            frozenset({1}),
        )
    )


@task(help={"target": "board whose make workspace is mounted", "command": "instead of a shell"})
@_command
def shell(
    _context: Context, target: str, model: str = "sine_int8", command: str = "/bin/bash"
) -> None:
    """Open a shell in the cross image, without network, with a board's workspace at /project."""
    from toolchain.commands.build import find_targets
    from toolchain.commands.shell import open_shell
    from toolchain.layout import project_layout
    from toolchain.pipeline import find_model

    (board,) = find_targets(project_layout(), target)
    code = open_shell(_reporter(False), board, find_model(model), command)
    if code:
        raise Exit(code=code)


@task(
    help={
        "fast": "unit tests and static checks only: no Docker, within a minute",
        "select": "passed to pytest as -k",
    }
)
@_command
def test(_context: Context, fast: bool = False, select: str = "") -> None:
    """Set up what the tests need and run them; with --fast without Docker."""
    from toolchain.commands.test import run_tests

    code = run_tests(_reporter(False), fast=fast, select=select)
    if code:
        raise Exit(code=code)


@task(help={"cache": "also remove the user's cache: downloads, step results, private engine"})
@_command
def clean(_context: Context, cache: bool = False) -> None:
    """Remove build/; with --cache also everything that was fetched and made."""
    from toolchain.commands.clean import clean as run

    run(_reporter(False), cache=cache)


@task(help={"update": "take the mirror's current packages and make the locks anew"})
@_command
def pins(_context: Context, update: bool = False) -> None:
    """Check that the locks agree with pins.toml; with --update make them anew."""
    from toolchain.commands import pins as command

    if not update:
        command.check(_reporter(False))
        return
    for line in command.update(_reporter(False)):
        print(line)
