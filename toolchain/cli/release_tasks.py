"""Tasks that make releases, check them, and make builds again."""

from __future__ import annotations

from invoke.context import Context

from toolchain.cli.option_groups import (
    MODEL,
    RELEASE,
    RESULT,
    TARGET_HELP,
    ModelOptions,
    ReleaseOptions,
    ResultOptions,
)
from toolchain.cli.option_values import whole_number
from toolchain.cli.printing import as_fields, show, show_json
from toolchain.cli.task import end_with, task
from toolchain.console import make_reporter
from toolchain.model_choice import chosen_model
from toolchain.models import DEFAULT_BUILD_TYPE
from toolchain.paths import user_path


@task(
    help={
        "target": TARGET_HELP,
        "version": "of the release; git's description of the checkout when not given, or 0",
    }
)
def package(
    _context: Context,
    target: str = "all",
    model: ModelOptions = MODEL,
    version: str = "",
    place: ReleaseOptions = RELEASE,
    result: ResultOptions = RESULT,
) -> None:
    """Build, simulate, verify, and put a release of it into dist/: an archive for each board."""
    from toolchain.boards import find_targets
    from toolchain.commands.package import package as run
    from toolchain.layout import project_layout
    from toolchain.release.version import chosen_version
    from toolchain.render.basics import shown_path, table
    from toolchain.session import open_session

    layout, chosen_place = project_layout(), place.chosen()
    boards, chosen = find_targets(layout.boards, target), model.chosen()
    named = chosen_version(layout.project, version)
    with open_session(make_reporter(quiet=result.silent), engine=chosen_place) as session:
        done = run(session, boards, chosen, named)
    if result.json:
        show_json("package", **as_fields(done))
        return
    lines = [
        (shown_path(done.folder / name), f"{digest.size_bytes:,}", digest.sha256)
        for name, digest in done.files.items()
    ]
    show(table(("file", "bytes", "sha256"), lines, frozenset({1})))


@task(
    positional=["place"],
    help={
        "place": "folder of a release, or one archive in it",
        "json": "print the result as JSON",
    },
)
def verify_release(_context: Context, place: str, json: bool = False) -> None:
    """Check that a release is what it says, without network (./invoke verify-release dist)."""
    from toolchain.commands.verify_release import verify_release as run

    found = run(user_path(place))
    manifest = found.manifest
    if json:
        show_json(
            "verify-release",
            version=manifest.version,
            model=manifest.model.name,
            archives=found.archives,
            files=sorted(found.files),
        )
        return
    show(
        f"{manifest.project} {manifest.version}, {manifest.model.name}: everything agrees in "
        f"{', '.join(sorted(found.files))}"
    )


@task(
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
    runs_in: ReleaseOptions = RELEASE,
    result: ResultOptions = RESULT,
) -> None:
    """Make a release again from its recorded pins and model, and compare every byte."""
    from toolchain.commands.reproduce import GivenPaths
    from toolchain.commands.reproduce import reproduce as run
    from toolchain.commands.verify_release import verify_release as check
    from toolchain.session import open_session

    chosen_place = runs_in.chosen()
    release = check(user_path(place))
    given = GivenPaths(model, representative, inputs)
    with open_session(make_reporter(quiet=result.silent), engine=chosen_place) as session:
        done = run(session, release, given)
    if result.json:
        show_json("reproduce", **as_fields(done))
        return
    show(f"{done.version} was made again: the same bytes in {', '.join(sorted(done.files))}")


@task(
    help={
        "target": TARGET_HELP,
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
    result: ResultOptions = RESULT,
) -> None:
    """Build from clean under varied circumstances and compare every byte."""
    from toolchain.boards import find_targets
    from toolchain.commands.repro import ReproRequest
    from toolchain.commands.repro import repro as run
    from toolchain.layout import project_layout
    from toolchain.models import MODELS, find_build_type
    from toolchain.render.repro import reproduction_text
    from toolchain.repro.matrix import find_extent
    from toolchain.repro.variations import find_variations
    from toolchain.session import chosen_engine, open_session

    boards, variations = find_targets(project_layout().boards, target), find_variations(vary)
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
    with open_session(make_reporter(quiet=result.silent), engine=place) as session:
        found = run(session, place, request)
    if result.json:
        show_json("repro", **as_fields(found), equal=found.equal)
    else:
        show(reproduction_text(found))
    end_with(found.require_equal)
