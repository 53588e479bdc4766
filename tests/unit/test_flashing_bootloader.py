"""The update over a pseudo-terminal against an emulated bootloader."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import serial

from tests.unit.ambiq_emulator import (
    ACK,
    DATA,
    FAULT_KINDS,
    HELLO,
    OTADESC,
    RESET,
    UPDATE,
    Emulator,
    Fault,
    FaultKind,
    emulated,
    message,
)
from tests.unit.image_support import make_image
from toolchain.boards import find_board
from toolchain.errors import FlashError
from toolchain.firmware.formats import find_format
from toolchain.firmware.formats.ambiq import LARGEST_PAYLOAD, read_image, read_update
from toolchain.firmware.formats.base import IMAGE
from toolchain.flashing.bootloader import (
    EXPLANATIONS,
    RETRIES,
    Bootloader,
    Timing,
    UpdateSummary,
)
from toolchain.flashing.messages import LONGEST_DATA, AckStatus

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
LOAD = BOARD.application.load_address
# Where no message is lost, nothing depends on how fast this machine is.
PATIENT = Timing(reply_seconds=60, hello_seconds=60, quiet_seconds=60)
QUICK = Timing(reply_seconds=0.2, hello_seconds=0.1, quiet_seconds=0.05)
# HELLO, OTADESC, UPDATE and then the pieces.
FIRST_PIECE = 3


def code(size: int) -> bytes:
    return bytes(number * 131 % 253 for number in range(size))


SMALL = make_image(BOARD, code(20_000))


def update_of(image: bytes) -> bytes:
    return find_format("ambiq_wired_update").write(BOARD, {IMAGE: image})


def send(
    port: str, update: bytes, timing: Timing = PATIENT
) -> tuple[UpdateSummary, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    with serial.Serial(port, 921_600, timeout=0.02) as line:
        summary = Bootloader(line, timing).update(update, lambda *both: seen.append(both))
    return summary, seen


def holds(emulator: Emulator, image: bytes) -> bool:
    return bytes(emulator.flash[LOAD : LOAD + len(image)]) == image


def test_the_board_ends_up_with_exactly_the_image() -> None:
    update = update_of(SMALL)
    with emulated() as (emulator, port):
        summary, seen = send(port, update)
    assert holds(emulator, SMALL)
    assert emulator.has_installed
    assert summary == UpdateSummary(version=0x0102, parts=1, repeated=0, reset_acknowledged=True)
    pieces = -(-len(update) // LONGEST_DATA)
    assert emulator.received == [HELLO, OTADESC, UPDATE, *[DATA] * pieces, RESET]
    assert seen[-1] == (len(update), len(update))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_what_the_bootloader_staged_is_the_blob_that_was_sent() -> None:
    update = update_of(SMALL)
    with emulated() as (emulator, port):
        send(port, update)
    (part,) = read_update(update)
    staged = bytes(emulator.flash[part.staging_address : part.staging_address + len(part.payload)])
    assert staged == part.payload
    assert read_image(staged).application[: len(SMALL)] == SMALL


def test_a_long_update_goes_last_part_first() -> None:
    image = make_image(BOARD, code(LARGEST_PAYLOAD + 50_000))
    with emulated() as (emulator, port):
        summary, _ = send(port, update_of(image))
    assert summary.parts == 2
    assert emulator.received.count(UPDATE) == 2
    assert emulator.staged == [0x6_8000, 0x2_0000]
    assert holds(emulator, image)


def test_an_update_that_ends_with_a_whole_message_is_complete() -> None:
    base = len(update_of(make_image(BOARD, b"")))
    image = make_image(BOARD, code(2 * LONGEST_DATA - base))
    assert len(update_of(image)) == 2 * LONGEST_DATA
    with emulated() as (emulator, port):
        send(port, update_of(image))
    assert emulator.received.count(DATA) == 2
    assert holds(emulator, image)


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_one_fault_of_the_line_does_not_matter(kind: FaultKind, index: int) -> None:
    harmless = kind in {"repeat reply", "repeat reply later", "noise before reply"}
    with emulated(faults=(Fault(kind, index),)) as (emulator, port):
        summary, _ = send(port, update_of(SMALL), PATIENT if harmless else QUICK)
    assert holds(emulator, SMALL)
    assert summary.reset_acknowledged
    # The greeting is repeated anyway, until someone answers.
    assert index == 0 or harmless == (summary.repeated == 0)


@pytest.mark.parametrize("kind", ["lose reply", "late reply", "corrupt reply", "repeat reply"])
def test_faults_in_a_row_do_not_matter(kind: FaultKind) -> None:
    faults = tuple(Fault(kind, index) for index in (3, 4, 6, 8))
    with emulated(faults=faults) as (emulator, port):
        send(port, update_of(SMALL), QUICK)
    assert holds(emulator, SMALL)


def test_an_answer_to_an_earlier_piece_is_never_taken_for_that_to_a_later_one() -> None:
    faults = (
        Fault("repeat reply later", FIRST_PIECE),
        Fault("corrupt request", FIRST_PIECE + 1),
        Fault("repeat reply later", FIRST_PIECE + 2),
    )
    with emulated(faults=faults) as (emulator, port):
        summary, _ = send(port, update_of(SMALL))
    assert emulator.has_installed
    assert holds(emulator, SMALL)
    assert summary.repeated == 1


def test_a_bootloader_that_does_not_number_its_answers_is_served_too() -> None:
    with emulated(numbers_pieces=False) as (emulator, port):
        send(port, update_of(SMALL), QUICK)
    assert holds(emulator, SMALL)


def test_text_of_the_application_before_the_first_answer_does_not_matter() -> None:
    with emulated(chatter=b"\x80\x00hello_world: board=sparkfun_edge\r\n" * 20) as (emulator, port):
        send(port, update_of(SMALL))
    assert holds(emulator, SMALL)


def test_buttons_that_are_pressed_late_do_not_matter() -> None:
    timing = replace(PATIENT, hello_seconds=0.05)
    deaf = tuple(Fault("lose request", number) for number in range(6))
    with emulated(faults=deaf) as (emulator, port):
        summary, _ = send(port, update_of(SMALL), timing)
    assert holds(emulator, SMALL)
    assert summary.repeated == 0


def test_a_board_that_never_answers_is_one_error_with_the_steps() -> None:
    with emulated(silent_from=0) as (emulator, port), pytest.raises(FlashError) as caught:
        send(port, update_of(SMALL), QUICK)
    assert "did not answer within 1 seconds" in str(caught.value)
    assert "button 14" in str(caught.value)
    assert emulator.received == []


@pytest.mark.parametrize("index", [1, 2, FIRST_PIECE, FIRST_PIECE + 1])
def test_a_board_that_falls_silent_is_one_error(index: int) -> None:
    with emulated(silent_from=index) as (emulator, port), pytest.raises(FlashError) as caught:
        send(port, update_of(SMALL), QUICK)
    assert "stopped answering" in str(caught.value)
    assert not emulator.was_reset


def test_a_request_is_sent_four_times_and_not_more() -> None:
    lost = tuple(Fault("lose request", 1 + number) for number in range(RETRIES + 1))
    with emulated(faults=lost[:-1]) as (emulator, port):
        send(port, update_of(SMALL), QUICK)
    assert holds(emulator, SMALL)
    with emulated(faults=lost) as (_, port), pytest.raises(FlashError, match="stopped answering"):
        send(port, update_of(SMALL), QUICK)


def test_a_restart_that_is_not_acknowledged_is_told_apart() -> None:
    pieces = -(-len(update_of(SMALL)) // LONGEST_DATA)
    with emulated(silent_from=FIRST_PIECE + pieces) as (_, port):
        summary, seen = send(port, update_of(SMALL), QUICK)
    assert not summary.reset_acknowledged
    assert seen[-1][0] == len(update_of(SMALL))


@pytest.mark.parametrize("status", [*AckStatus][1:])
@pytest.mark.parametrize("kind", [OTADESC, UPDATE, DATA, RESET])
def test_each_refusal_is_explained(kind: int, status: AckStatus) -> None:
    with emulated(refuse={kind: status}) as (emulator, port), pytest.raises(FlashError) as caught:
        send(port, update_of(SMALL))
    assert EXPLANATIONS[status] in str(caught.value)
    assert f"status is {int(status)}" in str(caught.value)
    copies = RETRIES + 1 if status == AckStatus.CRC else 1
    assert emulator.received.count(kind) == copies


def test_a_status_that_nobody_knows_is_said() -> None:
    with emulated(refuse={UPDATE: 77}) as (_, port), pytest.raises(FlashError) as caught:
        send(port, update_of(SMALL))
    assert "77 is none of its documented status codes" in str(caught.value)


def test_a_bootloader_with_a_bad_status_gets_nothing() -> None:
    with emulated(refuse={HELLO: 2}) as (emulator, port), pytest.raises(FlashError) as caught:
        send(port, update_of(SMALL))
    assert "INFO0" in str(caught.value)
    assert emulator.received == [HELLO]


def test_an_update_larger_than_the_storage_is_not_begun() -> None:
    update = update_of(SMALL)
    with emulated(max_storage=len(update) - 1) as (emulator, port):
        with pytest.raises(FlashError, match=r"it can hold 20,"):
            send(port, update)
        assert emulator.received == [HELLO]
    with emulated(max_storage=len(update)) as (emulator, port):
        send(port, update)
    assert holds(emulator, SMALL)


def test_an_update_with_a_damaged_blob_is_not_installed() -> None:
    update = bytearray(update_of(SMALL))
    update[5000] ^= 1
    with emulated() as (emulator, port):
        send(port, bytes(update))
    assert emulator.was_reset
    assert not emulator.has_installed
    assert not holds(emulator, SMALL)


def test_the_emulator_refuses_what_the_part_would() -> None:
    def ask(port: str, *frames: bytes) -> list[int]:
        statuses = []
        with serial.Serial(port, timeout=5) as line:
            for frame in frames:
                line.write(frame)
                answer = line.read(20)
                assert struct.unpack_from("<H", answer, 4) == (ACK,)
                statuses.append(struct.unpack_from("<I", answer, 12)[0])
        return statuses

    def data(offset: int, piece: bytes) -> bytes:
        return message(DATA, struct.pack("<I", offset) + piece)

    with emulated() as (_, port):
        assert ask(
            port,
            message(OTADESC, struct.pack("<I", 0x1000)),
            data(0, b"early"),
            message(OTADESC, struct.pack("<I", 0xF_E000)),
            message(UPDATE, struct.pack("<III", 1 << 20, 0, 0)),
            message(UPDATE, struct.pack("<III", 8, 0, 0)),
            data(4, b"gap!"),
            data(0, b"too much"[:8] + b"!"),
            data(0, b"wrong CR"),
            message(99, b""),
            data(0, b"x")[:-1] + b"?",
        ) == [7, 8, 0, 5, 0, 10, 11, 3, 6, 3]
