"""Tasks about the checkout and this computer: boards, pins, health, tests, documents."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from toolchain.cli.printing import as_dicts, show, show_json, write_file
from toolchain.cli.task import task
from toolchain.console import make_reporter
from toolchain.models import DEFAULT_MODEL
from toolchain.paths import output_path, user_path


@task(help={"json": "print the result as JSON"})
def targets(_context: Context, json: bool = False) -> None:
    """List the boards with their facts."""
    from toolchain.boards import board_names, find_board
    from toolchain.layout import project_layout
    from toolchain.render.boards import target_tables

    folder = project_layout().boards
    boards = [find_board(folder, name) for name in board_names(folder)]
    if json:
        show_json("targets", targets=[board.model_dump() for board in boards])
        return
    show(target_tables(boards))


@task(
    help={
        "bundle": "also write what was found, without what is private, to this zip file",
        "json": "print the result as JSON",
    }
)
def doctor(_context: Context, bundle: str = "", json: bool = False) -> None:
    """Look at what a build needs of this computer, and say what to do about what is missing."""
    from toolchain.doctor.bundle import support_bundle
    from toolchain.doctor.checks import Surroundings, examine
    from toolchain.errors import ProblemsFoundError
    from toolchain.layout import project_layout
    from toolchain.render.basics import shown_path
    from toolchain.render.findings import findings_text

    layout = project_layout()
    file = output_path("--bundle", bundle) if bundle else None
    findings = examine(Surroundings(layout))
    problems = [each for each in findings if each.state == "problem"]
    if file:
        write_file(file, support_bundle(layout, findings))
    if json:
        show_json("doctor", healthy=not problems, findings=as_dicts(findings))
    else:
        show(findings_text(findings))
        if file:
            show(f"\nwrote {shown_path(file)}; look into it before you give it away")
    if problems:
        error = ProblemsFoundError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} would hinder a build",
            next_step="do what the list says beside each",
        )
        raise Exit(f"error: {error}", code=error.exit_code)


@task(
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
    from toolchain.pinning.check import vanished_error
    from toolchain.render.pins import pins_table

    if check and update:
        raise UsageError("--check and --update exclude each other", next_step="leave one out")
    if json and not check:
        raise UsageError(
            "--json is for --check", why="only that has a result", next_step="add --check"
        )
    if check:
        states = command.check_offers(make_reporter(quiet=json))
        if json:
            show_json("pins", pins=as_dicts(states))
        else:
            show(pins_table(states))
        error = vanished_error(states)
        if error is not None:
            raise Exit(f"error: {error}", code=error.exit_code)
        return
    if not update:
        command.check(make_reporter(quiet=False))
        return
    for line in command.update(make_reporter(quiet=False)):
        show(line)


@task(
    help={
        "fast": "unit tests only: no Docker, within a minute",
        "select": "passed to pytest as -k",
        "junit": "folder for JUnit reports of the tests, which CI hosts show",
    }
)
def test(_context: Context, fast: bool = False, select: str = "", junit: str = "") -> None:
    """Set up what the tests need and run them; with --fast without Docker."""
    from toolchain.commands.test import run_tests

    reports = user_path(junit) if junit else None
    code = run_tests(make_reporter(quiet=False), fast=fast, select=select, reports=reports)
    if code:
        raise Exit(code=code)


@task(
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
    code = run_ci(layout.project, jobs, targets, make_reporter(quiet=False).note)
    if code:
        raise Exit(code=code)


@task(help={"out": "folder of the site, which is replaced; build/site when not given"})
def docs(_context: Context, out: str = "") -> None:
    """Build the documentation site from docs/; a link that leads nowhere is an error."""
    from toolchain.commands.docs import build_docs
    from toolchain.render.basics import shown_path

    page = build_docs(make_reporter(quiet=False), user_path(out) if out else None)
    show(f"open {shown_path(page)}")


@task(help={"check": "change nothing; fail when one is not up to date"})
def schemas(_context: Context, check: bool = False) -> None:
    """Write what is made from the code: JSON schemas, reference, files to deploy a service."""
    from toolchain.extra_packages import require_packages
    from toolchain.layout import project_layout
    from toolchain.pins import REMOTE_LOCK
    from toolchain.reference.generated import FOLDER, require_fresh, write_schemas
    from toolchain.render.basics import shown_path

    project = project_layout().project
    require_packages(REMOTE_LOCK, "ruamel.yaml", make_reporter(quiet=False))
    if check:
        require_fresh(project)
        return
    changed = write_schemas(project)
    show("\n".join(f"wrote {shown_path(path)}" for path in changed) or f"{FOLDER} is up to date")


@task(
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
    from toolchain.models import find_model

    board = find_board(project_layout().boards, target)
    code = open_shell(make_reporter(quiet=False), board, find_model(model), command)
    if code:
        raise Exit(code=code)


@task(positional=["shell"], help={"shell": "bash, zsh or fish"})
def completion(_context: Context, shell: str) -> None:
    """Print the script by which a shell completes tasks, options, boards and models."""
    from toolchain.cli.completion import described, script

    show(script(shell, described()).rstrip())
