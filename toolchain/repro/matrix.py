"""What varied builds came to: a row for each variation, a column for each firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from toolchain.errors import NotReproducibleError, UsageError
from toolchain.repro import elf_difference

AGAIN = "again"
"""The build that varies nothing."""

TOGETHER = "together"
"""The build that varies everything at once."""

MODEL_STEPS = "model steps"
"""The column of the steps that convert, embed and compute references."""

LibraryExtent: TypeAlias = Literal["linked", "ends", "whole"]
LIBRARY_EXTENTS: tuple[LibraryExtent, ...] = ("linked", "ends", "whole")
"""How much of the library a build compiles: what firmwares take of it; the same, but the whole in
the first and the last build; or always the whole."""


@dataclass(frozen=True)
class Difference:
    """A file that came out differently.

    Attributes:
        variation: under which circumstances.
        step: that made it.
        path: of the step's output.
        places: where it differs.
        report: of diffoscope, where that is on ``PATH``.
    """

    variation: str
    step: str
    path: PurePosixPath
    places: tuple[elf_difference.Place, ...]
    report: str = ""


@dataclass(frozen=True)
class Row:
    """What one varied build came to.

    Attributes:
        variation: its name; ``again`` varies nothing, ``together`` all at once.
        described: what was varied.
        fact: what it was in the plain build, and in this one; both empty where it was not read.
        in_effect: whether the circumstances were in fact other ones.
        equal: by board and model, as ``<board> sine_int8``.
        files: how many files were compared.
        seconds: wall-clock time of the build.
        build: number of the build; several variations may have shared one.
    """

    variation: str
    described: str
    fact: tuple[str, str]
    in_effect: bool
    equal: Mapping[str, bool]
    files: int
    seconds: float
    build: int


@dataclass(frozen=True)
class Reproduction:
    """The matrix.

    Attributes:
        engine: ``docker`` or ``host``.
        columns: boards and models, and the model's own steps where they were built.
        library: how much of the library the builds compiled.
        rows: one for each variation.
        differences: files that came out differently.
        builds: how many there were.
        seconds: wall-clock time of all of them.
    """

    engine: str
    columns: tuple[str, ...]
    library: LibraryExtent
    rows: tuple[Row, ...] = ()
    differences: tuple[Difference, ...] = ()
    builds: int = 0
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether every file of every build was the same."""
        return not self.differences

    def require_equal(self) -> None:
        """Refuse differences.

        Raises:
            NotReproducibleError: there are any.
        """
        if self.differences:
            names = list(dict.fromkeys(each.variation for each in self.differences))
            raise NotReproducibleError(
                f"the build is not reproducible: other bytes with {', '.join(names)}",
                why=_described(self.differences[0]),
                next_step="keep out of the outputs what the section and the symbol show",
            )


def find_extent(name: str) -> LibraryExtent:
    """Return the extent of that name.

    Raises:
        UsageError: there is none.
    """
    for extent in LIBRARY_EXTENTS:
        if extent == name:
            return extent
    raise UsageError(
        f"--library cannot be '{name}'", next_step=f"choose one of: {', '.join(LIBRARY_EXTENTS)}"
    )


def _described(difference: Difference) -> str:
    return f"{difference.step}: {difference.path} in {difference.places[0]}"
