"""Turns results into the text that the commands print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.commands.build import Arena, BuiltFirmware
from toolchain.commands.options import DEFAULT_BUILD_TYPE, DEFAULT_MODEL
from toolchain.firmware.generated import ARENA_GRANULE
from toolchain.firmware.size import SizeReport
from toolchain.pipeline import BuildType, GivenModel, Model

if TYPE_CHECKING:
    from toolchain.actions.exchange import Exchanged
    from toolchain.boards import Board
    from toolchain.case_verification import Agreement as CaseAgreement
    from toolchain.commands.cache import CacheReport
    from toolchain.commands.remote import RemoteStatus
    from toolchain.commands.simulate import SimulatedRun
    from toolchain.commands.train import Trained
    from toolchain.commands.verify import Verified, VerifiedFirmware
    from toolchain.commands.verify_cases import VerifiedCases
    from toolchain.doctor.finding import Finding
    from toolchain.pins_check import PinState

_BAR_WIDTH = 30
_SHADES = "█▓▒░▚▞▪▤"
_ASCII_SHADES = "#=-+:.o*"


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


def target_tables(boards: Sequence[Board]) -> str:
    """Return what the boards are, and what they show and how they are flashed."""
    facts = table(
        ["target", "board", "core", "program flash", "RAM", "load address", "console"],
        [
            [
                board.name,
                board.title,
                f"{board.core.cpu} {board.core.clock_hz // 1_000_000} MHz",
                f"{board.application.max_length // 1024} KiB",
                f"{sum(ram.length for ram in board.rams) // 1024} KiB",
                f"0x{board.application.load_address:08X}",
                f"{board.console.peripheral} {board.console.baud} 8N1",
            ]
            for board in boards
        ],
        frozenset({3, 4}),
    )
    outputs = table(
        ["target", "other names", "shows the sine on", "files", "flashed by"],
        [
            [
                board.name,
                ", ".join(board.aliases) or "-",
                _shows(board),
                ", ".join(board.package.formats),
                ", ".join(f"{way.tool} ({way.format})" for way in board.flashing),
            ]
            for board in boards
        ],
        frozenset(),
    )
    return f"{facts}\n\n{outputs}"


def _shows(board: Board) -> str:
    names = ", ".join(led.name for led in board.led)
    leds = [f"LED{'s' if len(board.led) > 1 else ''} {names}"] if names else []
    display = board.display
    screen = [f"display {display.width}x{display.height}"] if display else []
    return "; ".join([*leds, *screen]) or "-"


def shown_path(path: Path) -> str:
    """Return ``path`` relative to the working directory where it lies in that, else as it is."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        # Elsewhere, or the working directory was removed.
        return str(path)


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 step``, ``3 steps``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def next_commands(target: str, model: Model, build_type: BuildType) -> str:
    """Return what one does with a firmware that was just built, as commands to type."""
    options = f"--target {target}"
    kind = f" --build-type {build_type}" if build_type != DEFAULT_BUILD_TYPE else ""
    name = shown_path(model.given.file) if model.given else model.name
    chosen = f" --model {shlex.quote(name)}" if name != DEFAULT_MODEL else ""
    if model.given is not None:
        # A given model is verified only when it is named.
        kind = f"{_data_options(model.given)}{kind}"
    simulate = f"./invoke simulate {options}{chosen}{kind}"
    verify = f"./invoke verify {options}{chosen if model.given else ''}{kind}"
    width = max(len(simulate), len(verify))
    return (
        f"next: {simulate:<{width}}    run it without a board\n"
        f"      {verify:<{width}}    compare all its outputs with the model"
    )


def _data_options(given: GivenModel) -> str:
    return "".join(
        f" --{option} {shlex.quote(shown_path(path))}"
        for option, path in (("representative", given.representative), ("inputs", given.inputs))
        if path is not None
    )


def arena_line(arena: Arena) -> str:
    """Return how large the tensor arena is and how that is known."""
    return (
        f"arena {arena.size_bytes:,} bytes; in the simulator the model starts with "
        f"{arena.smallest_bytes:,} and not with {arena.smallest_bytes - ARENA_GRANULE:,}; margin "
        f"{arena.margin_bytes:,}; {arena.used_bytes:,} stay in use"
    )


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
    stack_note = f", and {size.stack:,} for the stack"
    return "\n".join(
        [
            *_bar("flash", size.flash_used, size.flash_available, flash, ""),
            *_bar("RAM", size.ram_used, size.ram_available, ram, stack_note),
        ]
    )


def _bar(
    title: str, used: int, available: int, parts: Sequence[tuple[str, int]], note: str
) -> list[str]:
    shades = _SHADES if can_draw() else _ASCII_SHADES
    ranked = sorted((part for part in parts if part[1] > 0), key=lambda part: -part[1])
    total = sum(size for _, size in ranked)
    bar = ""
    shares = []
    reached = 0
    for shade, (name, size) in zip(shades, ranked, strict=False):
        # By the end of each part, so that rounding never adds up to more or less than the bar.
        reached += size
        bar = bar.ljust(round(_BAR_WIDTH * reached / total), shade)
        shares.append(f"{shade} {name} {size:,}")
    return [
        f"{title:<5} {used:>7,} of {available:,} bytes ({100 * used / available:.1f} %){note}",
        f"      {bar:<{_BAR_WIDTH}}  {'  '.join(shares)}".rstrip(),
    ]


def simulation_summary(run: SimulatedRun, lines: int) -> str:
    """Return what a run showed: the console's start, the LEDs, and counts of instructions.

    Args:
        run: the finished run.
        lines: console lines to show, at least 0.
    """
    from statistics import median

    from simulator.period import first_period
    from simulator.picture import can_be_drawn
    from simulator.terminal import draw_leds

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


def can_draw() -> bool:
    """Return whether standard output takes more characters than those of ASCII."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().startswith("utf")


def verification_table(verified: Sequence[Verified]) -> str:
    """Return the figures of each firmware that was verified, and where they are written down."""
    from toolchain.commands.verify_cases import VerifiedCases

    sines = [each for each in verified if not isinstance(each, VerifiedCases)]
    given = [each for each in verified if isinstance(each, VerifiedCases)]
    tables = [_sine_table(sines)] if sines else []
    tables += [_case_table(given)] if given else []
    reports = "\n".join(f"report  {shown_path(each.report)}" for each in verified)
    return "\n\n".join([*tables, reports])


def _case_table(verified: Sequence[VerifiedCases]) -> str:
    names = list(dict.fromkeys(name for each in verified for name in each.comparison.opinions))
    rows = []
    for each in verified:
        comparison, size, arena = each.comparison, each.firmware.size, each.firmware.arena
        agreement = comparison.firmware
        rows.append(
            [
                each.firmware.board.name,
                comparison.model,
                f"{agreement.equal}/{agreement.cases}",
                f"{agreement.equal_values:,}/{agreement.values:,}",
                _largest(agreement),
                f"{size.flash_used:,}",
                f"{arena.size_bytes:,}" if arena else "-",
                f"{each.median_instructions:,}",
            ]
        )
    headings = ["target", "model", "cases equal", "values equal", "largest difference"]
    sizes = ["flash", "arena", "instructions of an inference"]
    lines = [table([*headings, *sizes], rows, frozenset({5, 6, 7})), ""]
    judges = ", ".join(sorted({each.comparison.judge for each in verified}))
    lines.append(f"equal  byte for byte, to {judges}, built for this computer")
    for name in names:
        for model in dict.fromkeys(each.comparison.model for each in verified):
            comparison = next(
                each.comparison for each in verified if each.comparison.model == model
            )
            lines.append(f"for information: {_opinion(name, model, comparison.opinions[name])}")
    return "\n".join(lines)


def _largest(agreement: CaseAgreement) -> str:
    if agreement.largest is None:
        return "none"
    return agreement.largest.distance


def _opinion(name: str, model: str, opinion: CaseAgreement | str) -> str:
    if isinstance(opinion, str):
        return f"{name} does not run {model}: {opinion}"
    where = f"; most in {opinion.largest}" if opinion.largest else ""
    return f"{name} agrees in {opinion.equal}/{opinion.cases} cases of {model}{where}"


def _sine_table(verified: Sequence[VerifiedFirmware]) -> str:
    compared = [each.comparison for each in verified]
    rows = []
    for each in verified:
        comparison, image = each.comparison, each.image
        unit = "step" if comparison.kind == "int8" else "ulp"
        from_judge = counted(comparison.largest_difference, unit)
        from_litert = counted(comparison.litert_largest_difference, unit)
        rows.append(
            [
                each.firmware.board.name,
                comparison.model,
                f"{comparison.equal}/{comparison.cases}",
                f"{from_judge} ({comparison.allowed_difference} allowed)",
                f"{comparison.largest_sine_error:.4f}",
                f"{image.equal}/{image.known}",
                f"{comparison.litert_equal}/{comparison.cases}, at most {from_litert} off",
            ]
        )
    headings = ["target", "model", "equal", "largest difference", "|y - sin x|"]
    text = table([*headings, "image", "LiteRT (for information)"], rows, frozenset({4}))
    judges = ", ".join(sorted({each.comparison.judge for each in verified}))
    units = {
        "int8": "step   one step of the quantised output",
        "float": "ulp    unit in the last place of a single-precision number",
    }
    used = [units[kind] for kind in ("int8", "float") if kind in {row.kind for row in compared}]
    return "\n".join(
        [
            text,
            "",
            f"equal  outputs of hello_world_test that are, bit for bit, those of {judges}",
            "image  outputs of the flashable hello_world that agree with it, over its own inputs",
            *used,
        ]
    )


def cache_table(report: CacheReport) -> str:
    """Return the cache's parts with their sizes, and its bound."""
    rows = [
        [part.name, f"{part.files:,}", f"{part.size_bytes / 1e6:,.1f}"]
        for part in report.parts
        if part.files
    ]
    limit = "no bound" if report.limit_bytes is None else f"{report.limit_bytes / 1e6:,.0f} MB"
    return "\n".join(
        [
            table([str(report.folder), "files", "MB"], rows, frozenset({1, 2})),
            "",
            f"results, inputs, outputs and downloads: {report.bounded_bytes / 1e6:,.1f} MB, "
            f"kept within {limit} (TOOLCHAIN_CACHE_LIMIT)",
        ]
    )


def exchange_line(done: Exchanged) -> str:
    """Return what an export or import of step results came to."""
    return (
        f"{done.results} results with {done.copied_bytes / 1e6:,.1f} MB of outputs; "
        f"{done.known} were there already"
        + (f", {done.refused} were left out" if done.refused else "")
    )


def pins_table(states: Sequence[PinState]) -> str:
    """Return the pins that are not current, and how many are."""
    rows = [
        [state.state, state.name, state.pinned, state.offered, state.source, state.note]
        for state in states
        if state.state != "current"
    ]
    current = sum(state.state == "current" for state in states)
    summary = f"{current} of {len(states)} pins are current"
    if not rows:
        return summary
    headings = ["state", "name", "pinned", "offered", "pinned in", "note"]
    return "\n".join([table(headings, sorted(rows), frozenset()), "", summary])


def findings_text(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, and its cure below it."""
    width = max((len(each.check) for each in findings), default=0)
    states = max((len(each.state) for each in findings), default=0)
    lines = []
    for each in findings:
        measured = f" ({each.measured})" if each.measured else ""
        lines.append(f"{each.state:<{states}}  {each.check:<{width}}  {each.what}{measured}")
        if each.cure and each.state != "ok":
            lines.append(f"{'':<{states + width + 4}}next: {each.cure}")
    return "\n".join(lines)


def remote_text(status: RemoteStatus) -> str:
    """Return how a remote service is, and how to use it."""
    if not status.endpoint:
        return "no service runs here; start one with: ./invoke remote up"
    lines = [f"service  {status.endpoint}"]
    if status.parts:
        lines.append("parts    " + ", ".join(f"{name} {state}" for name, state in status.parts))
        lines.append("answers  " + ("yes" if status.running else "no: see ./invoke remote logs"))
    lines.append(f"workers  {status.slots} here; more with: ./invoke worker --server URL")
    options = [f"--remote-executor {status.endpoint}"]
    if status.tokens:
        lines.append("tokens   asked for; make them with: ./invoke remote token --role client")
        options.append(f"--remote-token-file {status.token_file}")
    if status.ca_file:
        options.append(f"--remote-ca-file {status.ca_file}")
    lines.append(f"use      ./invoke build {' '.join(options)}")
    return "\n".join(lines)
