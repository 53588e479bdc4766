"""Building in a checkout whose steps are all known: what is published, and what is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.actions_support import files_under
from tests.unit.commands_support import (
    EDGE,
    FLOAT,
    INT8,
    Contents,
    copy_project,
    firmware_contents,
    hello_world,
    know,
    session_in,
    steps_of,
)
from tests.unit.flashing_support import hex_file
from tests.unit.image_support import with_record
from toolchain.boards import find_targets
from toolchain.building.built import REPORTS, BuiltFirmware
from toolchain.commands.build import build
from toolchain.errors import (
    EngineUnavailableError,
    FirmwareDoesNotFitError,
    FirmwareInvalidError,
    UnknownTargetError,
)
from toolchain.firmware.formats import file_name, find_format
from toolchain.session import Session

IMAGE = hello_world()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    # Nothing here may reach an engine.
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    with session_in(copy_project(tmp_path)) as session:
        yield session


def build_known(session: Session, contents: Contents) -> BuiltFirmware:
    know(session, steps_of(session), contents)
    (firmware,) = build(session, [EDGE], INT8, "release")
    return firmware


def with_words(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words) + IMAGE[4 * len(words) :]


def test_what_is_to_be_flashed_is_published_with_its_workspace(session: Session) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    assert firmware.folder == session.layout.build / "sparkfun_edge" / "sine_int8"
    found = files_under(firmware.folder)
    assert {name for name in found if "/" not in name} == {
        "FLASHING.md",
        "hello_world.bin",
        "hello_world.elf",
        "hello_world.hex",
        "hello_world.map",
        "hello_world_ambiq_image.bin",
        "hello_world_ambiq_wired_update.bin",
        "size.json",
    }
    assert found["hello_world.bin"] == firmware.image.read_bytes() == IMAGE
    assert firmware.elf.read_bytes().endswith(IMAGE)
    for path in session.pipeline.firmwares.workspace(EDGE, INT8, "release"):
        assert str("workspace" / path) in found
    source = "boards/sparkfun_edge/board.cc"
    assert found[f"workspace/{source}"] == (session.layout.project / source).read_bytes()


def test_the_artifacts_are_the_files_in_the_folder(session: Session) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    assert [each.path.name for each in firmware.artifacts] == sorted(
        path.name for path in firmware.folder.iterdir() if path.is_file()
    )
    for each in firmware.artifacts:
        assert each.digest == type(each.digest).of_file(each.path)


def test_the_size_report_is_written_and_returned(session: Session) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    report = json.loads((firmware.folder / "size.json").read_text())
    assert report["schema"] == "tinyml-toolchain/size/1"
    assert report["target"] == "sparkfun_edge"
    assert report["flash_used"] == firmware.size.flash_used == len(IMAGE)
    assert report["flash_available"] == EDGE.application.max_length
    assert [each.layer for each in firmware.size.layers] == [
        each["layer"] for each in report["layers"]
    ]


def test_the_model_is_published_once_for_its_family(session: Session) -> None:
    know(session, steps_of(session, [INT8, FLOAT]), firmware_contents(IMAGE))
    know(session, steps_of(session), firmware_contents(IMAGE))
    build(session, [EDGE], INT8, "release")
    family = session.layout.build / "model" / "sine"
    assert {str(path.relative_to(family)) for path in family.rglob("*") if path.is_file()} >= {
        *("sine.keras", "data.npz", "history.json", "sine_int8.tflite", "sine_float.tflite"),
        *("sine_int8/model_data.cc", "sine_int8/model.json", "sine_int8/reference.json"),
    }


def test_a_second_build_writes_nothing(session: Session) -> None:
    build_known(session, firmware_contents(IMAGE))
    paths = [session.layout.build, *session.layout.build.rglob("*")]
    before = [path.stat().st_ctime_ns for path in paths]
    build(session, [EDGE], INT8, "release")
    assert [path.stat().st_ctime_ns for path in paths] == before


def test_a_step_that_is_not_known_asks_for_an_engine(session: Session) -> None:
    with pytest.raises(EngineUnavailableError, match="not on this machine"):
        build(session, [EDGE], INT8, "release")
    assert not session.layout.build.exists()


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (with_words(EDGE.ram.end), "initial stack pointer"),
        (with_words(EDGE.application.initial_stack_pointer, 0x101), "outside the image"),
        (with_words(EDGE.application.initial_stack_pointer, 0xC100), "no Thumb bit"),
        (IMAGE[:64], "shorter than its vector table"),
    ],
)
def test_a_firmware_that_cannot_start_is_not_published(
    session: Session, image: bytes, reason: str
) -> None:
    with pytest.raises(FirmwareInvalidError, match=reason):
        build_known(session, firmware_contents(image))
    assert not (session.layout.build / "sparkfun_edge").exists()


def test_an_image_that_is_not_the_elf_files_is_not_published(session: Session) -> None:
    contents = firmware_contents(IMAGE)
    contents["firmware hello_world sparkfun_edge sine_int8 release", "bin/hello_world.bin"] = (
        IMAGE[:-1] + b"\x55"
    )
    with pytest.raises(FirmwareInvalidError, match="not what the ELF file loads"):
        build_known(session, contents)
    assert not (session.layout.build / "sparkfun_edge").exists()


def test_an_image_beyond_the_flash_is_not_published_and_the_earlier_one_stays(
    session: Session,
) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    before = files_under(firmware.folder)
    large = IMAGE + bytes(EDGE.application.max_length)
    with pytest.raises(FirmwareDoesNotFitError, match="SparkFun Edge takes 983,040"):
        build_known(session, firmware_contents(large))
    assert files_under(firmware.folder) == before


def test_reports_stay_with_their_firmware_only(session: Session) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    for name in REPORTS:
        (firmware.folder / name).write_text("report")
    build(session, [EDGE], INT8, "release")
    assert all((firmware.folder / name).exists() for name in REPORTS)
    build_known(session, firmware_contents(with_record(EDGE, IMAGE)))
    assert not any((firmware.folder / name).exists() for name in REPORTS)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe"])
def test_a_remembered_check_that_was_damaged_is_made_again(session: Session, damage: bytes) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    (memo,) = (session.layout.cache / "checked").iterdir()
    good = memo.read_bytes()
    memo.write_bytes(damage)
    (again,) = build(session, [EDGE], INT8, "release")
    assert again.size == firmware.size
    assert memo.read_bytes() == good


def test_a_remembered_check_is_for_the_board_as_it_was(session: Session) -> None:
    build_known(session, firmware_contents(IMAGE))
    smaller = EDGE.application.model_copy(update={"max_length": len(IMAGE) - 4})
    board = EDGE.model_copy(update={"application": smaller})
    know(session, steps_of(session, board=board), firmware_contents(IMAGE))
    with pytest.raises(FirmwareDoesNotFitError):
        build(session, [board], INT8, "release")


def test_formats_that_a_board_does_not_flash_are_not_published(session: Session) -> None:
    package = EDGE.package.model_copy(update={"formats": ("bin",)})
    board = EDGE.model_copy(update={"package": package})
    know(session, steps_of(session, board=board), firmware_contents(IMAGE))
    (firmware,) = build(session, [board], INT8, "release")
    assert not (firmware.folder / "hello_world.hex").exists()


def test_the_files_for_flashing_hold_the_image(session: Session) -> None:
    firmware = build_known(session, firmware_contents(IMAGE))
    for name in EDGE.package.formats:
        kind = find_format(name)
        assert kind.read is not None
        data = (firmware.folder / file_name("hello_world", name)).read_bytes()
        assert kind.read(EDGE, data) == IMAGE


def test_a_hex_file_of_another_image_is_not_published(session: Session) -> None:
    contents = firmware_contents(IMAGE)
    other = hex_file(IMAGE[:-1] + b"?", EDGE.application.load_address)
    contents |= {key: other for key in contents if key[1].endswith(".hex")}
    with pytest.raises(FirmwareInvalidError, match="the hex file for SparkFun Edge"):
        build_known(session, contents)
    assert not (session.layout.build / "sparkfun_edge").exists()


@pytest.mark.parametrize("content", ["", "nonsense", "0" * 64 + "/12", "0" * 64 + "/x"])
def test_a_remembered_file_that_was_damaged_is_made_again(session: Session, content: str) -> None:
    before = files_under(build_known(session, firmware_contents(IMAGE)).folder)
    memos = list((session.layout.cache / "packaged").iterdir())
    assert len(memos) == len(EDGE.package.formats)
    for memo in memos:
        memo.write_text(content)
    assert files_under(build_known(session, firmware_contents(IMAGE)).folder) == before
    assert all(memo.read_text() != content for memo in memos)


def test_targets_are_found_by_name_or_all_at_once(session: Session) -> None:
    layout = session.layout
    assert [board.name for board in find_targets(layout.boards, "sparkfun_edge")] == [
        "sparkfun_edge"
    ]
    names = sorted(path.parent.name for path in layout.boards.glob("*/board.toml"))
    assert [board.name for board in find_targets(layout.boards, "all")] == names
    with pytest.raises(UnknownTargetError, match=r"did you mean 'sparkfun_edge'\?"):
        find_targets(layout.boards, "sparkfun-edge")
