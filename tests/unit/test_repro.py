"""What the varied builds are made of, and how differences are named; no Docker."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import cast
from unittest.mock import MagicMock

import pytest
import requests.exceptions
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions_support import P, RecordingReporter, make_layout
from toolchain.actions import OutputOf, Step, Store
from toolchain.errors import (
    EngineUnavailableError,
    FirmwareInvalidError,
    NotReproducibleError,
    StepFailedError,
    StepTimeoutError,
    UsageError,
)
from toolchain.firmware.archive import members
from toolchain.host_tools.pinned_tree import PinnedTree
from toolchain.host_tools.tools import HostTools, Tool
from toolchain.images import Kind
from toolchain.render.repro import reproduction_text
from toolchain.repro import places
from toolchain.repro.bench import Bench, _has_members
from toolchain.repro.elf_difference import Place, differences
from toolchain.repro.matrix import Difference, Reproduction, Row, find_extent
from toolchain.repro.places import ContainerPlace, HostPlace, Made
from toolchain.repro.recipe import Places, Recipe, make_recipe, script, write_lists
from toolchain.repro.variations import (
    VARIATIONS,
    Conditions,
    find_variations,
    packed,
    processors,
    varied,
)
from toolchain.sizes.files import explain_files

COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="not run: there is no C compiler here")


def test_there_are_enough_variations_and_each_changes_something() -> None:
    assert len({variation.name for variation in VARIATIONS}) == len(VARIATIONS) >= 16
    for variation in VARIATIONS:
        assert variation.change(Conditions()) != Conditions(), variation.name


def test_variations_of_one_build_are_in_effect_side_by_side() -> None:
    for pack in packed(VARIATIONS, 3):
        together = varied(Conditions(), pack)
        for variation in pack:
            rest = varied(Conditions(), [each for each in pack if each != variation])
            assert together != rest, variation.name


def test_every_variation_has_a_fact_in_the_script(tmp_path: Path) -> None:
    text = script(_recipe(tmp_path), Conditions(), _places(tmp_path))
    for variation in VARIATIONS:
        assert f"\nfact {variation.name} " in text


def test_variations_are_found_by_name() -> None:
    assert find_variations("") == VARIATIONS
    assert [each.name for each in find_variations("clock,path,clock")] == ["clock", "path"]
    with pytest.raises(UsageError, match="there is no variation 'moon'"):
        find_variations("path,moon")
    assert find_extent("whole") == "whole"
    with pytest.raises(UsageError, match="--library cannot be 'half'"):
        find_extent("half")


@given(st.integers(1, 30))
def test_packing_keeps_everything(size: int) -> None:
    packs = packed(VARIATIONS, size)
    assert [each for pack in packs for each in pack] == list(VARIATIONS)
    assert max(map(len, packs)) <= size


_FIRST = Step(
    name="first",
    image="image:1",
    arguments=(
        "/bin/sh",
        "-ec",
        "mkdir /out/dir; cat /project/tflm/b > /out/dir/made; echo '$HOME \"x\"' >> /out/dir/made",
    ),
    inputs={P("tflm/b"): b"b\n", P("tflm/a"): b"a\n"},
    outputs=(P("dir/made"),),
)
_SECOND = Step(
    name="second",
    image="image:1",
    arguments=("/bin/sh", "-ec", "cat there/it kept > /out/all"),
    inputs={P("there/it"): OutputOf("first", P("dir/made")), P("kept"): OutputOf("zeroth", P("x"))},
    outputs=(P("all"),),
)


def _recipe(folder: Path) -> Recipe:
    layout = make_layout(folder)
    store = Store(layout.store)
    known = {OutputOf("zeroth", P("x")): store.put_bytes(b"kept\n")}
    recipe = make_recipe([_SECOND, _FIRST], known, store, folder / "recipe")
    write_lists(recipe)
    return recipe


def _places(folder: Path) -> Places:
    for name in ("work", "result"):
        (folder / name).mkdir(exist_ok=True)
    return Places(
        inputs=str(folder / "recipe"),
        work=str(folder / "work"),
        result=str(folder / "result"),
        tree=str(folder),
        licence="",
        python="python3",
        clock="",
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_a_script_runs_steps_in_order_on_what_they_made(tmp_path: Path, reverse: bool) -> None:
    conditions = Conditions(reversed_order=reverse, umask=0o027, mtime=1_000_000_000)
    text = script(_recipe(tmp_path), conditions, _places(tmp_path))
    done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "result/0/dir/made").read_text() == 'b\n$HOME "x"\n'
    assert (tmp_path / "result/1/all").read_text() == 'b\n$HOME "x"\nkept\n'
    facts = dict(
        line.split("=", 1) for line in (tmp_path / "result/facts").read_text().splitlines()
    )
    assert facts["umask"] == "0027"
    assert facts["mtimes"] == "1000000000"
    assert int((tmp_path / "work/build/0/project/tflm/a").stat().st_mtime) == 1_000_000_000


def test_files_are_made_in_both_orders(tmp_path: Path) -> None:
    folder = _recipe(tmp_path).folder
    lists = [(folder / f"{name}.list").read_text().splitlines() for name in ("sorted", "reversed")]
    assert lists[0] == sorted(lists[0])
    assert lists[1] == lists[0][::-1] != lists[0]


def archive(files: dict[str, bytes]) -> bytes:
    """Return a GNU archive with a table of the long names, as ar writes it."""
    names, places = b"", {}
    for name in files:
        if len(name) > 15:
            places[name] = len(names)
            names += name.encode() + b"/\n"
    parts = [("//", names)] if names else []
    parts += [(f"/{places[name]}" if name in places else f"{name}/", files[name]) for name in files]
    made = b"!<arch>\n"
    for label, data in parts:
        header = f"{label:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        made += header + data + b"\n" * (len(data) % 2)
    return made


NAMES = st.from_regex(r"[a-z]{1,30}\.o", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=20), max_size=5))
def test_members_of_archives_are_read(files: dict[str, bytes]) -> None:
    assert members(archive(files)) == files


def test_members_of_one_name_are_told_apart_and_damage_is_noticed() -> None:
    one, other = archive({"a.o": b"1"}), archive({"a.o": b"2"})
    assert members(one + other[8:]) == {"a.o": b"1", "a.o#2": b"2"}
    with pytest.raises(ValueError, match="damaged"):
        members(one[:-10])
    with pytest.raises(ValueError, match="damaged"):
        members(one.replace(b"1         `", b"-60       `"))


@pytest.mark.parametrize("missing", [1, 3, 5])
def test_an_archive_that_is_cut_off_within_a_member_is_noticed(missing: int) -> None:
    whole = archive({"a.o": b"12", "b.o": b"123456"})
    with pytest.raises(ValueError, match="cut off"):
        members(whole[:-missing])
    assert not _has_members(whole, whole[:-missing])
    with pytest.raises(FirmwareInvalidError, match=r"libtensorflow-microlite\.a is damaged"):
        explain_files(("a.elf", b""), "", 0, whole[:-missing])
    with pytest.raises(FirmwareInvalidError, match=r"a\.o is damaged"):
        explain_files(("a.elf", b""), "", 0, whole)


def test_a_member_that_differs_is_named() -> None:
    (place,) = differences(
        archive({"a.o": b"same", "b.o": b"12"}), archive({"a.o": b"same", "b.o": b"13"})
    )
    assert place.section.startswith("b.o ")
    only = differences(archive({"a.o": b"1"}), archive({"c.o": b"1"}))
    assert [str(each) for each in only] == [
        "a.o: only in the plain build",
        "c.o: only in the varied build",
    ]


def _object(folder: Path, source: str, *flags: str) -> bytes:
    assert COMPILER is not None
    (folder / "x.c").write_text(source)
    command = [COMPILER, "-c", "-O1", *flags, "-o", str(folder / "x.o"), str(folder / "x.c")]
    subprocess.run(command, check=True, cwd=folder)
    return (folder / "x.o").read_bytes()


_SOURCE = """
const char first[8] = "first";
const char when[12] = "{when}";
int twice(int x) {{ return 2 * x; }}
int more(int x) {{ return x + {more}; }}
"""


@needs_compiler
def test_section_symbol_and_text_of_a_difference_are_named(tmp_path: Path) -> None:
    old = _object(tmp_path, _SOURCE.format(when="Jan  2 1980", more=7))
    new = _object(tmp_path, _SOURCE.format(when="Nov 26 2027", more=7))
    (place,) = differences(old, new)
    assert (place.section, place.symbol) == (".rodata", "when")
    assert '"' in place.text
    assert "Jan  2 1980" in place.text
    assert "Nov 26 2027" in place.text


@needs_compiler
def test_code_that_differs_is_named_by_its_function(tmp_path: Path) -> None:
    old = _object(tmp_path, _SOURCE.format(when="", more=1000))
    new = _object(tmp_path, _SOURCE.format(when="", more=2000))
    place = differences(old, new)[0]
    assert (place.section, place.symbol) == (".text", "more")


@needs_compiler
def test_a_section_that_one_build_lacks_is_named(tmp_path: Path) -> None:
    old = _object(tmp_path, _SOURCE.format(when="", more=1))
    new = _object(tmp_path, _SOURCE.format(when="", more=1) + "int zeroed[4];")
    names = {place.section for place in differences(old, new)}
    assert {".symtab", ".strtab"} <= names


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"a\nb\n", b"a\nc\n", 'line 2: "b" and "c"'),
        (b"a\n", b"a\nb\n", "the end: 1 and 2 lines"),
        (b"a\nb\n", b"a\r\nb\r\n", "byte 0x1: 4 and 6 bytes long"),
        (b"a\nb", b"a\nb\n", "byte 0x3: 3 and 4 bytes long"),
        (b"\xff\x01", b"\xff\x02", "byte 0x1: 2 and 2 bytes long"),
        (b"\xff", b"\xff\x02", "byte 0x1: 1 and 2 bytes long"),
        (b"\x7fELF", b"\x7fELF\xff", "byte 0x4: 4 and 5 bytes long"),
    ],
)
def test_other_files_are_compared_by_line_or_byte(old: bytes, new: bytes, said: str) -> None:
    assert [str(place) for place in differences(old, new)] == [said]


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.sampled_from([b"", b"\x7fELF", b"!<arch>\n"])
)
def test_a_place_is_named_exactly_when_bytes_differ(one: bytes, other: bytes, head: bytes) -> None:
    one, other = head + one, head + other
    assert bool(differences(one, other)) == (one != other)


def _reproduction(
    change: Callable[[dict[str, bool]], None] = lambda _: None,
    *found: Difference,
    in_effect: bool = True,
) -> Reproduction:
    equal = {"edge sine": True, "disco sine": True}
    change(equal)
    row = Row("clock", "a year ahead", ("2026", "2027"), in_effect, equal, 10, 1.5, 2)
    return Reproduction("docker", tuple(equal), "ends", (row,), found, 2, 3.0)


def test_the_matrix_says_equal_different_or_not_varied() -> None:
    def cells(found: Reproduction) -> list[list[str]]:
        lines = reproduction_text(found).splitlines()
        return [re.split(r"  +", line)[:3] for line in (lines[0], lines[2])]

    assert cells(_reproduction()) == [
        ["variation", "edge sine", "disco sine"],
        ["clock", "equal", "equal"],
    ]
    different = _reproduction(lambda equal: equal.update({"disco sine": False}))
    assert cells(different)[1] == ["clock", "equal", "DIFFERENT"]
    assert cells(_reproduction(in_effect=False))[1] == ["clock", "not varied", "not varied"]


def test_differences_are_an_error_that_names_them() -> None:
    _reproduction().require_equal()
    place = Place(".rodata", "when", "byte 0x0")
    difference = Difference("clock", "firmware x", P("bin/hello_world"), (place,), "more\nlines")
    found = _reproduction(lambda _: None, difference)
    assert reproduction_text(found).splitlines()[-5:] == [
        "clock: firmware x: bin/hello_world",
        "    .rodata, when: byte 0x0",
        "    | more",
        "    | lines",
        "docker: 2 builds in 3 s",
    ]
    with pytest.raises(NotReproducibleError, match="other bytes with clock") as failure:
        found.require_equal()
    assert "bin/hello_world in .rodata, when" in str(failure.value)


class _FakePlace:
    """Makes other bytes where one of the variations ``broken`` is in effect."""

    def __init__(self, broken: set[str]) -> None:
        self.broken = broken
        self.runs: list[set[str]] = []

    def run(
        self, recipe: Recipe, conditions: Conditions, image: str, library_sources: str = ""
    ) -> Made:
        del image, library_sources
        on = {
            variation.name
            for variation in find_variations("home,user,clock,hostname")
            if variation.change(conditions) == conditions
        }
        self.runs.append(on)
        data = b"other" if on & self.broken else b"same"
        facts = {name: str(name in on) for name in ("home", "user", "clock", "hostname")}
        return Made(
            {(step.name, path): data for step in recipe.steps for path in step.outputs}, facts
        )


def _matrix(folder: Path, broken: set[str], at_once: int) -> tuple[_FakePlace, Bench, list[Row]]:
    layout = make_layout(folder)
    store = Store(layout.store)
    recipe = make_recipe([_FIRST], {}, store, folder / "recipe")
    same = store.put_bytes(b"same")
    known = {OutputOf("first", path): same for path in _FIRST.outputs}
    place = _FakePlace(broken)
    columns = {"edge sine": frozenset({"first"})}
    bench = Bench(place, recipe, "image:1", columns, store, RecordingReporter())
    variations = find_variations("home,user,clock,hostname")
    rows = list(bench.compiled_rows(known, variations, at_once=at_once))
    return place, bench, rows


def test_variations_share_builds_while_nothing_differs(tmp_path: Path) -> None:
    place, bench, rows = _matrix(tmp_path, set(), 3)
    assert place.runs == [
        set(),
        {"home", "user", "clock"},
        {"hostname"},
        {"home", "user", "clock", "hostname"},
    ]
    assert [row.variation for row in rows] == [
        *("again", "home", "user", "clock", "hostname", "together")
    ]
    assert [row.build for row in rows] == [1, 2, 2, 2, 3, 4]
    assert all(row.in_effect and row.equal == {"edge sine": True} for row in rows)
    assert bench.differences == []


def test_the_variation_at_fault_is_found_among_those_of_its_build(tmp_path: Path) -> None:
    place, bench, rows = _matrix(tmp_path, {"user"}, 3)
    assert place.runs[2:5] == [{"home"}, {"user"}, {"clock"}]
    equal = {row.variation: row.equal["edge sine"] for row in rows}
    assert equal == {
        "again": True,
        "home": True,
        "user": False,
        "clock": True,
        "hostname": True,
        "together": False,
    }
    assert [each.variation for each in bench.differences] == ["user", "together"]


def test_two_variations_at_fault_are_both_named(tmp_path: Path) -> None:
    _, bench, _ = _matrix(tmp_path, {"home", "hostname"}, 2)
    assert [each.variation for each in bench.differences] == ["home", "hostname", "together"]


class _Tools:
    """This machine's shell, as a tool."""

    path = os.environ["PATH"]

    def __init__(self, folder: Path) -> None:
        self._tree = PinnedTree(folder, folder)

    def tool(self, kind: Kind) -> Tool:
        return Tool(kind, Path("/bin/sh"), "a shell", "f" * 64, "")

    def kind(self, image: str) -> Kind:
        del image
        return "cross"

    def tree(self) -> PinnedTree:
        return self._tree


def test_on_the_host_everything_is_varied_that_may_be(tmp_path: Path) -> None:
    recipe = make_recipe([_FIRST], {}, Store(tmp_path / "cas"), tmp_path / "recipe")
    write_lists(recipe)
    (tmp_path / "tree").mkdir()
    layout = make_layout(tmp_path)
    layout.cache.mkdir()
    place = HostPlace(layout, cast(HostTools, _Tools(tmp_path / "tree")))
    plain = place.run(recipe, Conditions(), "image:1")
    assert plain.outputs == {("first", P("dir/made")): b'b\n$HOME "x"\n'}
    chosen = find_variations(
        "path,home,umask,locale,time_zone,source_date,environment,file_order,mtimes,aslr,kernel"
    )
    other = place.run(recipe, varied(Conditions(), chosen), "image:1")
    assert other.outputs == plain.outputs
    same = {each.name for each in chosen if plain.facts[each.name] == other.facts[each.name]}
    assert same <= {"file_order"}
    assert list(layout.cache.iterdir()) == []
    if COMPILER is not None:
        later = place.run(recipe, varied(Conditions(), find_variations("clock")), "image:1")
        assert int(later.facts["clock"]) == int(plain.facts["clock"]) + 1
    if processors() > 1:
        alone = place.run(recipe, varied(Conditions(), find_variations("cores")), "image:1")
        assert (alone.facts["cores"], plain.facts["cores"]) == ("1", str(processors()))


def test_a_step_that_fails_in_a_varied_build_is_named(tmp_path: Path) -> None:
    broken = dataclasses.replace(_FIRST, arguments=("/bin/sh", "-c", "echo alas >&2; exit 3"))
    recipe = make_recipe([broken], {}, Store(tmp_path / "cas"), tmp_path / "recipe")
    write_lists(recipe)
    layout = make_layout(tmp_path)
    layout.cache.mkdir()
    place = HostPlace(layout, cast(HostTools, _Tools(tmp_path)))
    with pytest.raises(StepFailedError, match="step 'first' failed with exit code 3") as failure:
        place.run(recipe, Conditions(), "image:1")
    assert "alas" in str(failure.value)


@pytest.mark.parametrize(
    ("conditions", "script", "error", "said"),
    [
        (Conditions(make_shell="/no/shell"), "true", StepFailedError, "/no/shell"),
        (Conditions(), "exec sleep 60", StepTimeoutError, "longer than 1 s"),
    ],
)
def test_a_varied_build_that_cannot_begin_or_end_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    conditions: Conditions,
    script: str,
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.setattr(places, "_MOST_SECONDS", 1)
    monkeypatch.setattr(places, "_changes", lambda *_: [])
    step = dataclasses.replace(_FIRST, arguments=("/bin/sh", "-c", script))
    recipe = make_recipe([step], {}, Store(tmp_path / "cas"), tmp_path / "recipe")
    write_lists(recipe)
    layout = make_layout(tmp_path)
    layout.cache.mkdir()
    with pytest.raises(error, match=said):
        HostPlace(layout, cast(HostTools, _Tools(tmp_path))).run(recipe, conditions, "image:1")
    assert list(layout.cache.iterdir()) == []


def test_a_container_that_takes_too_long_is_told_and_removed(tmp_path: Path) -> None:
    recipe = make_recipe([_FIRST], {}, Store(tmp_path / "cas"), tmp_path / "recipe")
    engine = MagicMock()
    container = engine.client.containers.create.return_value
    container.wait.side_effect = requests.exceptions.ConnectionError("Read timed out.")
    container_place = ContainerPlace(engine, b"")
    with pytest.MonkeyPatch.context() as now:
        now.setattr(places, "_MOST_SECONDS", 0)
        with pytest.raises(StepTimeoutError, match="longer than"):
            container_place.run(recipe, Conditions(), "image:1")
    container.remove.assert_called_once_with(force=True, v=True)
    with pytest.raises(EngineUnavailableError, match="Read timed out"):
        container_place.run(recipe, Conditions(), "image:1")


def test_a_tmpfs_without_room_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_NEEDED_BYTES", 1 << 60)
    recipe = make_recipe([_FIRST], {}, Store(tmp_path / "cas"), tmp_path / "recipe")
    write_lists(recipe)
    layout = make_layout(tmp_path)
    layout.cache.mkdir()
    place = HostPlace(layout, cast(HostTools, _Tools(tmp_path)))
    conditions = [Conditions(), Conditions(in_memory=True)]
    facts = [place.run(recipe, each, "image:1").facts["file_system"] for each in conditions]
    assert facts[0] == facts[1]
