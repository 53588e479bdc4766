"""Tasks about what is kept: images, the cache, an offline bundle, and what was made."""

from __future__ import annotations

from invoke.context import Context

from toolchain.cli.option_groups import (
    RESULT,
    ResultOptions,
)
from toolchain.cli.printing import as_dicts, as_fields, show, show_json
from toolchain.cli.task import task
from toolchain.console import make_reporter
from toolchain.paths import output_path, user_path


@task(
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
    result: ResultOptions = RESULT,
) -> None:
    """Make the container images that the steps need; list, push or pull them."""
    from toolchain.commands.images import ensure_all_images, push_all_images
    from toolchain.errors import UsageError
    from toolchain.render.basics import table

    reporter = make_reporter(quiet=result.silent)
    chosen = {"push": push, "pull": pull, "renode": renode, "devcontainer": devcontainer}
    given = [f"--{option}" for option, value in chosen.items() if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", next_step="choose one")
    if renode or devcontainer:
        from toolchain.commands.images import make_devcontainer_image
        from toolchain.commands.renode import make_renode_image

        name = make_renode_image(reporter) if renode else make_devcontainer_image(reporter)
        if result.json:
            show_json("image", name=name)
        else:
            show(name)
        return
    if push:
        pushed = push_all_images(reporter, push)
        if result.json:
            show_json("pushed-images", images=as_dicts(pushed))
            return
        rows = [[item.reference, item.manifest] for item in pushed]
        show(table(["image", "manifest"], rows, frozenset()))
        return
    found = ensure_all_images(reporter, registry=pull)
    if result.json:
        show_json("images", images=as_dicts(found))
        return
    show(
        table(
            ["image", "MB"],
            [[image.name, f"{image.size_bytes / 1e6:,.0f}"] for image in found],
            frozenset({1}),
        )
    )


@task(
    help={
        "out": "file to write; build/tinyml-toolchain-bundle.tar when not given",
        "json": "print the result as JSON",
    }
)
def bundle(_context: Context, out: str = "", json: bool = False) -> None:
    """Write everything pinned to one file, for ./invoke build --bundle FILE without network."""
    from toolchain.commands.bundle import make_bundle
    from toolchain.render.basics import shown_path

    made = make_bundle(make_reporter(quiet=json), output_path("--out", out) if out else None)
    if json:
        show_json("bundle", **as_fields(made))
        return
    show(
        f"{shown_path(made.path)}: {made.files} files, {made.digest.size_bytes / 1e6:,.0f} MB\n"
        f"sha256 {made.digest.sha256}"
    )


@task(help={"json": "print the result as JSON"})
def cache(_context: Context, json: bool = False) -> None:
    """Show the cache's parts, sizes and bound; 'cache export' and 'cache import' carry it on."""
    from toolchain.commands.cache import report_cache
    from toolchain.render.cache import cache_table

    found = report_cache()
    if json:
        show_json("cache", **as_fields(found))
        return
    show(cache_table(found))


@task(
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
    from toolchain.render.cache import exchange_line

    done = export_cache(make_reporter(quiet=json), user_path(folder), target)
    if json:
        show_json("cache-export", **as_fields(done))
        return
    show(f"exported {exchange_line(done)}")


@task(
    positional=["folder"],
    help={"folder": "an export", "json": "print the result as JSON"},
)
def cache_import(_context: Context, folder: str, json: bool = False) -> None:
    """Take the step results of an export, each one checked (./invoke cache import FOLDER)."""
    from toolchain.commands.cache import import_cache
    from toolchain.render.cache import exchange_line

    done = import_cache(make_reporter(quiet=json), user_path(folder))
    if json:
        show_json("cache-import", **as_fields(done))
        return
    show(f"imported {exchange_line(done)}")


@task(
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

    done = run(make_reporter(quiet=json), cache=cache, images=images, dist=dist, dry_run=dry_run)
    if json:
        show_json("clean", removed=not dry_run, items=as_dicts(done))
