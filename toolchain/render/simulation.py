"""Simulated runs: console, LEDs, and counts of instructions."""

from __future__ import annotations

from statistics import median

from simulator.period import first_period
from simulator.picture import can_be_drawn
from simulator.terminal import draw_leds
from toolchain.commands.renode import RenodeRun
from toolchain.commands.simulate import SimulatedRun
from toolchain.render.basics import can_draw, counted, shown_path


def simulation_summary(run: SimulatedRun, lines: int) -> str:
    """Return what a run showed: the console's start, the LEDs, and counts of instructions.

    Args:
        run: the finished run.
        lines: console lines to show, at least 0.
    """
    board, result = run.firmware.board, run.result
    console = result.console.splitlines()
    shown = console[: max(lines, 0)]
    counts = [each.instructions for each in result.inferences]
    counts += [each.instructions for each in result.cases]
    parts = [f"{board.title}, {run.firmware.model.name}, simulated", ""]
    if shown:
        parts.append(f"console, {len(shown):,} of {counted(len(console), 'line')}:")
        parts += [f"  {line}" for line in shown]
        parts.append("")
    if can_be_drawn(result.inferences):
        whole = len(first_period(result.inferences)) < len(result.inferences)
        parts += [
            f"brightness of the LEDs over {'one period' if whole else 'this run'}:",
            draw_leds(result.inferences, ascii_only=not can_draw()),
            "",
        ]
    what = "Invoke()" if result.counted == "invoke" else "from line to line"
    spread = (
        f"{counts[0]:,}"
        if len(set(counts)) == 1
        else f"{min(counts):,} to {max(counts):,}, median {median(counts):,.0f}"
    )
    parts.append(
        f"{counted(len(counts), 'inference')}, {result.instructions:,} instructions from reset; "
        f"instructions of an inference ({what}): {spread}"
    )
    parts.append(f"report   {shown_path(run.report)}")
    if run.picture is not None:
        parts.append(f"picture  {shown_path(run.picture)}")
    if run.display is not None:
        parts.append(f"display  {shown_path(run.display)}")
    return "\n".join(parts)


def renode_summary(run: RenodeRun, lines: int) -> str:
    """Return what a run in Renode showed: the console's start and the LEDs.

    Args:
        run: the finished run.
        lines: console lines to show, at least 0.
    """
    console = run.result.text.splitlines()
    shown = console[: max(lines, 0)]
    done = len(run.result.results) + len(run.result.cases)
    parts = [f"{run.firmware.board.title}, {run.firmware.model.name}, in Renode", ""]
    if shown:
        parts.append(f"console, {len(shown):,} of {len(console):,} lines:")
        parts += [f"  {line}" for line in shown]
        parts.append("")
    parts += [
        f"LED {name}: {100 * low:.0f} to {100 * high:.0f} %"
        for name, (low, high) in run.result.brightness.items()
    ]
    parts += [f"{done:,} inference{'' if done == 1 else 's'}", f"report   {run.report}"]
    return "\n".join(parts)
