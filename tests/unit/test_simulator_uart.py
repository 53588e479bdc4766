from __future__ import annotations

import pytest

from tests.unit.simulator_support import (
    CONSOLE,
    CR,
    DEVPWREN,
    DEVPWRSTATUS,
    DR,
    EDGE,
    FBRD,
    FR,
    GPIO,
    IBRD,
    LCRH,
    LOCK,
    POWER,
    UART,
    UART0,
    UART_PADS,
    UNLOCK,
    Blamed,
    Operation,
    Peek,
    Poke,
    Say,
    WaitSet,
    pad,
    refused,
    run,
)

BYTE = Blamed(Poke(DR, ord("x")))
UART1 = UART0 + 0x1000


def frame(
    *,
    off: int = 0,
    clock: int = 0x18,
    integer: int = 13,
    fraction: int = 1,
    line: int = 0x70,
    on: int = 0x319,
) -> tuple[Operation, ...]:
    return (
        *(Poke(CR, off), Poke(CR, clock), Poke(IBRD, integer), Poke(FBRD, fraction)),
        *(Poke(LCRH, line), Poke(CR, on)),
    )


def console_with(uart: tuple[Operation, ...]) -> tuple[Operation, ...]:
    return (*POWER, *UART_PADS, *uart)


@pytest.mark.parametrize("operation", [Poke(CR, 0), Peek(CR), Peek(FR), Poke(DR, 1)])
def test_an_unpowered_uart_is_refused(operation: Poke | Peek) -> None:
    message = refused(Blamed(operation))
    assert "UART0 was used while it has no power" in message
    assert "bit 7 of PWRCTRL.DEVPWREN" in message


def test_a_uart_is_refused_until_its_power_domain_was_seen_on() -> None:
    message = refused(Poke(DEVPWREN, 1 << 7), Blamed(Poke(CR, 0)))
    assert "before its power domain was seen to be on" in message
    assert "DEVPWRSTATUS bit 2" in message


def test_one_look_at_the_power_status_is_not_enough() -> None:
    start = (Poke(DEVPWREN, 1 << 7), Peek(DEVPWRSTATUS))
    assert "seen to be on" in refused(start, Blamed(Poke(CR, 0)))


def test_another_domain_that_is_on_does_not_power_the_uart() -> None:
    other = (Poke(DEVPWREN, 1 << 1), WaitSet(DEVPWRSTATUS, 3))
    assert "no power" in refused(other, Blamed(Poke(CR, 0)))


def test_a_uart_that_lost_its_power_is_refused() -> None:
    message = refused(CONSOLE, Say("a"), Poke(DEVPWREN, 0), BYTE)
    assert "no power" in message


def test_power_that_came_back_must_be_seen_again() -> None:
    again = (Poke(DEVPWREN, 0), Poke(DEVPWREN, 1 << 7))
    assert "seen to be on" in refused(CONSOLE, again, BYTE)


def test_the_second_uart_has_its_own_power_bit() -> None:
    assert "bit 8 of PWRCTRL.DEVPWREN" in refused(POWER, Blamed(Poke(UART1 + 0x30, 0)))


@pytest.mark.parametrize("control", [0x301, 0x309, 0x359, 0x311])
def test_a_uart_without_clock_is_refused(control: int) -> None:
    message = refused(POWER, Poke(CR, 0), Blamed(Poke(CR, control)))
    assert "UART0 was enabled without a clock" in message
    assert f"CLKEN is {control >> 3 & 1} and CLKSEL is {control >> 4 & 7}" in message


def test_a_byte_while_the_uart_is_disabled_is_refused() -> None:
    message = refused(console_with(frame(on=0x318)), BYTE)
    assert "UART0 was written while it is not enabled" in message
    assert "UARTEN" in message


def test_a_byte_while_the_transmitter_is_off_is_refused() -> None:
    message = refused(console_with(frame(on=0x219)), BYTE)
    assert "its transmitter is off" in message
    assert "TXE (bit 8" in message


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(0x10, id="5 bits"),
        pytest.param(0x50, id="7 bits"),
        pytest.param(0x72, id="odd parity"),
        pytest.param(0x76, id="even parity"),
        pytest.param(0x78, id="two stop bits"),
        pytest.param(0x71, id="break"),
    ],
)
def test_a_wrong_frame_is_refused(line: int) -> None:
    message = refused(console_with(frame(line=line)), BYTE)
    assert "UART0 sends other frames than 8N1" in message
    assert f"LCRH is 0x{line:02X}" in message


@pytest.mark.parametrize(
    ("integer", "fraction", "clock", "on", "rate"),
    [
        (13, 31, 0x18, 0x319, "111,240 baud, -3.4%"),
        (12, 40, 0x18, 0x319, "118,812 baud, +3.1%"),
        (26, 2, 0x18, 0x319, "57,623 baud, -50.0%"),
        (1, 40, 0x18, 0x319, "923,077 baud, +701.3%"),
        (13, 1, 0x28, 0x329, "57,623 baud, -50.0%"),
    ],
)
def test_a_baud_rate_more_than_three_percent_off_is_refused(
    integer: int, fraction: int, clock: int, on: int, rate: str
) -> None:
    uart = frame(clock=clock, integer=integer, fraction=fraction, on=on)
    message = refused(console_with(uart), BYTE)
    assert f"UART0 sends at {rate} off 115,200" in message
    assert f"IBRD {integer} and FBRD {fraction}" in message


@pytest.mark.parametrize(
    ("integer", "fraction", "clock", "on"),
    [
        (13, 1, 0x18, 0x319),
        (13, 27, 0x18, 0x319),
        (12, 42, 0x18, 0x319),
        (6, 33, 0x28, 0x329),
        (3, 16, 0x38, 0x339),
        (1, 40, 0x48, 0x349),
    ],
)
def test_a_baud_rate_within_three_percent_is_taken_on_any_clock(
    integer: int, fraction: int, clock: int, on: int
) -> None:
    uart = frame(clock=clock, integer=integer, fraction=fraction, on=on)
    assert run(console_with(uart), Say("done\r\n")).console == "done\n"


def test_a_uart_without_a_divisor_is_refused() -> None:
    assert "no baud rate" in refused(console_with(frame(integer=0, fraction=63)), BYTE)


def test_divisors_without_a_write_to_lcrh_after_them_are_refused() -> None:
    late = (
        *(Poke(CR, 0), Poke(CR, 0x18), Poke(LCRH, 0x70)),
        *(Poke(IBRD, 13), Poke(FBRD, 1), Poke(CR, 0x319)),
    )
    assert "divisors were written after LCRH" in refused(console_with(late), BYTE)


@pytest.mark.parametrize("register", [IBRD, FBRD, LCRH])
def test_a_frame_change_while_the_uart_is_on_is_refused(register: int) -> None:
    message = refused(CONSOLE, Blamed(Poke(register, 1)))
    assert "was written while UART0 is enabled" in message


@pytest.mark.parametrize("sent", [33, 40])
def test_more_bytes_than_the_buffer_holds_without_a_look_are_refused(sent: int) -> None:
    blind = tuple(Poke(DR, ord("x")) for _ in range(32))
    message = refused(CONSOLE, blind, BYTE, blind[: sent - 33])
    assert "33 bytes were sent by UART0 without a look at its flags" in message
    assert "TXFF (bit 5 of UART0.FR)" in message


def test_as_many_bytes_as_the_buffer_holds_are_sent_blindly() -> None:
    assert run(CONSOLE, Say("x" * 26 + "done\r\n", polled=False)).console == "x" * 26 + "done\n"


def test_a_look_at_the_flags_allows_another_buffer_full() -> None:
    full = Say("x" * 32, polled=False)
    assert run(CONSOLE, full, Peek(FR), full, Peek(FR), Say("done\r\n")).console == (
        "x" * 64 + "done\n"
    )


def test_without_the_fifo_one_byte_fills_the_buffer() -> None:
    message = refused(console_with(frame(line=0x60)), Poke(DR, 1), BYTE)
    assert "2 bytes were sent by UART0" in message
    assert "holds 1" in message


def test_a_byte_that_reaches_no_pad_is_refused() -> None:
    message = refused(POWER, UART, BYTE)
    assert "UART0 sent a byte that reaches no pad" in message
    assert "the function of pad 48, the board's console, is 3" in message
    assert "transmit signal is 0" in message


def test_the_transmit_signal_on_another_pad_does_not_reach_the_console() -> None:
    elsewhere = (UNLOCK, pad(22, 0x00), LOCK)
    assert "the board's console, is 3" in refused(POWER, elsewhere, UART, BYTE)


def test_a_pad_taken_away_later_is_noticed() -> None:
    taken = (UNLOCK, Poke(GPIO + 48, 0x1818), LOCK)
    assert "reaches no pad" in refused(CONSOLE, Say("a"), taken, BYTE)


@pytest.mark.parametrize(
    ("operation", "number", "uart"),
    [
        (Poke(GPIO + 48, 0x1800), 48, 0),
        (Poke(GPIO + 48, 0x0018), 49, 0),
        (pad(22, 0x00), 22, 0),
        (pad(8, 0x30), 8, 1),
        (pad(9, 0x30), 9, 1),
    ],
)
def test_a_pad_given_to_an_unpowered_uart_is_refused(
    operation: Poke, number: int, uart: int
) -> None:
    message = refused(UNLOCK, Blamed(operation))
    assert f"pad {number} was given to UART{uart} while UART{uart} has no power" in message
    assert f"bit {7 + uart} is 0" in message


def test_a_value_wider_than_a_byte_is_refused() -> None:
    message = refused(CONSOLE, Blamed(Poke(DR, 0xFFFF_FFE4)))
    assert "0xFFFFFFE4 was written to UART0.DR, more than a byte" in message


@pytest.mark.parametrize("bit", [1, 2, 7, 10, 11, 12, 13, 14, 15])
def test_control_bits_that_are_not_modelled_are_refused(bit: int) -> None:
    assert "not modelled" in refused(POWER, Blamed(Poke(CR, 1 << bit)))


def test_uart_interrupts_are_refused() -> None:
    assert "an interrupt of UART0 was enabled" in refused(POWER, Blamed(Poke(UART0 + 0x38, 0x20)))


def test_receiving_is_refused() -> None:
    assert "UART0.DR at 0x4001C000, which is write-only" in refused(CONSOLE, Blamed(Peek(DR)))


def test_the_flags_cannot_be_written() -> None:
    assert "UART0.FR at 0x4001C018, which is read-only" in refused(CONSOLE, Blamed(Poke(FR, 0)))


def test_a_uart_that_is_not_the_console_sends_to_nobody() -> None:
    second = (
        *(Poke(DEVPWREN, 3 << 7), WaitSet(DEVPWRSTATUS, 2)),
        *(UNLOCK, pad(8, 0x30), LOCK),
        *(Poke(UART1 + 0x30, 0x18), Poke(UART1 + 0x24, 26), Poke(UART1 + 0x2C, 0x70)),
        *(Poke(UART1 + 0x30, 0x319), Poke(UART1, ord("!"))),
    )
    assert run(second, UART_PADS, UART, Say("done\r\n")).console == "done\n"


def test_another_rate_in_the_board_description_is_the_one_that_counts() -> None:
    console = EDGE.console.model_copy(update={"baud": 921_600})
    board = EDGE.model_copy(update={"console": console})
    assert "-87.5% off 921,600" in refused(CONSOLE, BYTE, board=board)
    fast = console_with(frame(integer=1, fraction=40))
    assert run(fast, Say("done\r\n"), board=board).console == "done\n"
