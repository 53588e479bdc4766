from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.image_support import RECORD_OFFSET, make_image, with_word
from toolchain.boards import find_board
from toolchain.firmware.image import ImageRecord, image_problems, read_record

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
LOAD = BOARD.application.load_address
IMAGE = make_image(BOARD)


def problems(image: bytes) -> str:
    return "; ".join(image_problems(BOARD, image))


def test_a_good_image_has_no_problem_and_says_what_it_is() -> None:
    assert image_problems(BOARD, IMAGE) == []
    assert read_record(IMAGE, LOAD) == ImageRecord(len(IMAGE), "sparkfun_edge")


@pytest.mark.parametrize("number", [2, 3, 6, 11, 12, 14, 15, 16, BOARD.core.vector_words - 1])
def test_every_vector_must_be_thumb_code_of_the_image_or_unused(number: int) -> None:
    assert f"vector {number}, 0x0000C0C2, has no Thumb bit" in problems(
        with_word(IMAGE, 4 * number, 0xC0C2)
    )
    beyond = LOAD + len(IMAGE) + 1
    for outside in (0x101, LOAD + 1, beyond):
        assert f"vector {number}, 0x{outside:08X}, is outside" in problems(
            with_word(IMAGE, 4 * number, outside)
        )
    assert problems(with_word(IMAGE, 4 * number, 0)) == ""


@pytest.mark.parametrize("stack_pointer", [0, BOARD.ram.origin, BOARD.ram.end + 8, 0x2000_0100])
def test_a_stack_outside_the_ram_is_seen(stack_pointer: int) -> None:
    assert "is outside the RAM, 0x10000000 to 0x10060000" in problems(
        with_word(IMAGE, 0, stack_pointer)
    )


@given(st.integers(0, len(IMAGE) - 1))
def test_every_shorter_image_is_refused(length: int) -> None:
    assert problems(IMAGE[:length])


@given(st.binary(min_size=1, max_size=64))
def test_every_longer_image_is_refused(more: bytes) -> None:
    assert f"{len(more)} bytes follow its end" in problems(IMAGE + more)


def test_another_boards_image_is_named() -> None:
    assert "it was linked for the board 'stm32f746g_disco'" in problems(
        make_image(BOARD, name="stm32f746g_disco")
    )


@pytest.mark.parametrize("address", [0, LOAD - 1, LOAD + len(IMAGE), LOAD + 1, 0xFFFF_FFFF])
def test_a_record_without_a_readable_name_is_damaged(address: int) -> None:
    assert "the name of its board is damaged" in problems(
        with_word(IMAGE, RECORD_OFFSET + 8, address)
    )


@given(st.binary(max_size=300))
def test_noise_is_never_an_image(noise: bytes) -> None:
    assert problems(noise)
    assert read_record(noise, LOAD) is None
