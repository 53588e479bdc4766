"""Finds and reads the descriptions of boards."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from toolchain.boards.board import Board
from toolchain.boards.problems import Problem, grammar_problem, line_of, validation_problems
from toolchain.boards.tables import ALL_TARGETS, NAME
from toolchain.errors import BoardDescriptionError, UnknownTargetError


def read_board(path: Path) -> Board:
    """Read one ``board.toml``.

    Raises:
        BoardDescriptionError: missing, not TOML, a wrong key or a contradiction; the message names
            file, line and cure.
    """
    try:
        # Some editors begin a file with a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BoardDescriptionError(
            f"{path} does not exist", next_step="restore it from git, or remove its folder"
        ) from error
    except OSError as error:
        raise BoardDescriptionError(
            f"{path} cannot be read: {os.strerror(error.errno or 0)}",
            next_step="make it a file that you may read",
        ) from error
    except UnicodeDecodeError as error:
        raise BoardDescriptionError(
            f"{path} is not text: {error}", next_step="save it in UTF-8"
        ) from error
    try:
        board = Board.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _refusal(path, [grammar_problem(error, text)]) from error
    except ValidationError as error:
        raise _refusal(path, validation_problems(error, text, Board)) from error
    except (ValueError, RecursionError) as error:
        raise BoardDescriptionError(
            f"{path} cannot be read: it has a number of thousands of digits, or brackets inside of "
            "thousands of others",
            next_step="look for what nobody meant to write, or restore it from git",
        ) from error
    if board.name != path.parent.name:
        problem = Problem(
            line_of(text, ("name",)),
            "name",
            f"'{board.name}' differs from its folder '{path.parent.name}'",
            f"write '{path.parent.name}', or rename the folder"
            if re.fullmatch(NAME, path.parent.name)
            else f"rename the folder to '{board.name}'",
        )
        raise _refusal(path, [problem])
    return board


def _refusal(path: Path, problems: Sequence[Problem]) -> BoardDescriptionError:
    first, *others = problems
    return BoardDescriptionError(
        f"{path}:{first.line}: {first}",
        why="; ".join(f"also, line {other.line}: {other}" for other in others),
        next_step=first.cure,
    )


def board_names(boards_folder: Path) -> tuple[str, ...]:
    """Return the names of all boards, sorted: every folder that has a ``board.toml``."""
    return tuple(sorted(path.parent.name for path in boards_folder.glob("*/board.toml")))


def find_board(boards_folder: Path, name: str) -> Board:
    """Return the board called ``name`` or having it as an alias.

    Raises:
        UnknownTargetError: no such board, or it is an alias of two; the message lists the known
            ones.
        BoardDescriptionError: its description cannot be used.
    """
    names = board_names(boards_folder)
    if name in names:
        return read_board(boards_folder / name / "board.toml")
    aliases: dict[str, Board] = {}
    for known in names:
        board = read_board(boards_folder / known / "board.toml")
        if name in aliases and name in board.aliases:
            raise UnknownTargetError(
                f"'{name}' is an alias of {aliases[name].name} and of {board.name}",
                next_step="name one of the two",
            )
        aliases |= dict.fromkeys(board.aliases, board)
    if name in aliases:
        return aliases[name]
    close = difflib.get_close_matches(name, [*names, *aliases], n=1)
    raise UnknownTargetError(
        f"there is no target '{name}'",
        why=f"did you mean '{close[0]}'?" if close else "",
        next_step=f"choose one of: {', '.join(names)}",
    )


def find_targets(boards_folder: Path, name: str) -> tuple[Board, ...]:
    """Return the board called ``name``, or every board for ``ALL_TARGETS``.

    Raises:
        UnknownTargetError: there is no such board.
        BoardDescriptionError: a description cannot be used.
    """
    names = board_names(boards_folder) if name == ALL_TARGETS else (name,)
    return tuple(find_board(boards_folder, each) for each in names)
