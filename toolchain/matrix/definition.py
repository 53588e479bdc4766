"""Reads a matrix: which models, on which boards, built how; as TOML or CSV.

TOML::

    targets = ["this_board", "that_board"]                 # or "all"
    build_types = ["release"]

    [[model]]
    path = "models/keywords.tflite"                        # relative to this file
    inputs = "models/keywords.npy"

    [[model]]
    name = "sine_int8"

    [[exclude]]
    model = "keywords"
    target = "that_board"

CSV: a build a line, with the columns model and target, and where wanted build_type,
representative, inputs and arena.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolchain.errors import UsageError
from toolchain.model_choice import MODEL_SUFFIXES, chosen_model
from toolchain.models import (
    BUILD_TYPES,
    DEFAULT_BUILD_TYPE,
    LARGEST_ARENA,
    SMALLEST_ARENA,
    BuildType,
    Model,
    find_build_type,
)

_COLUMNS = ("model", "target", "build_type", "representative", "inputs", "arena")
_MOST_ROWS = 100_000

Text = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ModelTable(_Table):
    name: Text | None = None
    path: Text | None = None
    representative: Text | None = None
    inputs: Text | None = None
    arena: Annotated[int, Field(ge=SMALLEST_ARENA, le=LARGEST_ARENA)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> _ModelTable:
        if (self.name is None) == (self.path is None):
            raise ValueError("a model has either a name (of the project) or a path")
        return self


class _ExcludeTable(_Table):
    model: Text | None = None
    target: Text | None = None
    build_type: Literal["release", "release_with_logs", "default", "debug"] | None = None


class _MatrixFile(_Table):
    targets: Annotated[tuple[Text, ...], Field(min_length=1)] | Literal["all"] = "all"
    build_types: Annotated[
        tuple[Literal["release", "release_with_logs", "default", "debug"], ...],
        Field(min_length=1),
    ] = ("release",)
    model: Annotated[tuple[_ModelTable, ...], Field(min_length=1)]
    exclude: tuple[_ExcludeTable, ...] = ()


@dataclass(frozen=True)
class Combination:
    """One firmware of a matrix.

    Attributes:
        model: as ``chosen_model`` returns it.
        target: name of the board.
        arena_bytes: of a given model; None for the smallest that works.
    """

    model: Model
    target: str
    build_type: BuildType
    arena_bytes: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the others."""
        return self.model.name, self.target, self.build_type


@dataclass(frozen=True)
class Matrix:
    """A matrix that was read.

    Attributes:
        name: of its file, without the suffix.
    """

    name: str
    combinations: tuple[Combination, ...]


def read_matrix(path: Path, targets: Sequence[str]) -> Matrix:
    """Read a matrix.

    Args:
        path: a ``.toml`` or ``.csv`` file.
        targets: names of the boards that there are.

    Raises:
        UsageError: it cannot be read, or something in it cannot be used; the message says where.
    """
    try:
        # Spreadsheets begin their CSV with a byte-order mark, some editors any file.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the matrix {path} cannot be read: {error}", next_step="name a .toml or .csv file"
        ) from error
    if path.suffix == ".csv":
        found = _from_csv(path, text)
    elif path.suffix == ".toml":
        found = _from_toml(path, text, targets)
    else:
        raise UsageError(f"{path} is no matrix", next_step="name a .toml or .csv file")
    return Matrix(path.stem, _checked(path, found, targets))


def _from_toml(path: Path, text: str, targets: Sequence[str]) -> list[Combination]:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Also of a number with thousands of digits, and of tables within tables without end.
        raise UsageError(f"{path} is not TOML", why=str(error)) from error
    try:
        file = _MatrixFile.model_validate(document)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors()
        )
        raise UsageError(
            f"{path} has values that cannot be used", why=reasons, next_step="mend these"
        ) from error
    chosen = tuple(targets) if file.targets == "all" else file.targets
    found = []
    for table in file.model:
        model = _model(
            path, f"[[model]] {table.name or table.path}", table.model_dump(exclude={"arena"})
        )
        found += [
            Combination(model, target, build_type, table.arena)
            for target in chosen
            for build_type in file.build_types
            if not any(_matches(each, model, target, build_type) for each in file.exclude)
        ]
    for each in file.exclude:
        if each.model and all(
            each.model not in {table.name, Path(table.path or "").stem} for table in file.model
        ):
            raise UsageError(
                f"{path}: [[exclude]] names the model {each.model}, which is not there"
            )
        if each.target and each.target not in targets:
            raise UsageError(
                f"{path}: [[exclude]] names the board {each.target!r}, which there is not",
                next_step=f"choose from: {', '.join(targets)}",
            )
    return found


def _matches(exclude: _ExcludeTable, model: Model, target: str, build_type: str) -> bool:
    file = model.given.file.stem if model.given else model.name
    return (
        (exclude.model is None or exclude.model in {model.name, file})
        and exclude.target in {None, target}
        and exclude.build_type in {None, build_type}
        and exclude != _ExcludeTable()
    )


def _from_csv(path: Path, text: str) -> list[Combination]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = reader.fieldnames or ()
    except csv.Error as error:
        raise UsageError(f"{path} is not CSV", why=f"line 1: {error}") from error
    unknown = sorted(set(columns) - set(_COLUMNS))
    missing = sorted({"model", "target"} - set(columns))
    if unknown or missing or len(set(columns)) != len(columns):
        raise UsageError(
            f"{path}: the first line has to name the columns",
            why=f"unknown: {', '.join(unknown) or 'none'}; missing: {', '.join(missing) or 'none'}",
            next_step=f"use these: {', '.join(_COLUMNS)}",
        )
    found = []
    try:
        for line in reader:
            where = f"line {reader.line_num}"
            if None in line or None in line.values():
                raise UsageError(f"{path}: {where} has not {len(columns)} fields")
            values = {name: (value or "").strip() for name, value in line.items()}
            model = values["model"]
            kind = "path" if Path(model).suffix in MODEL_SUFFIXES else "name"
            found.append(
                Combination(
                    _model(
                        path,
                        where,
                        {
                            kind: model,
                            "representative": values.get("representative") or None,
                            "inputs": values.get("inputs") or None,
                        },
                    ),
                    values["target"],
                    _build_type(path, where, values.get("build_type") or DEFAULT_BUILD_TYPE),
                    _arena(path, where, values.get("arena", "")),
                )
            )
            if len(found) > _MOST_ROWS:
                raise UsageError(f"{path} has more than {_MOST_ROWS} lines")
    except csv.Error as error:
        raise UsageError(f"{path} is not CSV", why=f"line {reader.line_num}: {error}") from error
    return found


def _arena(path: Path, where: str, text: str) -> int | None:
    if not text:
        return None
    try:
        # More digits than int takes are no size either.
        number = int(text) if text.isascii() and text.isdigit() else 0
    except ValueError:
        number = 0
    if not SMALLEST_ARENA <= number <= LARGEST_ARENA:
        raise UsageError(
            f"{path}: {where}: arena is {text[:40]!r} and must be a number of bytes from "
            f"{SMALLEST_ARENA} to {LARGEST_ARENA}"
        )
    return number


def _build_type(path: Path, where: str, text: str) -> BuildType:
    if text not in BUILD_TYPES:
        raise UsageError(
            f"{path}: {where}: there is no build type {text!r}",
            next_step=f"choose one of: {', '.join(BUILD_TYPES)}",
        )
    return find_build_type(text)


def _model(path: Path, where: str, values: Mapping[str, str | None]) -> Model:
    """Return the model; paths are relative to the matrix's file."""

    def place(name: str) -> str:
        value = values.get(name) or ""
        return str(path.parent / value) if value and not value.startswith("~") else value

    given = place("path") if values.get("path") else ""
    try:
        return chosen_model(
            given or values.get("name") or "", place("representative"), place("inputs")
        )
    except UsageError as error:
        raise UsageError(
            f"{path}: {where}: {error.what}", why=error.why, next_step=error.next_step
        ) from error


def _checked(
    path: Path, found: Iterable[Combination], targets: Sequence[str]
) -> tuple[Combination, ...]:
    by_key: dict[tuple[str, str, str], Combination] = {}
    files: dict[str, Model] = {}
    for each in found:
        if each.target not in targets:
            raise UsageError(
                f"{path}: there is no board {each.target!r}",
                next_step=f"choose from: {', '.join(targets)}",
            )
        if files.setdefault(each.model.name, each.model) != each.model:
            raise UsageError(
                f"{path}: two different models are called {each.model.name}",
                why="a model is called as its file is, and its firmware's folder too",
                next_step="give one of the files another name",
            )
        if each.key in by_key:
            raise UsageError(f"{path}: {' '.join(each.key)} stands there twice")
        by_key[each.key] = each
    if not by_key:
        raise UsageError(f"{path}: nothing is left to build")
    return tuple(by_key.values())
