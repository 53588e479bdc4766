"""Files that flash must not write, one for each way in which a file can be wrong."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.flashing_support import DISCO, EDGE, NANO, file_of, hex_file, host
from tests.unit.image_support import RECORD_OFFSET, make_image, with_word
from toolchain.boards import Board, Format
from toolchain.commands.flash import FlashRequest, prepare
from toolchain.errors import FlashToolError, ImageRefusedError, UsageError
from toolchain.firmware.formats.ambiq import write_image, write_update

EDGE_IMAGE = make_image(EDGE)
NANO_IMAGE = make_image(NANO)
DISCO_IMAGE = make_image(DISCO)
EDGE_LOAD = EDGE.application.load_address
NANO_LOAD = NANO.application.load_address
DISCO_LOAD = DISCO.application.load_address
EDGE_FILE = file_of(EDGE, "ambiq_wired_update", EDGE_IMAGE)
DISCO_HEX = hex_file(DISCO_IMAGE, DISCO_LOAD)


@dataclass(frozen=True)
class Wrong:
    """A file that is refused.

    Attributes:
        tool: way of flashing.
        says: what the message must name.
    """

    name: str
    board: Board
    tool: str
    data: bytes
    says: str


def edge(name: str, data: bytes, says: str) -> Wrong:
    return Wrong(f"edge {name}", EDGE, "ambiq_bootloader", data, says)


def edge_image(name: str, image: bytes, says: str) -> Wrong:
    return edge(name, file_of(EDGE, "ambiq_wired_update", image), says)


def nano(name: str, data: bytes, says: str) -> Wrong:
    return Wrong(f"nano {name}", NANO, "bossac", data, says)


def disco(name: str, data: bytes, says: str) -> Wrong:
    return Wrong(f"disco {name}", DISCO, "openocd", data, says)


def sealed(blob: bytes) -> bytes:
    """Return an Ambiq image with the CRC that its content asks for."""
    return with_word(blob, 4, zlib.crc32(blob[8:]))


BLOB = write_image(EDGE_IMAGE, EDGE_LOAD)
NANO_ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 40, 1) + NANO_IMAGE
MIDDLE = len(DISCO_HEX) // 2
TABLE = 4 * EDGE.core.vector_words

WRONG_FILES = [
    edge_image("stack outside RAM", with_word(EDGE_IMAGE, 0, 0x2001_0000), "outside the RAM"),
    edge_image("stack at the end of RAM", with_word(EDGE_IMAGE, 0, 0x1006_0000), "0x10060000, not"),
    edge_image("stack not aligned", with_word(EDGE_IMAGE, 0, 0x1005_FFF4), "not 0x1005FFF8"),
    edge_image("entry not Thumb", with_word(EDGE_IMAGE, 4, EDGE_LOAD + TABLE), "no Thumb bit"),
    edge_image("entry below the image", with_word(EDGE_IMAGE, 4, 0x101), "reset vector 0x00000101"),
    edge_image("entry in the table", with_word(EDGE_IMAGE, 4, EDGE_LOAD + 9), "outside the image"),
    edge_image("a vector elsewhere", with_word(EDGE_IMAGE, 60, 0x0800_0101), "vector 15"),
    edge_image("a vector without Thumb", with_word(EDGE_IMAGE, 64, EDGE_LOAD + TABLE), "vector 16"),
    edge_image("for the Nano", make_image(EDGE, name=NANO.name), "for the board 'made_up_nano'"),
    edge_image("cut inside", EDGE_IMAGE[:-8], "cut off after"),
    edge_image("padded inside", EDGE_IMAGE + b"\xff" * 64, "64 bytes follow its end"),
    edge_image("without a record", with_word(EDGE_IMAGE, RECORD_OFFSET, 0), "which board"),
    edge_image("of all zeros", bytes(1024), "outside the RAM"),
    edge_image("shorter than its table", EDGE_IMAGE[:100], "shorter than its vector table"),
    edge("empty", b"", "empty"),
    edge("cut off", EDGE_FILE[:-4], "cut off"),
    edge("cut in its header", EDGE_FILE[:90], "shorter than the header"),
    edge("padded", EDGE_FILE + bytes(16), "follow its end"),
    edge("wrong CRC", EDGE_FILE[:-5] + b"?" + EDGE_FILE[-4:], "its CRC is"),
    edge("wrong update key", with_word(EDGE_FILE, 84, 0), "flash key 0x00000000"),
    edge("wrong update type", with_word(EDGE_FILE, 80, 0x101), "update of type 1"),
    edge(
        "wrong magic",
        write_update(sealed(with_word(BLOB, 0, 0xC0 << 24 | len(BLOB)))),
        "magic of its image header is 0xC0",
    ),
    edge(
        "wrong load address",
        write_update(write_image(EDGE_IMAGE, 0x1_0000)),
        "load address 0x00010000, not 0x0000C000",
    ),
    edge("over its own bootloader", write_update(BLOB, 0), "covers the secure bootloader"),
    edge("signed", write_update(sealed(with_word(BLOB, 8, 0x1200_8080))), "security word"),
    edge("the bare image", EDGE_IMAGE, "no wired update"),
    edge("the image blob", BLOB, "no wired update"),
    edge("text", b"hello, world\n" * 20, "no wired update"),
    nano("empty", b"", "empty"),
    nano("ELF given as bin", NANO_ELF, "ELF file"),
    nano("hex given as bin", hex_file(NANO_IMAGE, NANO_LOAD), "Intel HEX"),
    nano("Arduino library", b"PK\x03\x04" + bytes(400), "zip archive"),
    nano("for the Edge", EDGE_IMAGE, "0x1005FFF8 is outside the RAM"),
    nano("for the Discovery", DISCO_IMAGE, "outside the image"),
    nano("cut off", NANO_IMAGE[:-1], "cut off after"),
    nano("padded", NANO_IMAGE + b"\xff", "1 bytes follow its end"),
    nano("too large", NANO_IMAGE + bytes(0xF_0000), "there is room for 983,040"),
    nano("linked without the bootloader", make_image(NANO)[:4] + struct.pack("<I", 0x101)
         + make_image(NANO)[8:], "reset vector 0x00000101 is outside"),
    disco("hex of another address", hex_file(DISCO_IMAGE, 0x0800_8000), "loads at 0x08008000"),
    disco("hex with a gap", hex_file(DISCO_IMAGE, DISCO_LOAD, (b"x", DISCO_LOAD + 0x1000)), "gap"),
    disco("hex without an end", DISCO_HEX[: DISCO_HEX.rindex(b":")], "cut off"),
    disco("hex with a wrong checksum", DISCO_HEX.replace(b":10", b":11", 1), "damaged"),
    disco("hex with a wrong digit", DISCO_HEX.replace(b"0102", b"0112", 1), "damaged"),
    disco("hex cut in a line", DISCO_HEX[:MIDDLE], "cut off"),
    disco("hex of two files", DISCO_HEX + DISCO_HEX, "follow its end-of-file record"),
    disco("bin given as hex", DISCO_IMAGE, "not an Intel HEX file"),
    disco("hex for the Nano", hex_file(NANO_IMAGE, DISCO_LOAD), "0x20040000, not 0x20050000"),
    disco("empty hex", b"", "empty"),
    disco("hex of nothing", b":00000001FF\n", "loads nothing"),
]  # fmt: skip


def request(board: Board, tool: str, file: Path) -> FlashRequest:
    return FlashRequest(board=board, folder=file.parent, image=file, tool=tool)


@pytest.mark.parametrize("wrong", WRONG_FILES, ids=lambda wrong: wrong.name)
def test_a_wrong_file_is_refused_before_anything_is_sent(wrong: Wrong, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(wrong.data)
    with pytest.raises(ImageRefusedError) as caught:
        prepare(request(wrong.board, wrong.tool, file), host())
    assert wrong.says in str(caught.value)
    assert wrong.board.title in str(caught.value)
    assert caught.value.exit_code == 31


@pytest.mark.parametrize(
    ("board", "tool", "name", "image"),
    [
        (EDGE, "ambiq_bootloader", "ambiq_wired_update", EDGE_IMAGE),
        (NANO, "bossac", "bin", NANO_IMAGE),
        (DISCO, "openocd", "hex", DISCO_IMAGE),
        (DISCO, "mass_storage", "bin", DISCO_IMAGE),
    ],
)
def test_the_right_file_is_not_refused(
    board: Board, tool: str, name: Format, image: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(file_of(board, name, image))
    job = prepare(request(board, tool, file), host())
    assert job.data == file.read_bytes()
    assert (job.board, job.way.tool) == (board, tool)


MUTATIONS: list[tuple[Board, str, bytes]] = [
    (EDGE, "ambiq_bootloader", EDGE_FILE),
    (DISCO, "openocd", DISCO_HEX),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(MUTATIONS), data=st.data())
def test_no_changed_byte_gets_through_where_a_checksum_covers_it(
    case: tuple[Board, str, bytes], data: st.DataObject, tmp_path: Path
) -> None:
    board, tool, good = case
    # The first header of an update has no CRC: its address may change to another sound one.
    offset = data.draw(st.integers(96 if board is EDGE else 0, len(good) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != good[offset]))
    file = tmp_path / "file"
    file.write_bytes(good[:offset] + bytes([value]) + good[offset + 1 :])
    try:
        job = prepare(request(board, tool, file), host())
    except ImageRefusedError:
        return
    # Line ends and the case of digits mean nothing in a hex file.
    assert board is DISCO
    assert job.data.upper().split() == good.split()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.bin cannot be read") as caught:
        prepare(request(NANO, "", tmp_path / "nothing.bin"), host())
    assert caught.value.next_step == "look at the path that --image names"
    with pytest.raises(UsageError, match="cannot be read") as caught:
        prepare(FlashRequest(board=NANO, folder=tmp_path), host())
    assert f"./invoke build --target {NANO.name}" in caught.value.next_step


def test_what_may_never_end_is_not_read() -> None:
    with pytest.raises(UsageError, match=r"/dev/zero cannot be read\n.*it is no file"):
        prepare(request(NANO, "", Path("/dev/zero")), host())


def test_a_way_that_the_board_does_not_have_lists_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of: mass_storage, openocd"):
        prepare(request(DISCO, "bossac", tmp_path / "x"), host())


def test_the_way_that_takes_the_file_is_chosen(tmp_path: Path) -> None:
    file = tmp_path / "hello_world.hex"
    file.write_bytes(DISCO_HEX)
    assert prepare(request(DISCO, "", file), host()).way.tool == "openocd"
    file.write_bytes(DISCO_IMAGE)
    assert prepare(request(DISCO, "", file), host()).way.tool == "mass_storage"


def test_a_computer_without_any_tool_is_told_all_of_them(tmp_path: Path) -> None:
    for name, data in (("hello_world.bin", DISCO_IMAGE), ("hello_world.hex", DISCO_HEX)):
        (tmp_path / name).write_bytes(data)
    built = FlashRequest(board=DISCO, folder=tmp_path)
    with pytest.raises(FlashToolError) as caught:
        prepare(built, host())
    assert "no volume DIS_F746NG is mounted" in str(caught.value)
    assert "openocd is not on PATH" in str(caught.value)
    assert prepare(built, host(), dry_run=True).way.tool == "mass_storage"


def test_every_kind_of_wrong_file_is_another_one() -> None:
    assert len({(wrong.board.name, wrong.data) for wrong in WRONG_FILES}) == len(WRONG_FILES)
    assert len(WRONG_FILES) >= 40
