from __future__ import annotations

import pytest

from tests.unit.simulator_support import (
    CONSOLE,
    CPACR,
    EDGE,
    FPU,
    NOP,
    VMOV_S0_R0,
    Blamed,
    Load,
    Operation,
    Peek,
    Poke,
    Raw,
    Say,
    WaitSet,
    expect,
    refused,
    run,
)
from toolchain.boards import Board

DONE = (*CONSOLE, Say("done\r\n"))
SCS = 0xE000_E000
CSR, RVR, CVR = SCS + 0x10, SCS + 0x14, SCS + 0x18
ICSR, VTOR, AIRCR, CCR = SCS + 0xD04, SCS + 0xD08, SCS + 0xD0C, SCS + 0xD14
DEMCR = SCS + 0xDFC
DWT_CTRL, CYCCNT = 0xE000_1000, 0xE000_1004
POKE_INSTRUCTIONS, PEEK_INSTRUCTIONS = 5, 3

VPUSH_S0, VMOV_D0_R0_R1, VMRS_APSR = (0xED2D, 0x0A01), (0xEC41, 0x0B10), (0xEEF1, 0xFA10)
VADD_F32, VLDR_S0_R0, VCVT_F32_S32 = (0xEE30, 0x0A00), (0xED90, 0x0A00), (0xEEB8, 0x0AC0)


def with_core(**changes: object) -> Board:
    return EDGE.model_copy(update={"core": EDGE.core.model_copy(update=changes)})


def nops(count: int) -> Raw:
    return Raw((NOP,) * count)


@pytest.mark.parametrize(
    "code",
    [VMOV_S0_R0, VPUSH_S0, VMOV_D0_R0_R1, VMRS_APSR, VADD_F32, VLDR_S0_R0, VCVT_F32_S32],
)
def test_a_floating_point_instruction_with_the_unit_off_is_refused(code: tuple[int, ...]) -> None:
    message = refused(nops(3), Blamed(Raw(code)))
    assert "a floating-point instruction ran while the floating-point unit is off" in message
    assert "SCB.CPACR gives no access to coprocessors 10 and 11" in message
    assert "CPACR |= 0xF << 20" in message


@pytest.mark.parametrize("access", [0x5, 0xF])
def test_floating_point_runs_after_access_was_given(access: int) -> None:
    code = (*VMOV_S0_R0, *VADD_F32, *VCVT_F32_S32, *VPUSH_S0)
    assert run(Poke(CPACR, access << 20), Raw(code), DONE).console == "done\n"


def test_a_floating_point_unit_switched_off_again_is_refused() -> None:
    # The same code once with the unit on and once with it off.
    code = Raw((*VMOV_S0_R0, 0x4770))
    twice = (FPU, Load(3, EDGE.application.load_address + 0xC1), Raw((0x4798,)))
    message = refused(*twice, Poke(CPACR, 0), Raw((0x4798,)), functions=[Blamed(code)])
    assert "while the floating-point unit is off" in message


@pytest.mark.parametrize("value", [0x3 << 20, 0xC << 20, 0xA << 20, 0x7 << 20])
def test_half_an_access_to_the_floating_point_unit_is_refused(value: int) -> None:
    message = refused(Blamed(Poke(CPACR, value)))
    assert f"SCB.CPACR was set to 0x{value:08X}" in message


@pytest.mark.parametrize("address", [0xC080, 0xC0C0, 0x1000_0080, 0xC004])
def test_a_misaligned_vector_table_is_refused(address: int) -> None:
    message = refused(Blamed(Poke(VTOR, address)))
    assert f"SCB.VTOR was set to 0x{address:08X}, which is not a multiple of 256" in message
    assert "a vector table of 192 bytes" in message


@pytest.mark.parametrize("address", [0x0, 0x2000_0000, 0x1006_0000, 0xFFFF_FF00])
def test_a_vector_table_where_nothing_is_is_refused(address: int) -> None:
    message = refused(Blamed(Poke(VTOR, address)))
    assert f"SCB.VTOR was set to 0x{address:08X}, where no vector table can be" in message


def test_a_larger_vector_table_must_be_aligned_further() -> None:
    board = with_core(interrupts=98, vector_table_alignment=512)
    message = refused(Blamed(Poke(VTOR, 0xC100)), board=board)
    assert "which is not a multiple of 512" in message


@pytest.mark.parametrize("address", [0xC000, 0x1000_0000, 0x1000_0100])
def test_a_vector_table_in_flash_or_ram_is_taken(address: int) -> None:
    assert run(Poke(VTOR, address), Peek(VTOR), *expect(address), DONE).console == "done\n"


def test_a_reset_by_software_is_refused() -> None:
    assert "the firmware reset the chip (SCB.AIRCR)" in refused(Blamed(Poke(AIRCR, 0x05FA_0004)))


@pytest.mark.parametrize("value", [0x4, 0xFA05_0004, 0x05FB_0300])
def test_a_write_to_aircr_without_its_key_is_refused(value: int) -> None:
    message = refused(Blamed(Poke(AIRCR, value)))
    assert f"0x{value:08X} was written to SCB.AIRCR without its key" in message


def test_priority_grouping_is_taken_and_read_back() -> None:
    grouped = Poke(AIRCR, 0x05FA_0300), Peek(AIRCR), *expect(0xFA05_0300)
    assert run(Peek(AIRCR), *expect(0xFA05_0000), *grouped, DONE).console == "done\n"


def test_what_clears_a_pending_exception_is_not_read_back() -> None:
    clears = Poke(ICSR, 1 << 27 | 1 << 25), Peek(ICSR), *expect(0)
    assert run(*clears, DONE).console == "done\n"


STRB, STRH = 0x7008, 0x8008  # strb r0, [r1]; strh r0, [r1]
LDRB, LDRH = 0x7808, 0x8808  # ldrb r0, [r1]; ldrh r0, [r1]


@pytest.mark.parametrize("code", [STRB, STRH, LDRB, LDRH])
@pytest.mark.parametrize("offset", [0x400, 0x402, 0xD18, 0xD22, 0xD28, 0xD2A])
def test_priorities_and_fault_status_take_bytes_and_half_words(offset: int, code: int) -> None:
    access = Load(0, 0), Load(1, SCS + offset), Raw((code,))
    assert run(*access, DONE).console == "done\n"


@pytest.mark.parametrize(("code", "size"), [(STRB, 1), (STRH, 2), (LDRB, 1), (LDRH, 2)])
@pytest.mark.parametrize(("address", "name"), [(ICSR, "ICSR"), (AIRCR, "AIRCR"), (CCR, "CCR")])
def test_other_registers_of_the_core_take_words_only(
    address: int, name: str, code: int, size: int
) -> None:
    access = Load(0, 0), Load(1, address), Blamed(Raw((code,)))
    verb = "write to" if code in {STRB, STRH} else "read from"
    assert f"{size}-byte {verb} SCS.{name}" in refused(*access)


@pytest.mark.parametrize(
    ("address", "value", "what"),
    [
        (CSR, 0x7, "the SysTick interrupt (SYST_CSR.TICKINT)"),
        (SCS + 0x100, 1 << 15, "interrupt 15 (NVIC)"),
        (SCS + 0x200, 1 << 31, "interrupt 31 (NVIC)"),
        (ICSR, 1 << 28, "the exception PendSV (SCB.ICSR)"),
        (ICSR, 1 << 26, "the exception SysTick (SCB.ICSR)"),
        (ICSR, 1 << 31, "the exception NMI (SCB.ICSR)"),
    ],
)
def test_an_interrupt_is_refused(address: int, value: int, what: str) -> None:
    message = refused(Blamed(Poke(address, value)))
    assert f"{what} was asked for" in message
    assert "the simulator delivers no interrupts" in message


@pytest.mark.parametrize(
    ("address", "value", "number"),
    [(SCS + 0x104, 1 << 1, 33), (SCS + 0x10C, 1 << 1, 97), (SCS + 0x20C, 1 << 0, 96)],
)
def test_an_interrupt_of_a_part_with_many_is_called_by_its_number(
    address: int, value: int, number: int
) -> None:
    message = refused(Blamed(Poke(address, value)), board=with_core(interrupts=98))
    assert f"interrupt {number} (NVIC) was asked for" in message


def test_an_interrupt_that_the_part_does_not_have_is_refused() -> None:
    message = refused(Blamed(Poke(SCS + 0x104, 1)))
    assert "offset 0x104 of SCS, where no register is modelled" in message


def test_disabling_interrupts_and_setting_priorities_is_taken() -> None:
    quiet = (Poke(SCS + 0x180, 0xFFFF_FFFF), Poke(SCS + 0x280, 0xFFFF_FFFF))
    priority = (Poke(SCS + 0x40F, 0xE0, 1), Peek(SCS + 0x40C), *expect(0xE000_0000))
    assert run(quiet, priority, Raw((0xB672,)), DONE).console == "done\n"  # cpsid i


@pytest.mark.parametrize("bit", [3, 4])
def test_traps_that_cannot_be_taken_are_refused(bit: int) -> None:
    message = refused(Blamed(Poke(CCR, 0x200 | 1 << bit)))
    assert "traps on unaligned access or division by zero were enabled" in message


@pytest.mark.parametrize(
    ("cpu", "identity"), [("cortex-m4", 0x410F_C241), ("cortex-m7", 0x410F_C271)]
)
def test_the_core_tells_which_it_is(cpu: str, identity: int) -> None:
    check = (Peek(SCS + 0xD00), *expect(identity))
    assert run(check, DONE, board=with_core(cpu=cpu)).console == "done\n"
    assert "read-only" in refused(Blamed(Poke(SCS + 0xD00, 0)))


def started(reload: int) -> tuple[Operation, ...]:
    return Poke(RVR, reload), Poke(CVR, 0), Poke(CSR, 0x5)


@pytest.mark.parametrize("instructions", [0, 1, 6, 7, 8, 9, 16, 17, 18, 1000])
def test_systick_counts_down_once_for_each_instruction(instructions: int) -> None:
    elapsed = instructions + PEEK_INSTRUCTIONS
    counter = -elapsed % 10
    read = (nops(instructions), Peek(CVR), *expect(counter))
    assert run(started(9), read, DONE).console == "done\n"


def test_systick_sets_its_flag_when_it_reaches_zero_and_a_look_clears_it() -> None:
    before = (nops(9 - 2 * PEEK_INSTRUCTIONS), Peek(CSR), *expect(0x5))
    after = (Peek(CSR), *expect(0x1_0005))
    assert run(started(9), before, after, DONE).console == "done\n"
    many = (nops(1000), Peek(CSR), *expect(0x1_0005))
    assert run(started(99), many, Peek(CSR), *expect(0x5), DONE).console == "done\n"


def test_a_wait_for_the_systick_flag_ends() -> None:
    result = run(FPU, started(600_000 - 1), WaitSet(CSR, 16), DONE, budget=1_000_000)
    assert result.console == "done\n"
    assert 600_000 < result.instructions < 600_300


def test_a_wait_for_a_systick_that_was_not_started_is_refused() -> None:
    message = refused(FPU, Poke(RVR, 99), Blamed(WaitSet(CSR, 16)))
    assert "waits for ever on SCS.SYST_CSR" in message


def test_a_stopped_systick_keeps_its_count() -> None:
    stopped = (Poke(CSR, 0x4), nops(50), Peek(CVR), *expect(100 - POKE_INSTRUCTIONS))
    assert run(started(99), stopped, DONE).console == "done\n"
    # Until it runs again; the store that starts it does not count.
    again = (Poke(CSR, 0x5), Peek(CVR), *expect(100 - POKE_INSTRUCTIONS - PEEK_INSTRUCTIONS))
    assert run(started(99), stopped, again, DONE).console == "done\n"


def test_clearing_systick_starts_it_from_the_top() -> None:
    cleared = (nops(20), Poke(CVR, 0xDEAD), Peek(CVR), *expect(100 - PEEK_INSTRUCTIONS))
    assert run(started(99), cleared, DONE).console == "done\n"


def test_clearing_systick_clears_its_flag_which_the_next_round_sets() -> None:
    cleared = (nops(250), Poke(CVR, 0), Peek(CSR), *expect(0x5))
    once_more = (nops(100), Peek(CSR), *expect(0x1_0005))
    assert run(started(99), cleared, once_more, DONE).console == "done\n"


def test_systick_on_another_clock_is_refused() -> None:
    assert "external reference clock" in refused(Blamed(Poke(CSR, 0x1)))


def test_a_reload_value_is_not_changed_while_systick_runs() -> None:
    message = refused(started(99), Blamed(Poke(RVR, 9)))
    assert "SysTick's reload value (SYST_RVR) was changed while it runs" in message


TRACE = (Poke(DEMCR, 1 << 24), Poke(CYCCNT, 0), Poke(DWT_CTRL, 1))


@pytest.mark.parametrize("instructions", [0, 1, 100])
def test_the_cycle_counter_counts_instructions(instructions: int) -> None:
    elapsed = instructions + PEEK_INSTRUCTIONS
    read = (nops(instructions), Peek(CYCCNT), *expect(elapsed))
    assert run(TRACE, read, DONE).console == "done\n"


def test_the_cycle_counter_goes_on_from_what_is_written_and_wraps() -> None:
    near_the_end = (Poke(CYCCNT, 0xFFFF_FFFE), nops(5), Peek(CYCCNT))
    assert run(TRACE, near_the_end, *expect(5 + PEEK_INSTRUCTIONS - 2), DONE).console == "done\n"


def test_a_stopped_cycle_counter_keeps_its_count() -> None:
    stopped = (Poke(DWT_CTRL, 0), nops(50), Peek(CYCCNT), *expect(POKE_INSTRUCTIONS))
    assert run(TRACE, stopped, DONE).console == "done\n"
    again = (Poke(DWT_CTRL, 1), Peek(CYCCNT), *expect(POKE_INSTRUCTIONS + PEEK_INSTRUCTIONS))
    assert run(TRACE, stopped, again, DONE).console == "done\n"


@pytest.mark.parametrize(
    "operation", [Peek(CYCCNT), Poke(CYCCNT, 0), Peek(DWT_CTRL), Poke(DWT_CTRL, 1)]
)
def test_a_cycle_counter_without_trace_enable_is_refused(operation: Peek | Poke) -> None:
    message = refused(Blamed(operation))
    assert "the cycle counter (DWT) was used while it is switched off" in message
    assert "TRCENA" in message
