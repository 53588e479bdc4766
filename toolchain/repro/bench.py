"""Builds a recipe plainly and under varied circumstances, and compares every byte."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeAlias

from toolchain.actions import OutputOf, Store
from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.firmware.archive import members
from toolchain.repro import elf_difference
from toolchain.repro.matrix import AGAIN, TOGETHER, Difference, LibraryExtent, Row
from toolchain.repro.places import Made, Place
from toolchain.repro.recipe import Recipe
from toolchain.repro.variations import Conditions, Variation, packed, varied

# One processor would double the time of a whole build.
_NOT_TOGETHER = "cores"

Outputs: TypeAlias = Mapping[tuple[str, PurePosixPath], bytes]
"""Content by step and output."""


@dataclass
class Bench:
    """Builds one recipe again and again.

    Attributes:
        place: where the builds run.
        recipe: what is built; ``write_lists`` was called for it.
        image: of its steps.
        columns: names of the steps that a column of the matrix stands for.
        store: has what ``build`` made.
        reporter: told of each build.
        builds: run so far.
        plain: what the plain build made.
        differences: found so far.
    """

    place: Place
    recipe: Recipe
    image: str
    columns: Mapping[str, frozenset[str]]
    store: Store
    reporter: Reporter
    builds: int = 0
    plain: Made | None = None
    differences: list[Difference] = field(default_factory=list)

    def compiled_rows(
        self,
        official: Mapping[OutputOf, Digest],
        variations: Sequence[Variation],
        *,
        at_once: int,
        linked: str = "",
        library: LibraryExtent = "whole",
    ) -> Iterator[Row]:
        """Build plainly, with every variation, and with all at once; yield a row for each.

        Args:
            official: the outputs that ``build`` made.
            variations: to try.
            at_once: how many variations share a build.
            linked: files of the library that firmwares take, with blanks between them.
            library: which builds compile these only.

        Raises:
            StepFailedError: a build failed.
        """
        at_the_ends = linked if library == "linked" else ""
        yield self._again(official, at_the_ends)
        packs = packed(variations, at_once)
        for pack in packs:
            yield from self._pack_rows(pack, "" if library == "whole" else linked)
        together = [each for each in variations if each.name != _NOT_TOGETHER]
        if len(packs) > 1 and together:
            yield dataclasses.replace(
                self._varied(together, TOGETHER, at_the_ends)[0],
                variation=TOGETHER,
                described=_all_of(together),
                fact=("", ""),
                in_effect=True,
            )

    def model_rows(
        self, official: Mapping[OutputOf, Digest], variations: Sequence[Variation]
    ) -> list[Row]:
        """Build plainly, and once with everything varied; see ``compiled_rows``."""
        return [self._again(official), *self._pack_rows(variations)]

    def _pack_rows(self, pack: Sequence[Variation], linked: str = "") -> list[Row]:
        """Build with all of ``pack`` at once; one by one where that differs."""
        before = len(self.differences)
        rows = self._varied(pack, " + ".join(each.name for each in pack), linked)
        if len(self.differences) == before or len(pack) == 1:
            return rows
        shared = self.differences[before:]
        del self.differences[before:]
        single = [row for each in pack for row in self._varied([each], each.name, linked)]
        if len(self.differences) == before:
            self.differences += shared
            return rows
        return single

    def _again(self, official: Mapping[OutputOf, Digest], linked: str = "") -> Row:
        """Build plainly and compare with what ``build`` made."""
        started = time.monotonic()
        with self.reporter.activity("building again, nothing varied"):
            made = self.place.run(self.recipe, Conditions(), self.image, linked)
        expected = {key: self.store.get(official[OutputOf(*key)]) for key in made.outputs}
        equal = self._compare(AGAIN, expected, made.outputs, linked)
        self.plain = made
        self.builds += 1
        seconds = time.monotonic() - started
        self.reporter.step(f"{AGAIN}: {seconds:.1f} s")
        return Row(
            variation=AGAIN,
            described="from clean, compared with what build made",
            fact=("", ""),
            in_effect=True,
            equal=equal,
            files=len(made.outputs),
            seconds=seconds,
            build=self.builds,
        )

    def _varied(self, variations: Sequence[Variation], name: str, linked: str) -> list[Row]:
        """Build once with all of ``variations``; return a row for each."""
        assert self.plain is not None
        started = time.monotonic()
        conditions = varied(Conditions(), variations)
        with self.reporter.activity(f"building with another {name}"):
            made = self.place.run(self.recipe, conditions, self.image, linked)
        equal = self._compare(name, self.plain.outputs, made.outputs, linked)
        self.builds += 1
        seconds = time.monotonic() - started
        self.reporter.step(f"{name}: {seconds:.1f} s")
        rows = []
        for variation in variations:
            facts = (self.plain.facts.get(variation.name, ""), made.facts[variation.name])
            in_effect = facts[0] != facts[1]
            if not in_effect:
                self.reporter.warning(
                    f"{variation.name} could not be varied here: it stayed '{facts[0]}'"
                )
            rows.append(
                Row(
                    variation=variation.name,
                    described=variation.described,
                    fact=facts,
                    in_effect=in_effect,
                    equal=equal,
                    files=len(made.outputs),
                    seconds=seconds,
                    build=self.builds,
                )
            )
        return rows

    def _compare(
        self, variation: str, plain: Outputs, other: Outputs, linked: str
    ) -> dict[str, bool]:
        """Return which columns are equal, and keep the differences."""
        different: set[str] = set()
        for (step, path), data in other.items():
            expected = plain[step, path]
            if expected == data or (
                linked and path.suffix == ".a" and _has_members(expected, data)
            ):
                continue
            different.add(step)
            self.differences.append(
                Difference(
                    variation,
                    step,
                    path,
                    elf_difference.differences(expected, data),
                    elf_difference.diffoscope(expected, data, path.name),
                )
            )
        return {column: not (steps & different) for column, steps in self.columns.items()}


def _all_of(variations: Sequence[Variation]) -> str:
    return f"{len(variations)} at once: {', '.join(each.name for each in variations)}"


def _has_members(whole: bytes, part: bytes) -> bool:
    """Return whether every member of ``part`` is one of ``whole``, byte for byte."""
    try:
        before, after = members(whole), members(part)
    except ValueError:
        return False
    return bool(after) and all(before.get(name) == data for name, data in after.items())
