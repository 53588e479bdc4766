from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.boards import Board, board_names, find_board, read_board
from toolchain.errors import BoardDescriptionError, UnknownTargetError

BOARDS = Path(__file__).resolve().parents[2] / "boards"
EDGE = (BOARDS / "sparkfun_edge" / "board.toml").read_text()


def write(folder: Path, text: str, name: str = "sparkfun_edge") -> Path:
    path = folder / name / "board.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


DISCO = (BOARDS / "stm32f746g_disco" / "board.toml").read_text()


@pytest.mark.parametrize("name", board_names(BOARDS))
def test_every_board_of_the_project_is_readable(name: str) -> None:
    board = find_board(BOARDS, name)
    assert isinstance(board, Board)
    assert board.flash.contains(board.application.load_address)
    assert board.ram.contains(board.application.initial_stack_pointer - 1)


def test_sparkfun_edge_keeps_the_end_of_sram_free_for_the_bootloader_rule() -> None:
    board = find_board(BOARDS, "sparkfun_edge")
    assert board.application.initial_stack_pointer < board.ram.end
    assert board.application.load_address == 0xC000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("load_address = 0x0000_C000", "load_address = 0x0000_C010", "not aligned"),
        ("max_length = 0x000F_0000", "max_length = 0x000F_5000", "leaves the flash"),
        ("max_length = 0x000F_0000", "max_length = 0x000F_3000", "overlaps 'update descriptor'"),
        ("= 0x1005_FFF8", "= 0x1005_FFF9", "multiple of 8"),
        ("= 0x1005_FFF8", "= 0x2005_FFF8", "lies in no ram"),
        ("stack_size = 0x2000", "stack_size = 0x6_0000", "stack leaves the RAM"),
        ("alignment = 256", "alignment = 128", "power of two"),
        ("alignment = 256", "alignment = 260", "power of two"),
        ('cpu = "cortex-m4"', 'cpu = "cortex-a9"', "core.cpu"),
        ("baud = 115_200", "baud = 115_200\nparity = 1", "console.parity"),
        ("baud = 115_200", "", "console.baud"),
        ("[core]", "[core", "not TOML"),
        ("baud = 921_600", "", "flashing by ambiq_bootloader needs 'baud'"),
        (', "ambiq_wired_update"]', "]", "needs the format 'ambiq_wired_update'"),
        ('tool = "ambiq_bootloader"', 'tool = "magic"', "flashing.0.tool"),
        ('name = "sparkfun_edge"', 'name = "other"', "differs from its folder"),
    ],
)
def test_a_wrong_description_is_refused_and_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in EDGE
    path = write(tmp_path, EDGE.replace(old, new, 1))
    with pytest.raises(BoardDescriptionError, match=message) as caught:
        read_board(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('".bss.framebuffer", ".bss.arena"', '".data"', "memory.2.sections.0"),
        ('".bss.framebuffer", ".bss.arena"', '".bss.arena", ".bss.arena"', "named twice"),
        ('name = "sram"', 'name = "ram"', "linker's name of another memory"),
        ('name = "sram"', 'name = "SRAM"', "memory.2.name"),
        (
            'name = "dtcm"\nkind = "ram"',
            'name = "dtcm"\nkind = "ram"\nsections = [".bss.x"]',
            "without the stack, not 'dtcm'",
        ),
        ("width = 480", "width = 0", "display.width"),
        ('hsync = "low"', 'hsync = "left"', "display.hsync"),
        ("sync = 41, ", "", "display.horizontal.sync"),
        ("crystal_hz = 25_000_000", "crystal_hz = 0", "core.crystal_hz"),
    ],
)
def test_a_wrong_memory_or_display_is_refused_and_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in DISCO
    path = write(tmp_path, DISCO.replace(old, new, 1), "stm32f746g_disco")
    with pytest.raises(BoardDescriptionError, match=message):
        read_board(path)


def test_a_missing_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoardDescriptionError, match="does not exist"):
        read_board(tmp_path / "nothing" / "board.toml")


def test_an_unknown_target_lists_the_known_ones_and_guesses() -> None:
    with pytest.raises(UnknownTargetError) as caught:
        find_board(BOARDS, "sparkfun_egde")
    assert "did you mean 'sparkfun_edge'?" in str(caught.value)
    assert "choose one of:" in str(caught.value)


def test_an_alias_finds_its_board(tmp_path: Path) -> None:
    write(tmp_path, EDGE.replace("aliases = []", 'aliases = ["edge"]'))
    assert find_board(tmp_path, "edge").name == "sparkfun_edge"


def test_an_alias_of_two_boards_is_neither(tmp_path: Path) -> None:
    text = EDGE.replace("aliases = []", 'aliases = ["edge"]')
    write(tmp_path, text)
    other = tmp_path / "edge_two" / "board.toml"
    other.parent.mkdir()
    other.write_text(text.replace('name = "sparkfun_edge"', 'name = "edge_two"'))
    with pytest.raises(UnknownTargetError, match="alias of edge_two and of sparkfun_edge"):
        find_board(tmp_path, "edge")
    assert find_board(tmp_path, "edge_two").name == "edge_two"
