"""Builds firmwares, checks them and puts them where the user looks."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.boards import Board
from toolchain.building.built import BuiltFirmware
from toolchain.building.firmwares import run_and_publish
from toolchain.models import BuildType, Model
from toolchain.session import Session


def build(
    session: Session,
    boards: Sequence[Board],
    model: Model,
    build_type: BuildType,
    arena_bytes: int | None = None,
) -> tuple[BuiltFirmware, ...]:
    """Build the application of ``model`` for each board and publish it under ``build/``.

    Args:
        session: the open command.
        boards: what to build for.
        model: what to build.
        build_type: how it is compiled.
        arena_bytes: size of a given model's tensor arena; None for the smallest that works.

    Raises:
        ToolchainError: any step failed, or a firmware does not pass its checks.
    """
    return run_and_publish(session, boards, [model], build_type, arena_bytes=arena_bytes).firmwares
