"""A firmware that was built: its files, its sizes, and what to do with it next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from toolchain.building.built import Arena, BuiltFirmware
from toolchain.firmware.generated import ARENA_GRANULE
from toolchain.firmware.size import SizeReport
from toolchain.models import DEFAULT_BUILD_TYPE, DEFAULT_MODEL, BuildType, GivenModel, Model
from toolchain.render.basics import can_draw, shown_path, table

_BAR_WIDTH = 30
_SHADES = "█▓▒░▚▞▪▤"
_ASCII_SHADES = "#=-+:.o*"


def firmware_text(firmware: BuiltFirmware) -> str:
    """Return what was built, how full the board's memories are, and how large the arena is."""
    parts = [
        f"{firmware.board.title}, {firmware.model.name}, {firmware.build_type}",
        artifact_table(firmware),
        size_bars(firmware.size),
    ]
    arena = f"\n{arena_line(firmware.arena)}" if firmware.arena else ""
    return "\n\n".join(parts) + arena


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
