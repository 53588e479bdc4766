"""``python -m benchmarks [--times N] [--json]`` prints the table; exit code 1: over a budget.

Run it with the Python of ``.venv`` on a machine that does nothing else; the images must be there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checkout import BareMake, Checkout
from benchmarks.measure import Budget, Measurement, Side, measure
from toolchain.console import PlainReporter
from toolchain.engine import open_engine
from toolchain.images import project_pins
from toolchain.images.ensure import ensure_images
from toolchain.layout import project_layout
from toolchain.render.basics import table

BOARD = "sparkfun_edge"
BOARD_SOURCE = f"boards/{BOARD}/board.cc"
BUILD = ("build", "--quiet", "--target")


def comparisons(checkout: Checkout, make: BareMake, times: int) -> Iterator[Measurement]:
    """Time everything that has a budget."""

    def build(target: str = BOARD) -> None:
        checkout.invoke(*BUILD, target)

    def everything_changed() -> None:
        # The library, the interpreter and the firmware are made by this file; the model is not.
        checkout.change("tflm/Makefile")

    bare = Side("bare make, from nothing", lambda: make.run(BOARD), make.forget_outputs)
    yield measure(
        "first build of a board, images and model there",
        Side("build", build, everything_changed),
        bare,
        budget=Budget(ratio=1.15),
        times=times,
    )
    yield measure(
        "a board's source file changed",
        Side("build", build, lambda: checkout.change(BOARD_SOURCE)),
        Side("bare make", lambda: make.run(BOARD), lambda: make.change(BOARD_SOURCE)),
        budget=Budget(seconds=3.0),
        times=times,
    )
    yield measure(
        "nothing changed",
        Side("build", build),
        Side("bare make", lambda: make.run(BOARD)),
        budget=Budget(seconds=0.5),
        times=3 * times,
    )
    yield measure(
        "outputs removed, steps known",
        Side("build", build, checkout.forget_outputs),
        bare,
        budget=Budget(seconds=3.0),
        times=times,
    )
    yield measure(
        "three boards",
        Side("build --target all", lambda: build("all"), everything_changed),
        Side("build of one", build, everything_changed),
        budget=Budget(ratio=2.1),
        times=times,
    )
    yield measure(
        "./invoke --list",
        Side("list", lambda: checkout.invoke("--list")),
        Side("./invoke --version", lambda: checkout.invoke("--version")),
        budget=Budget(ratio=2.0),
        times=3 * times,
    )
    yield measure(
        "simulate 1,000 inferences, with the check that nothing changed",
        Side("simulate", lambda: checkout.invoke("simulate", "--quiet", "--target", BOARD)),
        Side("build with nothing changed", build),
        budget=Budget(seconds=2.0),
        times=times,
    )
    yield measure(
        "train both networks, convert, plot, report",
        Side("train", lambda: checkout.invoke("train", "--quiet", "--seed", str(next(SEEDS)))),
        None,
        budget=Budget(seconds=60.0),
        times=1,
    )


SEEDS = iter(range(1000, 2000))


def report(measured: list[Measurement]) -> str:
    """Return the table."""
    rows = [
        [
            each.what,
            f"{each.seconds:.2f}",
            f"{min(each.ours):.2f}-{max(each.ours):.2f}",
            each.peer_name or "-",
            "-" if each.ratio is None else f"{each.seconds / each.ratio:.2f}",
            "-" if each.ratio is None else f"{each.ratio:.2f}",
            _budget(each.budget),
            "yes" if each.within_budget else "NO",
        ]
        for each in measured
    ]
    headings = ["what", "s", "from-to", "peer", "its s", "ratio", "budget", "within"]
    return table(headings, rows, frozenset({1, 2, 4, 5}))


def _budget(budget: Budget) -> str:
    parts = [] if budget.ratio is None else [f"ratio {budget.ratio:g}"]
    parts += [] if budget.seconds is None else [f"{budget.seconds:g} s"]
    return ", ".join(parts)


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how often each is timed")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    layout, reporter = project_layout(), PlainReporter()
    pins = project_pins(layout)
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        open_engine(layout, reporter) as engine,
    ):
        cross, _ = ensure_images(
            engine, ("cross", "train"), layout=layout, pins=pins, reporter=reporter
        )
        checkout = Checkout.copy(layout.project, Path(folder), engine.address.url)
        checkout.invoke(*BUILD, "all")
        workspace = Path(folder) / "workspace"
        shutil.copytree(checkout.layout.build / BOARD / "sine_int8" / "workspace", workspace)
        shutil.rmtree(workspace / "lib")
        make = BareMake(engine.client, cross, workspace, Path(folder) / "made")
        measured = []
        for each in comparisons(checkout, make, given.times):
            measured.append(each)
            reporter.note(f"{each.what}: {each.seconds:.2f} s")
    if given.json:
        print(json.dumps([dataclasses.asdict(each) for each in measured], indent=2))
    else:
        print(report(measured))
    return 0 if all(each.within_budget for each in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
