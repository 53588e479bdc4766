from __future__ import annotations

import pytest

from simulator.machine import Machine
from simulator.memory import UNKNOWN
from simulator.symbols import Symbols
from tests.unit.simulator_support import EDGE, Firmware, Poke, firmware
from toolchain.boards import Board

RAM, END = EDGE.ram.origin, EDGE.ram.end
START = EDGE.application.load_address


def machine(made: Firmware, board: Board = EDGE) -> Machine:
    sp, entry = (int.from_bytes(made.image[at : at + 4], "little") for at in (0, 4))
    return Machine(board, made.image, sp, entry, Symbols())


def after_running(*pokes: Poke, board: Board = EDGE) -> Machine:
    made = machine(firmware(*pokes, board=board), board)
    made.set_fpu(True)
    made.on_mark = lambda _address: made.stop()
    made.mark = START + len(firmware(*pokes, board=board).image) - 2
    made.run(1_000_000, "the end")
    return made


def test_ram_and_the_applications_flash_can_be_read() -> None:
    pokes = Poke(RAM + 4, 0x0403_0201), Poke(END - 4, 0xDDCC_BBAA)
    made, image = after_running(*pokes), firmware(*pokes).image
    unknown = bytes([UNKNOWN] * 4)
    assert made.read_memory(RAM, 12) == unknown + b"\1\2\3\4" + unknown
    assert made.read_memory(RAM + 5, 2) == b"\2\3"
    assert made.read_memory(END - 4, 4) == b"\xaa\xbb\xcc\xdd"
    assert made.read_memory(START, len(image) + 1) == image + b"\xff"
    assert made.read_memory(START + EDGE.application.max_length - 1, 1) == b"\xff"


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (RAM - 1, 1),
        (RAM - 1, 2),
        (END - 3, 4),
        (END, 1),
        (0, 4),
        (START - 1, 2),
        (START + EDGE.application.max_length, 1),
        (0x4001_C000, 4),
        (0xE000_ED00, 4),
        (0xFFFF_FFFF, 1),
    ],
)
def test_what_is_not_wholly_memory_of_the_application_is_none(address: int, size: int) -> None:
    assert machine(firmware()).read_memory(address, size) is None


def test_ram_around_the_stacks_end_is_read_in_one_piece() -> None:
    stack = {**EDGE.application.model_dump(), "stack_size": 0x2100}
    board = Board.model_validate({**EDGE.model_dump(), "application": stack})
    bottom = EDGE.application.initial_stack_pointer - 0x2100
    page = bottom & ~0x3FF
    places = [page - 4, page, bottom - 4, bottom, page + 0x3FC, page + 0x400]
    made = after_running(*(Poke(place, place) for place in places), board=board)
    memory = made.read_memory(page - 0x100, 0x600)
    assert memory is not None
    for place in places:
        at = place - page + 0x100
        assert memory[at : at + 4] == place.to_bytes(4, "little"), hex(place)
        assert made.read_memory(place, 4) == place.to_bytes(4, "little")
    assert made.read_memory(page - 4, 8) == b"".join(
        each.to_bytes(4, "little") for each in places[:2]
    )
    assert len([byte for byte in memory if byte != UNKNOWN]) <= 4 * len(places)
