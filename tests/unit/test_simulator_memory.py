from __future__ import annotations

import capstone
import pytest

from simulator.instructions import far_moves_of_the_stack
from tests.unit.simulator_support import (
    BX_LR,
    CCTRL,
    CLKKEY,
    CONSOLE,
    EDGE,
    FPU,
    FUNCTIONS,
    GPIO,
    UART0,
    Blamed,
    Call,
    Load,
    Operation,
    Peek,
    Poke,
    Raw,
    Say,
    expect,
    refused,
    run,
)

DONE = (*CONSOLE, Say("done\r\n"))
RAM = EDGE.ram.origin
TOP = EDGE.application.initial_stack_pointer
BOTTOM = TOP - EDGE.application.stack_size
BORDER = 0x1005_DC00
BLX_R3, BX_R3 = 0x4798, 0x4718
PUSH_R3, STR_R3_SP = 0xB408, 0x9300
STRD_R2_R3_SP = (0xE9CD, 0x2300)
VPUSH_D0, VSTR_D0_SP = (0xED2D, 0x0B02), (0xED8D, 0x0B00)
PUSH_ALL = (0xE92D, 0x5FFF)  # push {r0-r12, lr}


def take(size: int) -> tuple[Operation, ...]:
    """Move the stack pointer down, as functions with local variables do: sub sp, #508."""
    steps = [508] * (size // 508) + [size % 508]
    return (Raw(tuple(0xB080 | step // 4 for step in steps if step)),)


@pytest.mark.parametrize("address", [0xC000, 0xC0C0, 0xF_0000, 0xF_BFFC])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_write_to_flash_is_refused(address: int, size: int) -> None:
    message = refused(Blamed(Poke(address, 1, size)))
    assert f"{size} bytes were written to flash at 0x{address:08X}" in message
    assert "a pointer to constant data lost its const" in message


@pytest.mark.parametrize("operation", [Peek(0), Poke(0, 1), Peek(0x10), Poke(0xFFC, 1, 1)])
def test_a_null_pointer_is_refused(operation: Peek | Poke) -> None:
    message = refused(Blamed(operation))
    assert f"0x{operation.address:08X}" in message
    assert "most likely a null pointer was used" in message


@pytest.mark.parametrize("target", [0, 1])
def test_a_call_of_a_null_pointer_is_refused(target: int) -> None:
    message = refused(Load(3, target), Blamed(Raw((BLX_R3,))))
    assert "fetched as instructions from 0x00000000" in message
    assert "most likely a null pointer was used" in message


@pytest.mark.parametrize(
    ("operation", "region"),
    [
        (Peek(0xBFFC), "secure bootloader"),
        (Poke(0x4000, 1), "secure bootloader"),
        (Peek(0xF_E000), "update descriptor"),
        (Poke(0xF_FFFC, 1), "update descriptor"),
    ],
)
def test_reserved_flash_is_refused_by_name(operation: Peek | Poke, region: str) -> None:
    message = refused(Blamed(operation))
    assert f"it belongs to the {region}, which is not the application's" in message
    assert "null pointer" not in message or operation.address < 0x1000


@pytest.mark.parametrize(
    "operation",
    [
        *(Peek(0x10_0000), Peek(RAM - 4), Peek(0x1006_0000), Poke(0x2000_0000, 1)),
        *(Peek(0x4002_2000), Poke(0x6000_0000, 1, 1), Peek(0xE000_2000), Peek(0xFFFF_FFFC)),
    ],
)
def test_an_address_where_nothing_is_is_refused(operation: Peek | Poke) -> None:
    message = refused(Blamed(operation))
    verb = "read from" if isinstance(operation, Peek) else "written to"
    assert f"bytes were {verb} 0x{operation.address:08X}" in message
    assert "nothing is at this address" in message


@pytest.mark.parametrize(
    ("address", "name"),
    [
        *((0x4000_0000, "RSTGEN"), (0x4000_4200, "RTC"), (0x4000_4210, "RTC")),
        *((0x4000_C000, "VCOMP"), (0x4001_1000, "APBDMA"), (0x4002_0000, "MCUCTRL")),
        *((0x4002_4000, "WDT"), (0x4003_0000, "SECURITY"), (0x4008_0000, "SCARD")),
        *((0x5000_0000, "IOSLAVE"), (0x5000_4000, "IOM0 to IOM5"), (0x5000_9000, "IOM0 to IOM5")),
        *(
            (0x5000_C000, "BLEIF"),
            (0x5001_0000, "ADC"),
            (0x5001_1000, "PDM"),
            (0x5001_4000, "MSPI"),
        ),
    ],
)
def test_a_peripheral_without_a_model_is_refused_by_name(address: int, name: str) -> None:
    for operation in (Peek(address), Poke(address, 0), Poke(address, 0, 1)):
        message = refused(Blamed(operation))
        assert f"it belongs to {name}, which the simulator has no model of" in message


@pytest.mark.parametrize(
    ("operation", "where"),
    [
        (Peek(CLKKEY - 4), "read from 0x40004010, offset 0x10 of CLKGEN"),
        (Poke(CCTRL + 4, 0), "write to 0x4000401C, offset 0x1C of CLKGEN"),
        (Peek(GPIO + 0x34), "read from 0x40010034, offset 0x34 of GPIO"),
        (Poke(GPIO + 0x200, 0), "write to 0x40010200, offset 0x200 of GPIO"),
        (Peek(UART0 + 0xFFC), "read from 0x4001CFFC, offset 0xFFC of UART0"),
        (Poke(0xE000_ED90, 0), "write to 0xE000ED90, offset 0xD90 of SCS"),
    ],
)
def test_an_offset_without_a_register_is_refused(operation: Peek | Poke, where: str) -> None:
    assert f"{where}, where no register is modelled" in refused(Blamed(operation))


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (Poke(CCTRL, 1, 1), "1-byte write to CLKGEN.CCTRL at 0x40004018"),
        (Poke(CCTRL, 1, 2), "2-byte write to CLKGEN.CCTRL at 0x40004018"),
        (Poke(GPIO + 0x2E, 0x10, 1), "1-byte write to GPIO.PADREGL at 0x4001002E"),
        (Poke(GPIO + 0x2E, 0), "1-byte write to GPIO.PADREGL at 0x4001002E"),
    ],
)
def test_an_access_of_another_width_than_a_word_is_refused(
    operation: Peek | Poke, what: str
) -> None:
    message = refused(Blamed(operation))
    assert what in message
    assert "whole aligned words only" in message


@pytest.mark.parametrize(
    ("address", "registers"),
    [
        (GPIO + 0x2D, "GPIO.PADREGL and GPIO.PADREGM"),
        (GPIO + 0x82, "GPIO.RDA and GPIO.RDB"),
        (0x4000_8107, "CTIMER.OUTCFG0 and CTIMER.OUTCFG1"),
    ],
)
def test_a_word_read_over_two_registers_is_refused(address: int, registers: str) -> None:
    assert f"unaligned read from {registers}" in refused(Blamed(Peek(address)))


# Assembly, its encoding, and where the first word is from r0 on.
LOADS = {
    "ldrd r2, r3, [r0]": ((0xE9D0, 0x2300), 0),
    "ldrd r0, r1, [r0]": ((0xE9D0, 0x0100), 0),
    "ldrd r2, r3, [r0, #-0x4]": ((0xE950, 0x2301), -4),
    "ldm r0!, {r2}": ((0xC804,), 0),
    "ldm r0!, {r2, r3}": ((0xC80C,), 0),
    "ldm r0, {r0, r2, r3}": ((0xC80D,), 0),
    "ldm.w r0, {r2, r3}": ((0xE890, 0x000C), 0),
    "ldmdb r0, {r2, r3}": ((0xE910, 0x000C), -8),
    "vldr s0, [r0]": ((0xED90, 0x0A00), 0),
    "vldr d0, [r0]": ((0xED90, 0x0B00), 0),
    "vldr d0, [r0, #4]": ((0xED90, 0x0B01), 4),
    "vldr d0, [r0, #-4]": ((0xED10, 0x0B01), -4),
    "vldmia r0, {s0}": ((0xEC90, 0x0A01), 0),
    "vldmia r0, {s0, s1}": ((0xEC90, 0x0A02), 0),
    "vldmia r0!, {d0}": ((0xECB0, 0x0B02), 0),
    "vldmdb r0!, {d0}": ((0xED30, 0x0B02), -8),
}


def test_the_encodings_are_those_of_their_assembly() -> None:
    reader = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    for assembly, (code, _) in LOADS.items():
        data = b"".join(half.to_bytes(2, "little") for half in code)
        (instruction,) = reader.disasm(data, 0)
        assert f"{instruction.mnemonic} {instruction.op_str}" == assembly


@pytest.mark.parametrize("by", [1, 2, 3])
@pytest.mark.parametrize(("code", "distance"), LOADS.values(), ids=LOADS.keys())
def test_an_unaligned_read_of_several_registers_is_refused(
    code: tuple[int, ...], distance: int, by: int
) -> None:
    lowest = GPIO + 0x10
    message = refused(FPU, Load(0, lowest - distance + by), Blamed(Raw(code)))
    assert "unaligned read from GPIO.PADREGE and GPIO.PADREGF" in message


@pytest.mark.parametrize(("code", "distance"), LOADS.values(), ids=LOADS.keys())
def test_registers_may_be_read_by_one_instruction(code: tuple[int, ...], distance: int) -> None:
    assert run(FPU, Load(0, GPIO + 0x14 - distance), Raw(code), DONE).console == "done\n"


@pytest.mark.parametrize(
    ("address", "value", "reserved"),
    [
        (CCTRL, 2, 0x0000_0002),
        (0x4002_1008, 0x8000, 0x0000_8000),
        (0x4001_8000, 0x4010_0C50, 0x4000_0000),
        (0x4000_8100, 0x1_FFFF, 0x0001_0000),
        (0x4000_810C, 0xA492_2292, 0x8000_0000),
        (0x4000_80CC, 0x2000, 0x0000_2000),
    ],
)
def test_reserved_bits_are_refused(address: int, value: int, reserved: int) -> None:
    message = refused(Blamed(Poke(address, value)))
    assert f"0x{value:08X} was written to" in message
    assert f"bits 0x{reserved:08X} of which are reserved" in message


def test_a_jump_to_where_nothing_is_blames_the_jump() -> None:
    message = refused(Load(3, 0x2000_0001), Blamed(Raw((BX_R3,))))
    assert "fetched as instructions from 0x20000000" in message
    assert "nothing is at this address" in message
    assert "a function pointer or a return address on the stack is wrong" in message


def test_a_return_to_a_wrong_address_blames_the_return() -> None:
    # push {r3}; pop {pc}
    broken = (Load(3, 0x3000_0001), Raw((PUSH_R3,)), Blamed(Raw((0xBD00,))))
    assert "fetched as instructions from 0x30000000" in refused(broken)


@pytest.mark.parametrize(
    ("address", "whose"),
    [(CLKKEY, "CLKGEN, which holds no instructions"), (0x5000_4000, "IOM0 to IOM5")],
)
def test_a_jump_into_a_peripheral_is_refused(address: int, whose: str) -> None:
    message = refused(Load(3, address | 1), Blamed(Raw((BLX_R3,))))
    assert f"fetched as instructions from 0x{address:08X}" in message
    assert f"it belongs to {whose}" in message


def test_code_runs_from_ram() -> None:
    returns = (Poke(RAM + 0x100, BX_LR, 2), Load(3, RAM + 0x101), Raw((BLX_R3,)))
    assert run(returns, DONE).console == "done\n"


def test_flash_past_the_image_is_erased() -> None:
    assert run(Peek(0xF_BFFC), *expect(0xFFFF_FFFF), DONE).console == "done\n"


def test_ram_holds_anything_but_zeros_at_the_start_and_keeps_what_is_written() -> None:
    places = (RAM, RAM + 0x3FFC, BORDER - 4, BORDER, BOTTOM - 4, BOTTOM, TOP, 0x1005_FFFC)
    unknown = [part for place in places for part in (Peek(place), *expect(0xA5A5_A5A5))]
    writes = [Poke(place, place ^ 0xFFFF_FFFF) for place in places]
    reads = [part for place in places for part in (Peek(place), *expect(place ^ 0xFFFF_FFFF))]
    assert run(unknown, writes, reads, DONE).console == "done\n"


def test_bytes_and_half_words_are_kept_in_every_part_of_ram() -> None:
    parts: list[Operation] = []
    for place in (RAM + 0x7F00, BORDER - 8, BORDER + 8, BOTTOM - 8, BOTTOM + 8):
        parts += [Poke(place, 0x11), Poke(place + 1, 0xAB, 1), Poke(place + 2, 0xBEEF, 2)]
        parts += [Peek(place), *expect(0xBEEF_AB11)]
        # A word over the border of two words.
        parts += [Poke(place + 2, 0x8765_4321), Peek(place + 2), *expect(0x8765_4321)]
    assert run(parts, DONE).console == "done\n"


def test_a_word_over_the_edge_of_two_pages_is_kept() -> None:
    places = (BORDER - 2, BORDER + 0x400 - 1, RAM + 0x3FFF)
    parts = [
        part
        for place in places
        for part in (Poke(place, 0x89AB_CDEF), Peek(place), *expect(0x89AB_CDEF))
    ]
    assert run(parts, DONE).console == "done\n"


@pytest.mark.parametrize(
    ("size", "operation", "lowest"),
    [
        pytest.param(0x2004, Raw((STR_R3_SP,)), BOTTOM - 4, id="one word too large"),
        pytest.param(0x2100, Raw((STR_R3_SP,)), BOTTOM - 0x100, id="in the border"),
        pytest.param(0x2408, Raw((STR_R3_SP,)), BOTTOM - 0x408, id="past the border"),
        pytest.param(0x1_0000, Raw((STR_R3_SP,)), TOP - 0x1_0000, id="far below"),
        pytest.param(0x2000, Raw((PUSH_R3,)), BOTTOM - 4, id="push"),
        pytest.param(0x1FD0, Raw(PUSH_ALL), BOTTOM - 8, id="push of many"),
        pytest.param(0x2008, Raw(STRD_R2_R3_SP), BOTTOM - 8, id="strd"),
        pytest.param(0x2000, Raw(VPUSH_D0), BOTTOM - 8, id="vpush"),
        pytest.param(0x2008, Raw(VSTR_D0_SP), BOTTOM - 8, id="vstr"),
    ],
)
def test_a_stack_that_grows_over_its_end_is_refused(size: int, operation: Raw, lowest: int) -> None:
    message = refused(FPU, take(size), Blamed(operation))
    assert f"the stack overflowed: 0x{lowest:08X} was written {TOP - lowest} bytes below" in message
    assert f"the stack has 8192 bytes, 0x{BOTTOM:08X} to 0x{TOP:08X}" in message
    assert "raise stack_size in board.toml" in message


@pytest.mark.parametrize(
    ("size", "operation"),
    [(0x2000, STR_R3_SP), (0x1FFC, PUSH_R3), (0x2000, STRD_R2_R3_SP), (0x1FF8, VPUSH_D0)],
)
def test_a_stack_that_is_just_full_is_not_refused(
    size: int, operation: int | tuple[int, ...]
) -> None:
    code = operation if isinstance(operation, tuple) else (operation,)
    assert run(FPU, take(size), Raw(code), DONE).console == "done\n"


def test_a_large_local_variable_is_refused_wherever_it_is_written() -> None:
    # str r3, [sp, #1020]
    message = refused(take(0x3000), Blamed(Raw((0x93FF,))))
    assert f"was written {0x3000 - 1020} bytes below its top" in message


# Assembly, its encoding, and what r3 must hold for 0x4000 bytes, or sp for the last two.
FAR_MOVES = {
    "sub.w sp, sp, #0x4000": ((0xF5AD, 0x4D80), 0),
    "sub.w sp, sp, r3": ((0xEBAD, 0x0D03), 0x4000),
    "add sp, r3": ((0x449D,), -0x4000 & 0xFFFF_FFFF),
    "mov sp, r3": ((0x469D,), TOP - 0x4000),
}
SMALLER_MOVES = {
    "subw sp, sp, #0xffc": ((0xF6AD, 0x7DFC), 0xFFC),
    "sub.w sp, sp, #0x200": ((0xF5AD, 0x7D00), 0x200),
    "sub sp, #0x1fc": ((0xB0FF,), 0x1FC),
}


def test_the_encodings_of_far_moves_are_those_of_their_assembly() -> None:
    reader = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    for assembly, (code, _) in {**FAR_MOVES, **SMALLER_MOVES}.items():
        data = b"".join(half.to_bytes(2, "little") for half in code)
        (instruction,) = reader.disasm(data, 0)
        assert f"{instruction.mnemonic} {instruction.op_str}" == assembly


@pytest.mark.parametrize(("code", "value"), FAR_MOVES.values(), ids=FAR_MOVES.keys())
def test_a_stack_that_leaps_over_the_border_is_refused(code: tuple[int, ...], value: int) -> None:
    # All that is below was written by the program itself, so that no page is watched any more.
    data = [Poke(place, 1) for place in range(BOTTOM - 0x4000, BOTTOM, 0x400)]
    message = refused(*data, Load(3, value), Blamed(Raw(code)))
    assert "the stack overflowed: its pointer is 16384 bytes below its top" in message


def test_a_move_within_the_stack_and_back_is_not_refused() -> None:
    # sub.w sp, sp, #0x1000; add.w sp, sp, #0x1000
    assert run(Raw((0xF5AD, 0x5D80, 0xF50D, 0x5D80)), DONE).console == "done\n"


@pytest.mark.parametrize(("code", "size"), SMALLER_MOVES.values(), ids=SMALLER_MOVES.keys())
def test_only_moves_that_may_go_too_far_are_looked_at(code: tuple[int, ...], size: int) -> None:
    data = bytes(6) + b"".join(half.to_bytes(2, "little") for half in code)
    assert far_moves_of_the_stack(data, 509) == ([(6, len(data))] if size >= 509 else [])
    assert far_moves_of_the_stack(data, size + 1) == []


def test_the_last_half_word_of_an_image_may_be_the_first_of_a_move() -> None:
    assert far_moves_of_the_stack(bytes.fromhex("adf5"), 509) == []
    assert far_moves_of_the_stack(bytes.fromhex("9d4600"), 509) == [(0, 2)]


def test_a_stack_that_is_too_deep_is_refused_at_a_write_to_anything_else() -> None:
    message = refused(take(0x2800), Blamed(Poke(RAM, 1)))
    assert f"the stack overflowed: its pointer is {0x2800} bytes below its top" in message


def test_endless_recursion_overflows_the_stack_in_the_function_that_calls_itself() -> None:
    # push {r4-r7, lr}; bl to itself
    message = refused(Call(FUNCTIONS), functions=[Blamed(Raw((0xB5F0, 0xF7FF, 0xFFFD)))])
    assert "the stack overflowed" in message
    assert "deep calls" in message


def test_data_below_the_stack_may_be_written_up_to_its_end() -> None:
    # A loop that fills memory from two guarded blocks below up to the stack's lowest byte.
    begin = BOTTOM - 0x8100
    fill = (
        *(Load(0, begin), Load(1, BOTTOM), Load(2, 0x5A5A_5A5A)),
        Raw((0xC004, 0x4288, 0xD3FC)),  # stmia r0!, {r2}; cmp r0, r1; blo
    )
    kept = [p for place in (begin, BOTTOM - 4) for p in (Peek(place), *expect(0x5A5A_5A5A))]
    assert run(fill, kept, DONE).console == "done\n"


def test_a_write_over_an_already_written_border_is_still_seen() -> None:
    message = refused(Poke(BOTTOM - 4, 1), take(0x2000), Blamed(Raw((PUSH_R3,))))
    assert "the stack overflowed" in message


@pytest.mark.parametrize("stack_size", [0x1FF8, 0x1C00, 0x2010])
def test_the_end_of_the_stack_is_watched_wherever_it_lies_in_a_page(stack_size: int) -> None:
    application = EDGE.application.model_copy(update={"stack_size": stack_size})
    board = EDGE.model_copy(update={"application": application})
    # Data was written there before, as in a RAM that is nearly full.
    data = Poke(TOP - stack_size - 4, 1)
    message = refused(data, take(stack_size), Blamed(Raw((PUSH_R3,))), board=board)
    assert f"was written {stack_size + 4} bytes below" in message
    assert run(data, take(stack_size), Raw((STR_R3_SP,)), DONE, board=board).console == "done\n"


@pytest.mark.parametrize("stack_size", [0x1FF8, 0x1C00, 0x2010])
def test_small_moves_are_seen_wherever_the_end_of_the_stack_lies_in_a_page(stack_size: int) -> None:
    application = EDGE.application.model_copy(update={"stack_size": stack_size})
    board = EDGE.model_copy(update={"application": application})
    data = [Poke(TOP - stack_size - below, 1) for below in (4, 0x400, 0x800)]
    twice = Raw(SMALLER_MOVES["sub sp, #0x1fc"][0] * 2)
    message = refused(*data, take(stack_size), twice, Blamed(Raw((STR_R3_SP,))), board=board)
    assert "the stack overflowed" in message


def test_a_stack_as_large_as_the_ram_ends_at_the_end_of_the_ram() -> None:
    size = TOP - RAM
    application = EDGE.application.model_copy(update={"stack_size": size})
    board = EDGE.model_copy(update={"application": application})
    assert run(take(size), Raw((STR_R3_SP,)), DONE, board=board).console == "done\n"
    message = refused(take(size), Blamed(Raw((PUSH_R3,))), board=board)
    assert f"written to 0x{RAM - 4:08X}" in message


def test_a_stack_pointer_outside_ram_is_refused_at_its_first_use() -> None:
    # mov sp, r3
    message = refused(Load(3, 0x2000_0000), Raw((0x469D,)), Blamed(Raw((PUSH_R3,))))
    assert "4 bytes were written to 0x1FFFFFFC" in message
