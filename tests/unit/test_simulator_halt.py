from __future__ import annotations

import pytest

from simulator.halt import TRACED, is_endless
from tests.unit.simulator_support import (
    BKPT,
    BRANCH_TO_SELF,
    BX_LR,
    CONSOLE,
    DEVPWRSTATUS,
    EDGE,
    FPU,
    FR,
    NOP,
    POWER,
    RESULT,
    SVC,
    UART,
    UART_PADS,
    UDF,
    WFE,
    WFI,
    YIELD,
    Blamed,
    Call,
    Load,
    Operation,
    Peek,
    Poke,
    Raw,
    Say,
    WaitSet,
    forever,
    refused,
    run,
)
from toolchain.errors import SimulationFaultError, SimulationIncompleteError

DONE = (*CONSOLE, Say("done\r\n"))
HELLO = (FPU[0], *CONSOLE, Say("hello\r\nhalf a li"))
FUNCTION = EDGE.application.load_address + 4 * EDGE.core.vector_words
RAM = EDGE.ram.origin
COUNT_FOR_EVER = (Load(3, 0), forever(Raw((0x3301,))))  # adds r3, #1: never the same state


@pytest.mark.parametrize("unit", [(), FPU])
@pytest.mark.parametrize(
    ("code", "what"),
    [
        pytest.param((UDF,), "an undefined instruction ran", id="udf"),
        pytest.param((0xF7F0, 0xA000), "an undefined instruction ran", id="udf.w"),
        pytest.param((BKPT,), "the core met a breakpoint (bkpt)", id="bkpt"),
        pytest.param((SVC,), "the core took a supervisor call (svc)", id="svc"),
        pytest.param((BX_LR,), "the program returned from its reset handler", id="return"),
        pytest.param((0xEE00, 0x0000), "a coprocessor that is not there was used", id="cdp"),
        pytest.param((0xEE01, 0x0F10), "a coprocessor that is not there was used", id="mcr"),
    ],
)
def test_an_instruction_that_cannot_run_is_refused(
    unit: tuple[Operation, ...], code: tuple[int, ...], what: str
) -> None:
    assert what in refused(unit, Raw((NOP, NOP)), Blamed(Raw(code)))
    # Also right after a store to a peripheral and after a sleeping hint that is none.
    assert what in refused(unit, Poke(0xE000_ED10, 0), Raw((YIELD,)), Blamed(Raw(code)))


def test_double_precision_that_the_core_does_not_have_is_refused() -> None:
    # vadd.f64 d0, d0, d0
    assert "an undefined instruction ran" in refused(FPU, Blamed(Raw((0xEE30, 0x0B00))))


def test_a_run_into_erased_flash_is_refused() -> None:
    message = refused(
        Load(3, FUNCTION + 0x101),
        Raw((0x4718,)),
        functions=[Raw((NOP,) * 0x80), Blamed(Raw((UDF,)))],
    )
    assert "the program jumped into data or past its end" in message


@pytest.mark.parametrize("target", [FUNCTION, RAM + 0x100])
def test_leaving_thumb_state_is_refused(target: int) -> None:
    # mov r3 is even; blx r3
    message = refused(FPU, Load(3, target), Blamed(Raw((0x4798,))), functions=[Raw((BX_LR,))])
    assert f"the core left Thumb state, to 0x{target:08X}" in message
    assert "even address" in message


def test_a_return_to_an_even_address_is_refused() -> None:
    # push {r3}; pop {pc}
    popped = (Load(3, FUNCTION), Raw((0xB408,)), Blamed(Raw((0xBD00,))))
    assert "left Thumb state" in refused(popped, functions=[Raw((BX_LR,))])


@pytest.mark.parametrize(("hint", "name"), [(WFI, "wfi"), (WFE, "wfe")])
def test_a_sleep_is_an_end(hint: int, name: str) -> None:
    message = refused(HELLO, Blamed(Raw((hint,))))
    assert f"the firmware halted: the core sleeps ({name}) and nothing will wake it" in message
    assert "waited for a console line with 'done'; the console said last: half a li" in message


def test_a_sleep_before_any_text_says_so() -> None:
    assert "the console said nothing" in refused(Blamed(Raw((WFE,))))


def test_a_yield_goes_on() -> None:
    assert run(Raw((YIELD,) * 3), DONE).console == "done\n"
    assert run(FPU, Raw((YIELD, NOP, YIELD)), DONE).console == "done\n"


@pytest.mark.parametrize("unit", [(), FPU])
def test_a_branch_to_itself_is_an_end(unit: tuple[Operation, ...]) -> None:
    message = refused(unit, Blamed(Raw((BRANCH_TO_SELF,))))
    assert "the firmware halted in an endless loop" in message
    assert "waited for a console line with 'done'; the console said nothing" in message


@pytest.mark.parametrize("length", [1, 2, 17, 100, TRACED // 2 - 1])
def test_a_longer_loop_that_changes_nothing_is_an_end(length: int) -> None:
    loop = forever(Raw((NOP,) * length))
    with pytest.raises(SimulationFaultError, match="halted in an endless loop") as caught:
        run(HELLO, loop)
    assert "half a li" in caught.value.why


def test_a_loop_that_stores_the_same_again_and_again_is_an_end() -> None:
    # str r1, [r0]; ldr r2, [r0]
    loop = (Load(0, RAM), Load(1, 7), forever(Raw((0x6001, 0x6802))))
    with pytest.raises(SimulationFaultError, match="halted in an endless loop"):
        run(FPU, loop)


def test_a_wait_for_a_flag_in_ram_that_nobody_sets_is_an_end() -> None:
    with pytest.raises(SimulationFaultError, match="halted in an endless loop"):
        run(FPU, Poke(RAM + 0x10, 0), WaitSet(RAM + 0x10, 0), DONE)


@pytest.mark.parametrize(
    ("wait", "register"),
    [
        (WaitSet(FR, 0), "UART0.FR"),
        (WaitSet(DEVPWRSTATUS, 9), "PWRCTRL.DEVPWRSTATUS"),
    ],
)
def test_a_wait_for_a_peripheral_that_never_changes_is_refused(
    wait: WaitSet, register: str
) -> None:
    message = refused(HELLO, Blamed(wait))
    assert f"the firmware waits for ever on {register}" in message
    assert "the value that it waits for never comes" in message


def test_a_loop_that_waits_on_two_registers_names_both() -> None:
    # ldr r2, [r0, #0x18]; ldr r2, [r1]
    loop = (Load(0, FR - 0x18), Load(1, DEVPWRSTATUS), Blamed(forever(Raw((0x6982, 0x680A)))))
    message = refused(HELLO, loop)
    assert "waits for ever on UART0.FR, PWRCTRL.DEVPWRSTATUS" in message


def test_a_long_count_in_a_register_is_no_end() -> None:
    # subs r3, #1; bne back
    delay = (Load(3, 1_000_000), Raw((0x3B01, 0xD1FD)))
    result = run(FPU, delay, DONE)
    assert result.console == "done\n"
    assert result.instructions > 2_000_000


def test_a_long_count_in_memory_is_no_end() -> None:
    # ldr r2, [r0]; subs r2, #1; str r2, [r0]; bne back
    delay = (Poke(RAM, 200_000), Load(0, RAM), Raw((0x6802, 0x3A01, 0x6002, 0xD1FB)))
    result = run(FPU, delay, DONE)
    assert result.console == "done\n"
    assert result.instructions > 800_000


def test_a_count_in_nested_loops_is_no_end() -> None:
    # movs r2, #200; subs r2, #1; bne; subs r3, #1; bne
    delay = (Load(3, 3000), Raw((0x22C8, 0x3A01, 0xD1FD, 0x3B01, 0xD1FA)))
    assert run(FPU, delay, DONE).console == "done\n"


def test_sending_for_ever_ends_with_the_budget() -> None:
    with pytest.raises(SimulationIncompleteError) as caught:
        run(FPU, CONSOLE, forever(Say("again\r\n")), budget=100_000)
    assert "100,000 instructions ran without a console line with 'done'" in caught.value.what
    assert "the console said last: a" in caught.value.why


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("budget", [1, 2, 100, 5_000])
def test_a_used_up_budget_is_an_end_at_exactly_that_instruction(budget: int, native: bool) -> None:
    with pytest.raises(SimulationIncompleteError) as caught:
        run(FPU, COUNT_FOR_EVER, budget=budget, native_counter=native)
    assert caught.value.what.startswith(f"{budget:,} instructions ran without")
    before_the_loop = (0, 4, 8, 12, 16, 18, 22)
    rounds = budget - len(before_the_loop)
    offset = before_the_loop[budget] if rounds < 0 else 26 + 2 * (rounds % 2)
    assert f"the next one is at 0x{FUNCTION + offset:08X}" in caught.value.what


def test_the_budget_that_just_suffices_is_enough() -> None:
    needed = run(DONE).instructions
    assert run(DONE, budget=needed).instructions == needed
    with pytest.raises(SimulationIncompleteError, match=f"{needed - 1:,} instructions ran"):
        run(DONE, budget=needed - 1)


def test_a_budget_for_inferences_says_what_was_waited_for() -> None:
    with pytest.raises(SimulationIncompleteError, match="ran without 3 lines with a result"):
        run(FPU, CONSOLE, Say(RESULT), COUNT_FOR_EVER, inferences=3, budget=9_000)


def test_a_line_that_begins_with_error_ends_the_run() -> None:
    with pytest.raises(SimulationIncompleteError, match="stopped itself: no arena") as caught:
        run(CONSOLE, Say(RESULT), Say("error: no arena\r\n"), Say("done\r\n"))
    assert caught.value.why == "1 inference was done before"


def test_a_result_that_cannot_be_read_ends_the_run() -> None:
    with pytest.raises(SimulationIncompleteError, match="cannot be read: x_value: 1"):
        run(CONSOLE, Say("x_value: 1\r\n"), Say("done\r\n"))


def test_the_run_ends_right_after_the_line_that_was_waited_for() -> None:
    result = run(CONSOLE, Say("first\r\nit is done now\r\n"), Blamed(Raw((UDF,))))
    assert result.console == "first\nit is done now\n"
    assert result.inferences == ()


def test_results_are_counted_to_the_number_asked_for() -> None:
    result = run(CONSOLE, Say(RESULT * 3), Raw((UDF,)), inferences=3)
    assert len(result.inferences) == 3
    with pytest.raises(SimulationFaultError, match="undefined"):
        run(CONSOLE, Say(RESULT * 3), Raw((UDF,)), inferences=4)


def test_a_call_returns_to_where_it_was_made() -> None:
    assert run(Call(FUNCTION), DONE, functions=[Raw((BX_LR,))]).console == "done\n"


@pytest.mark.parametrize("period", [1, 2, 100, 256])
def test_two_equal_rounds_are_endless_and_anything_else_is_not(period: int) -> None:
    states = [index % period for index in range(512)]
    assert is_endless(states)
    assert not is_endless([*states[:-1], -1])
    assert not is_endless(list(range(512)))


def test_a_loop_of_more_than_half_of_what_is_looked_at_is_not_recognised() -> None:
    assert not is_endless([index % 257 for index in range(512)])


def test_power_pads_and_frame_may_come_in_any_order_that_the_rules_allow() -> None:
    assert run(POWER, UART, UART_PADS, Peek(FR), Say("done\r\n")).console == "done\n"
