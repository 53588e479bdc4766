"""Each mistake in a board.toml is one error with file, line and cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.boards import board_names, read_board
from toolchain.boards.problems import line_of
from toolchain.errors import BoardDescriptionError

BOARDS = Path(__file__).resolve().parents[2] / "boards"
TEXTS = {name: (BOARDS / name / "board.toml").read_text() for name in board_names(BOARDS)}
EDGE = TEXTS["sparkfun_edge"]


def refusal(folder: Path, text: str, name: str = "sparkfun_edge") -> tuple[int, str, str]:
    """Return the line, the whole message and the cure of what a description is refused for."""
    path = folder / name / "board.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(BoardDescriptionError) as caught:
        read_board(path)
    found = re.match(rf"{re.escape(str(path))}:(\d+): ", caught.value.what)
    assert found, caught.value.what
    assert caught.value.next_step
    return int(found[1]), str(caught.value), caught.value.next_step


def line_in(text: str, needle: str) -> int:
    (line,) = [number for number, line in enumerate(text.splitlines(), 1) if needle in line]
    return line


MISTAKES = [
    # What replaces what, where the error is, what it says, what helps
    ("stack_size = 0x2000", "stack_sise = 0x2000", "stack_sise", "no such key",
     "did you mean 'stack_size'?"),
    ("[console]", "[consol]", "[consol]", "no such key", "did you mean 'console'?"),
    ("baud = 115_200", "baud = 115_200\nparity = 1", "parity", "console.parity: there is no",
     "remove it, or use one of: peripheral, tx_pin, rx_pin, baud"),
    ("tx_pin = \"48\"\n", "", "[console]", "console.tx_pin: it is missing",
     "add 'tx_pin = …' to [console]"),
    ("chip = \"apollo3\"\n", "", "#:schema", "chip: it is missing",
     "add 'chip = …' to the file"),
    ("baud = 115_200", 'baud = "115200"', "115200", "console.baud", "without quotes"),
    ("baud = 115_200", "baud = 115200.5", "115200.5", "console.baud", "whole number"),
    ("baud = 115_200", "baud = true", "baud = true", "console.baud", "whole number"),
    ("baud = 115_200", "baud = 0", "baud = 0", "console.baud", "above 0"),
    ("interrupts = 32", "interrupts = 497", "497", "core.interrupts", "496 or less"),
    ('pin = "46"', "pin = 46", "pin = 46", "led.0.pin", "double quotes"),
    ('pin = "44"', "pin = 44", "pin = 44", "led.2.pin", "double quotes"),
    ('cpu = "cortex-m4"', 'cpu = "cortex-a9"', "cortex-a9", "core.cpu",
     "one of: 'cortex-m4' or 'cortex-m7'"),
    ("aliases = []", 'aliases = "edge"', "aliases", "aliases", "square brackets"),
    ("aliases = []", 'aliases = ["The Edge"]', "The Edge", "aliases.0", "the pattern"),
    ("[core]", "[[core]]", "[[core]]", "core", "table of keys"),
    ("[core]", "[core", "[core", "not TOML", "bracket"),
    ('title = "SparkFun Edge"', 'title = "SparkFun Edge', "title", "not TOML", "quote"),
    ("vector_table_alignment = 256", "vector_table_alignment = 128", "_alignment = 128",
     "power of two", "write 256"),
    ("origin = 0x1000_0000", "origin = 0x000F_0000", "0x000F_0000\nlength",
     "'ram', 0x000F0000 to 0x00150000, overlaps 'flash', 0x00000000 to 0x00100000",
     "change origin or length"),
    ("origin = 0x000F_E000", "origin = 0x0000_8000", "origin = 0x0000_8000",
     "'update descriptor', 0x00008000 to 0x0000A000, overlaps 'secure bootloader'",
     "change origin or length"),
    ("origin = 0x1000_0000", "origin = 0xFFFF_F000", "0x0006_0000", "beyond the last address",
     "write 0x00001000 or less"),
    ("load_address = 0x0000_C000", "load_address = 0x0800_0000", "0x0800_0000",
     "load_address 0x08000000 lies in no flash memory",
     "flash is 0x00000000 to 0x00100000"),
    ("load_address = 0x0000_C000", "load_address = 0x1000_0000", "load_address",
     "lies in no flash memory", "flash is"),
    ("load_address = 0x0000_C000", "load_address = 0x0000_C010", "load_address",
     "not aligned", "such as 0x0000C000"),
    ("load_address = 0x0000_C000", "load_address = 0x0000_8000", "load_address",
     "overlaps 'secure bootloader'", "change load_address"),
    ("max_length = 0x000F_0000", "max_length = 0x000F_3000", "max_length",
     "overlaps 'update descriptor'", "change load_address or max_length"),
    ("max_length = 0x000F_0000", "max_length = 0x000F_5000", "max_length",
     "leaves the flash", "write 0x000F4000 or less"),
    ("= 0x1005_FFF8", "= 0x1005_FFF9", "0x1005_FFF9", "multiple of 8", "write 0x1005FFF8"),
    ("= 0x1005_FFF8", "= 0x2005_FFF8", "0x2005_FFF8", "lies in no ram",
     "ram is 0x10000000 to 0x10060000"),
    ("stack_size = 0x2000", "stack_size = 0x6_0000", "stack_size", "leaves the RAM",
     "write 0x5FFF8 or less"),
    ("baud = 921_600\n", "", "[[flashing]]", "needs 'baud'", "add 'baud = …'"),
    (', "ambiq_wired_update"]', "]", 'format = "ambiq', "needs the format",
     "add 'ambiq_wired_update' to the formats"),
    ('name = "sparkfun_edge"', 'name = "edge_2"', "edge_2", "differs from its folder",
     "write 'sparkfun_edge'"),
    ('url = "https', 'url = "http', 'url = "http:', "link.0.url", "the pattern"),
    ("at = [0.35, 0.80]", 'at = ["0.35", 0.80]', '"0.35"', "led.0.at.0", "without quotes"),
    ("at = [0.35, 0.80]", "at = [0.35, true]", "true", "led.0.at.1", "without quotes"),
    ("at = [0.35, 0.80]", "at = [0.35]", "[0.35]", "led.0.at: it has too few", "one more"),
    ("at = [0.35, 0.80]", "at = [0, 1, 0]", "[0, 1, 0]", "led.0.at", "name 2"),
    ("aspect = 1.0", 'aspect = "1.0"', '"1.0"', "drawing.aspect", "without quotes"),
    ("clock_hz = 48_000_000", f"clock_hz = {10**99}", "clock_hz", "core.clock_hz", "or less"),
    ("= 0x1005_FFF8", "= 0", "initial_stack_pointer = 0", "initial_stack", "above 0"),
    ('title = "SparkFun Edge"', 'title = "a\\nb"', "title", "title: ", "the pattern"),
    ('title = "SparkFun Edge"', 'title = ""', "title", "title: ", "the pattern"),
    ("[[flashing]]", "[flashing]", "[flashing]", "flashing: ", "with [[flashing]], in two pairs"),
    ('name = "blue"', 'name = "red"', 'name = "red"\npin = "37', "'red' is the name of two",
     "another name"),
    ("aliases = []", 'aliases = ["all"]', "aliases", "stands for every board", "another name"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "message", "cure"), MISTAKES)
def test_a_mistake_is_one_error_with_its_line_and_its_cure(
    tmp_path: Path, old: str, new: str, place: str, message: str, cure: str
) -> None:
    assert EDGE.count(old) == 1, old
    text = EDGE.replace(old, new)
    line, said, next_step = refusal(tmp_path, text)
    if "\n" in place:
        expected = text[: text.index(place)].count("\n") + 1
    else:
        expected = next(number for number, each in enumerate(text.splitlines(), 1) if place in each)
        if text.count(place) > 1:
            changed = text[: text.index(new)].count("\n") + 1
            expected = max(expected, changed)
    assert line == expected
    assert message in said
    assert cure in next_step
    assert "also, line" not in said


def test_two_mistakes_are_named_with_both_lines(tmp_path: Path) -> None:
    text = EDGE.replace("interrupts = 32", 'interrupts = "32"').replace('pin = "44"', "pin = 44")
    line, said, _ = refusal(tmp_path, text)
    assert line == line_in(text, "interrupts")
    assert f"also, line {line_in(text, 'pin = 44')}: led.2.pin" in said


def test_a_key_in_a_table_of_a_table_is_found(tmp_path: Path) -> None:
    text = TEXTS["stm32f746g_disco"].replace("front_porch = 32", "front_porsh = 32")
    line, said, cure = refusal(tmp_path, text, "stm32f746g_disco")
    assert line == line_in(text, "front_porsh")
    assert "display.horizontal.front_porsh" in said
    assert cure == "did you mean 'front_porch'?"


def test_a_file_that_is_not_text_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x" / "board.toml"
    path.parent.mkdir()
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(BoardDescriptionError, match="not text"):
        read_board(path)


@pytest.mark.parametrize(("table", "cure"), [("core", "[core]"), ("package", "[package]")])
def test_a_missing_table_is_added_as_one(tmp_path: Path, table: str, cure: str) -> None:
    before, _, after = EDGE.partition(f"[{table}]\n")
    text = before + after[after.index("\n[[") :]
    line, said, next_step = refusal(tmp_path, text)
    assert (line, next_step) == (1, f"add a table {cure}")
    assert f"{table}: it is missing" in said


def test_missing_tables_of_several_are_added_as_such(tmp_path: Path) -> None:
    text = EDGE[: EDGE.index("[[led]]")] + EDGE[EDGE.index("[package]") :]
    assert refusal(tmp_path, text)[2] == "add a table [[led]]"


def test_a_folder_that_no_board_can_be_called_by_is_to_be_renamed(tmp_path: Path) -> None:
    assert refusal(tmp_path, EDGE, "My Board")[2] == "rename the folder to 'sparkfun_edge'"


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000])
def test_what_no_reader_of_toml_takes_is_one_error(tmp_path: Path, value: str) -> None:
    path = tmp_path / "x" / "board.toml"
    path.parent.mkdir()
    path.write_text(f"name = {value}")
    with pytest.raises(BoardDescriptionError, match="thousands"):
        read_board(path)


def test_what_is_no_file_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x" / "board.toml"
    path.mkdir(parents=True)
    with pytest.raises(BoardDescriptionError, match="cannot be read: Is a directory"):
        read_board(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "sparkfun_edge" / "board.toml"
    path.parent.mkdir()
    path.write_text(f"\ufeff{EDGE}")
    assert read_board(path).name == "sparkfun_edge"


VALUES = [
    (name, number)
    for name, text in TEXTS.items()
    for number, line in enumerate(text.splitlines())
    if re.match(r"^\w+ = (\"[^\"]*\"|[\d_]+|0x[\w]+)$", line)
]


@pytest.mark.parametrize(("name", "number"), VALUES)
def test_a_value_of_a_wrong_type_is_found_in_every_line(
    tmp_path: Path, name: str, number: int
) -> None:
    lines = TEXTS[name].splitlines()
    key = lines[number].split(" = ")[0]
    lines[number] = f"{key} = [[]]"
    line, said, _ = refusal(tmp_path, "\n".join(lines), name)
    assert line == number + 1
    assert f"{key}: " in said


SCALARS = st.one_of(
    st.integers(-(1 << 40), 1 << 40),
    st.booleans(),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
    st.lists(st.integers(0, 9), max_size=3),
)
KEYS = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@settings(max_examples=40)
@given(
    st.dictionaries(KEYS, st.dictionaries(KEYS, SCALARS, min_size=1), min_size=1, max_size=4),
    st.lists(st.sampled_from(["", "# a comment", "   "]), max_size=3),
)
def test_every_key_of_any_file_is_found_in_its_line(
    tables: dict[str, dict[str, object]], between: list[str]
) -> None:
    lines: list[str] = []
    places: dict[tuple[str | int, ...], int] = {}
    for table, values in tables.items():
        lines += [*between, f"[{table}]"]
        places[table,] = len(lines)
        for key, value in values.items():
            written = tomlkit.item(value).as_string()
            if isinstance(value, list):
                # Over several lines, where a naive reader would look for keys.
                written = "[\n" + "".join(f"  {each},\n" for each in value) + "]"
            first = len(lines) + 1
            lines += f"{key} = {written}".split("\n")
            places[table, key] = first
    text = "\n".join(lines)
    for place, line in places.items():
        assert line_of(text, place) == line
        assert line_of(text, (*place[:1], "nothing_like_it")) == places[place[:1]]
