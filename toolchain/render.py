"""Turns results into the text that the commands print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.commands.build import BuiltFirmware
from toolchain.firmware.size import SizeReport

if TYPE_CHECKING:
    from toolchain.commands.simulate import SimulatedRun
    from toolchain.commands.train import Trained
    from toolchain.commands.verify import VerifiedFirmware

_BAR_WIDTH = 30
_SHADES = "█▓▒░▚▞▪"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> str:
    """Return a plain table; the columns in ``right`` are flush right.

    Written out instead of drawn by a library because the last line of a build that had nothing to
    do must not wait for one to load.
    """
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(headings), line(["-" * width for width in widths]), *map(line, rows)])


def shown_path(path: Path) -> str:
    """Return ``path`` relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def artifact_table(firmware: BuiltFirmware) -> str:
    """Return the table of artifacts: path, size in bytes, sha256."""
    return table(
        ["artifact", "bytes", "sha256"],
        [
            [shown_path(each.path), f"{each.digest.size_bytes:,}", each.digest.sha256]
            for each in firmware.artifacts
        ],
        frozenset({1}),
    )


def training_summary(trained: Trained) -> str:
    """Return the last figures of each network, the sizes of the conversions, and the report."""
    figures = ("loss", "mae", "val_loss", "val_mae", "test_loss", "test_mae")
    rows = [
        [each.name, f"{each.epochs:,}", *(f"{getattr(each, figure):.4f}" for figure in figures)]
        for each in trained.networks
    ]
    headings = ["network", "epochs", *(figure.replace("_", " ") for figure in figures)]
    sizes = ", ".join(f"{name} {size:,} bytes" for name, size in trained.sizes.items())
    return (
        f"{table(headings, rows, frozenset(range(1, len(headings))))}\n\n{sizes}\n\n"
        f"report  {shown_path(trained.report)}\n"
        f"plots   {shown_path(trained.folder / 'plots')}"
    )


def size_bars(size: SizeReport) -> str:
    """Return how full flash and RAM are, and what fills them, largest part first."""
    flash = [(each.layer, each.flash) for each in size.layers]
    ram = [(each.layer, each.ram) for each in size.layers]
    stack_note = f", stack {size.stack:,} beside it"
    return "\n".join(
        [
            *_bar("flash", size.flash_used, size.flash_available, flash, ""),
            *_bar("RAM", size.ram_used, size.ram_available, ram, stack_note),
        ]
    )


def _bar(
    title: str, used: int, available: int, parts: Sequence[tuple[str, int]], note: str
) -> list[str]:
    ranked = sorted((part for part in parts if part[1]), key=lambda part: -part[1])
    bar = ""
    shares = []
    for shade, (name, size) in zip(_SHADES, ranked, strict=False):
        bar += shade * round(_BAR_WIDTH * size / used) if used else ""
        shares.append(f"{shade} {name} {size:,}")
    bar = bar[:_BAR_WIDTH].ljust(_BAR_WIDTH, _SHADES[0] if used else " ")
    return [
        f"{title:<5} {used:>7,} of {available:,} bytes ({100 * used / available:.1f} %){note}",
        f"      {bar}  {'  '.join(shares)}",
    ]


def simulation_summary(run: SimulatedRun, lines: int) -> str:
    """Return what a run showed: the console's start, the LEDs, and counts of instructions.

    Args:
        run: the finished run.
        lines: console lines to show, at least 0.
    """
    from statistics import median

    from simulator.terminal import draw_leds

    board, result = run.firmware.board, run.result
    console = result.console.splitlines()
    shown = console[: max(lines, 0)]
    counts = [each.instructions for each in result.inferences]
    what = "Invoke()" if result.counted == "invoke" else "the loop"
    parts = [f"{board.title}, {run.firmware.model.name}, simulated", ""]
    if shown:
        parts.append(f"console, {len(shown)} of {len(console):,} lines:")
        parts += [f"  {line}" for line in shown]
        parts.append("")
    drawing = draw_leds(result.inferences, ascii_only=not _can_draw())
    if drawing:
        parts += ["brightness of the LEDs over one period:", drawing, ""]
    parts.append(
        f"{len(counts):,} inferences, {result.instructions:,} instructions from reset; "
        f"an inference ({what}) takes {min(counts):,} to {max(counts):,}, median "
        f"{median(counts):,.0f}"
    )
    parts.append(f"report   {shown_path(run.report)}")
    if run.picture is not None:
        parts.append(f"picture  {shown_path(run.picture)}")
    return "\n".join(parts)


def _can_draw() -> bool:
    encoding = (sys.stdout.encoding or "ascii").lower()
    return encoding.startswith("utf")


def verification_table(verified: Sequence[VerifiedFirmware]) -> str:
    """Return the figures of each firmware that was verified, and where they are written down."""
    rows = []
    for each in verified:
        comparison, image = each.comparison, each.image
        unit = "step" if comparison.kind == "int8" else "ulp"
        rows.append(
            [
                each.firmware.board.name,
                comparison.model,
                f"{comparison.equal}/{comparison.cases}",
                f"{comparison.largest_difference} {unit} ({comparison.allowed_difference} allowed)",
                f"{comparison.largest_sine_error:.4f}",
                f"{image.equal}/{image.known}",
                f"{comparison.litert_equal}/{comparison.cases}, "
                f"at most {comparison.litert_largest_difference} {unit}",
            ]
        )
    headings = ["target", "model", "equal", "largest difference", "|y - sin x|"]
    text = table([*headings, "image", "LiteRT (for information)"], rows, frozenset({4}))
    judges = ", ".join(sorted({each.comparison.judge for each in verified}))
    reports = "\n".join(f"report  {shown_path(each.report)}" for each in verified)
    return (
        f"{text}\n\nequal: outputs of hello_world_test, bit for bit, to {judges}\n"
        "image: outputs of the flashable hello_world that agree with it, over its own inputs\n\n"
        f"{reports}"
    )
