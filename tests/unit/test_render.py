from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.commands_support import EDGE, FLOAT, INT8
from toolchain.actions.bound import Part
from toolchain.actions.exchange import Exchanged
from toolchain.building.built import Artifact, BuiltFirmware
from toolchain.commands.cache import CacheReport
from toolchain.digest import Digest
from toolchain.firmware.size import LAYERS, LayerSize, SizeReport
from toolchain.pinning.check import PinState
from toolchain.render.basics import counted, shown_path, table
from toolchain.render.cache import cache_table, exchange_line
from toolchain.render.firmware import artifact_table, next_commands, size_bars
from toolchain.render.pins import pins_table

CELL = st.text(st.characters(categories=["L", "N", "P"]), max_size=8)
BAR = re.compile(r"^ {6}(.{30})(?:  |$)")
SHARE = re.compile(r"(\S) ([a-z ]+) ([\d,]+)")


def sizes(*parts: tuple[int, int], stack: int = 0x2000) -> SizeReport:
    layers = tuple(
        LayerSize(layer, flash, ram) for layer, (flash, ram) in zip(LAYERS, parts, strict=False)
    )
    return SizeReport(
        flash_used=sum(flash for flash, _ in parts),
        flash_available=0xF0000,
        ram_used=sum(ram for _, ram in parts),
        ram_available=0x60000,
        stack=stack,
        layers=layers,
    )


def firmware(folder: Path, **files: int) -> BuiltFirmware:
    artifacts = tuple(
        Artifact(folder / name, Digest(f"{number:064x}", number)) for name, number in files.items()
    )
    image = folder / "hello_world.bin"
    return BuiltFirmware(EDGE, INT8, "release", folder, artifacts, image, image, sizes((1, 1)))


@given(st.lists(st.lists(CELL, min_size=3, max_size=3)), st.frozensets(st.integers(0, 2)))
def test_columns_of_a_table_are_straight(rows: list[list[str]], right: frozenset[int]) -> None:
    headings = ["one", "two", "three"]
    lines = table(headings, rows, right).split("\n")
    rule = lines[1]
    assert len(lines) == len(rows) + 2
    columns = [match.span() for match in re.finditer(r"-+", rule)]
    assert len(columns) == 3
    for cells, line in zip([headings, *rows], [lines[0], *lines[2:]], strict=True):
        for index, (cell, (start, end)) in enumerate(zip(cells, columns, strict=True)):
            shown = line[start:end].ljust(end - start)
            assert shown == (cell.rjust if index in right else cell.ljust)(end - start)
        assert line == line.rstrip()


def test_a_table_of_nothing_has_its_headings() -> None:
    assert table(["a", "bcd"], [], frozenset()) == "a  bcd\n-  ---"


def test_rows_of_another_length_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        table(["a", "b"], [["1"]], frozenset())


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1234, "1,234 steps")]
)
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert counted(number, "step") == text
    assert counted(number, "index", "indices").endswith("index" if number == 1 else "indices")


def test_paths_are_shown_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "here" / "file"
    monkeypatch.chdir(tmp_path)
    assert shown_path(path) == "here/file"
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert shown_path(path) == str(path)
    (tmp_path / "else").rmdir()
    assert shown_path(path) == str(path)


def test_artifacts_are_shown_with_size_and_whole_digest(tmp_path: Path) -> None:
    lines = artifact_table(firmware(tmp_path, a=7, b=1234567)).splitlines()
    assert lines[2].split() == [f"{tmp_path}/a", "7", f"{7:064x}"]
    assert lines[3].split() == [f"{tmp_path}/b", "1,234,567", f"{1234567:064x}"]


PARTS = st.lists(
    st.tuples(st.integers(0, 100_000), st.integers(0, 100_000)), min_size=1, max_size=len(LAYERS)
)


@given(PARTS, st.sampled_from(["utf-8", "ascii"]))
def test_bars_are_thirty_wide_and_full_and_name_every_part(
    parts: list[tuple[int, int]], encoding: str
) -> None:
    stdout, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    try:
        text = size_bars(sizes(*parts))
    finally:
        sys.stdout = stdout
    if encoding == "ascii":
        assert text.isascii()
    for column, line in enumerate(text.splitlines()[1::2]):
        used: dict[str, int] = {
            layer: part[column] for layer, part in zip(LAYERS, parts, strict=False) if part[column]
        }
        if not used:
            assert line == ""
            continue
        match = BAR.match(line)
        assert match
        bar = match[1]
        assert " " not in bar
        assert all(east_asian_width(shade) != "W" for shade in bar)
        shares = [share.groups() for share in map(SHARE.fullmatch, line[38:].split("  ")) if share]
        assert {name: int(size.replace(",", "")) for _, name, size in shares} == used
        assert [used[name] for _, name, _ in shares] == sorted(used.values(), reverse=True)
        for shade, name, _ in shares:
            assert abs(bar.count(shade) - 30 * used[name] / sum(used.values())) <= 1


def test_sizes_are_shown_with_what_there_is() -> None:
    lines = size_bars(sizes((17_000, 32), (2_660, 3_040))).splitlines()
    assert lines[0] == "flash  19,660 of 983,040 bytes (2.0 %)"
    assert lines[2] == "RAM     3,072 of 393,216 bytes (0.8 %), and 8,192 for the stack"


def test_without_any_output_nothing_is_drawn_that_it_could_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert size_bars(sizes((1, 1))).isascii()


def test_the_next_commands_repeat_the_options_that_matter() -> None:
    assert next_commands("all", INT8, "release").splitlines() == [
        "next: ./invoke simulate --target all    run it without a board",
        "      ./invoke verify --target all      compare all its outputs with the model",
    ]
    simulate, verify = next_commands("sparkfun_edge", FLOAT, "debug").splitlines()
    options = "--target sparkfun_edge --model sine_float --build-type debug "
    assert simulate.startswith(f"next: ./invoke simulate {options}")
    assert "./invoke verify --target sparkfun_edge --build-type debug " in verify


def test_pins_that_are_current_are_counted_and_the_others_shown() -> None:
    states = [
        PinState("wheel", "a", "x.lock", "1", "1", "current"),
        PinState("wheel", "b", "x.lock", "1", "2", "outdated"),
        PinState("crate", "c", "pins.toml", "1", "", "vanished", "why"),
    ]
    lines = pins_table(states).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["outdated", "b", "1", "2", "x.lock"],
        ["vanished", "c", "1", "pins.toml", "why"],
    ]
    assert lines[-1] == "1 of 3 pins are current"
    assert pins_table(states[:1]) == "1 of 1 pins are current"


@pytest.mark.parametrize(("limit", "shown"), [(10**10, "10,000 MB"), (None, "no bound")])
def test_the_cache_is_shown_with_its_bound(limit: int | None, shown: str) -> None:
    parts = (Part("downloads", 2, 1_500_000, True), Part("packaged", 0, 0, False))
    text = cache_table(CacheReport(Path("/c"), parts, 1_500_000, limit))
    assert "packaged" not in text
    assert text.splitlines()[2].split() == ["downloads", "2", "1.5"]
    assert f"1.5 MB, kept within {shown}" in text


def test_an_exchange_is_one_line() -> None:
    assert exchange_line(Exchanged(2, 1, 0, 3_000_000)) == (
        "2 results with 3.0 MB of outputs; 1 were there already"
    )
    assert exchange_line(Exchanged(0, 0, 4, 0)).endswith("4 were left out")
