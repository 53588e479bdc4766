from __future__ import annotations

import re
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.chips.nrf52840.clock import Clock
from simulator.chips.nrf52840.gpio import Gpio, is_pin, parse_pin, pin_name
from simulator.memory import UNKNOWN
from tests.unit.nrf52840_support import (
    BAUD,
    BAUDRATE,
    CLOCK,
    CNT,
    CONFIG,
    CONSOLE,
    COUNTERTOP,
    CRYSTAL,
    DECODER,
    DIR,
    DIRCLR,
    DIRSET,
    ENABLE,
    ENABLE_PWM,
    ENABLE_UARTE,
    ENDTX,
    FRAME,
    HFCLKSTART,
    HFCLKSTARTED,
    HFCLKSTAT,
    HIGH_FIRST,
    IN,
    INPUT,
    INTEN,
    INTENSET,
    LED,
    LED_OUTPUT,
    LED_SELECT,
    LOOP,
    MAXCNT,
    MODE,
    NANO,
    OUT,
    OUTCLR,
    OUTPUT,
    OUTSET,
    P0,
    P1,
    PINS,
    PLAY,
    PRESCALER,
    PSEL_OUT,
    PSEL_RXD,
    PSEL_TXD,
    PWM0,
    PWM1,
    QUARTER,
    RAM,
    REFRESH,
    RESET_CNF,
    RX_INPUT,
    SELECT_RX,
    SELECT_TX,
    SEQ0,
    SEQ1,
    SEQSTART0,
    SEQSTART1,
    SEQUENCE,
    SHORTS,
    STARTTX,
    STOP,
    STOPTX,
    TEXT,
    TOP,
    TX_HIGH,
    TX_OUTPUT,
    TXD_PTR,
    TXSTOPPED,
    UARTE0,
    UARTE1,
    Parts,
    cnf,
    halves,
    led,
    nano_firmware,
    nano_refused,
    run_nano,
    say,
    sequence,
    start_sending,
    words,
)
from tests.unit.simulator_support import RESULT, Blamed, Peek, Poke, WaitSet, run_image
from toolchain.boards import Board
from toolchain.errors import BoardDescriptionError, SimulationFaultError

END = NANO.ram.end
SELECTED = (*PINS, SELECT_TX, SELECT_RX, BAUD, FRAME)


def board_with(*, led_pin: str = "P0.13", active: str = "high", stack: int = 0x2000) -> Board:
    return Board.model_validate(
        {
            **NANO.model_dump(),
            "led": [{"name": "builtin", "pin": led_pin, "active": active, "pwm": "PWM0"}],
            "application": {**NANO.application.model_dump(), "stack_size": stack},
        }
    )


# Boot


def test_text_is_sent_by_easydma() -> None:
    result = run_nano(CRYSTAL, CONSOLE, say("one\r\n"), say("two\r\n"), say("done\r\n"))
    assert result.console == "one\ntwo\ndone\n"


def test_lines_after_the_end_of_a_run_are_left_out_of_the_same_transmission() -> None:
    assert run_nano(CONSOLE, say("one\r\ndone\r\nmore\r\nhalf")).console == "one\ndone\n"
    image = nano_firmware(CONSOLE, say(RESULT + RESULT + "error: gone wrong\r\n")).image
    result = run_image(image, board=NANO, inferences=1)
    assert len(result.inferences) == 1
    assert result.console == RESULT.replace("\r", "")


def test_a_stack_at_the_very_end_of_the_ram_is_started() -> None:
    assert NANO.application.initial_stack_pointer == END
    image = nano_firmware(CONSOLE, say("done\r\n")).image
    assert struct.unpack_from("<I", image) == (END,)
    assert run_image(image, board=NANO).console == "done\n"


@pytest.mark.parametrize(
    ("first_word", "message"),
    [(END + 8, "multiple of 8 in ram"), (0xFFFF_FFFF, "is 0xFFFFFFFF"), (RAM, "in ram")],
)
def test_a_stack_outside_the_ram_is_refused(first_word: int, message: str) -> None:
    image = bytearray(nano_firmware(CONSOLE, say("done\r\n")).image)
    struct.pack_into("<I", image, 0, first_word)
    with pytest.raises(SimulationFaultError, match=f"(?s)at 0x00010000.*{message}|{message}"):
        run_image(bytes(image), board=NANO)


def test_the_bootloaders_flash_is_not_there() -> None:
    message = nano_refused(Blamed(Peek(0x8000)))
    assert "read from 0x00008000" in message
    assert "the bootloader" in message


@pytest.mark.parametrize("pin", ["P0.32", "P1.16", "P2.00", "P0.5", "13", "D13", "P0.013"])
def test_a_board_with_a_pin_that_the_chip_does_not_have_is_one_error(pin: str) -> None:
    with pytest.raises(BoardDescriptionError, match=f"no pin '{pin}'"):
        run_nano(CONSOLE, board=board_with(led_pin=pin))


@pytest.mark.parametrize("name", ["UART0", "UARTE2", "USBD"])
def test_a_board_with_a_console_that_the_chip_does_not_have_is_one_error(name: str) -> None:
    console = NANO.console.model_copy(update={"peripheral": name})
    with pytest.raises(BoardDescriptionError, match=rf"'{name}'(?s:.*)UARTE0 and UARTE1"):
        run_nano(CONSOLE, board=NANO.model_copy(update={"console": console}))


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        (0x1000_0100, "FICR"),
        (0x4000_8000, "TIMER0"),
        (0x4002_7504, "USBD"),
        (0x4001_E504, "NVMC"),
        (0x5002_A500, "CRYPTOCELL"),
    ],
)
def test_a_peripheral_that_is_not_modelled_is_named(address: int, owner: str) -> None:
    message = nano_refused(Blamed(Peek(address)))
    assert f"0x{address:08X}" in message
    assert f"it belongs to {owner}" in message


@pytest.mark.parametrize("address", [0x4002_A000, 0x5000_1000, 0x0080_0000, 0x2004_0000])
def test_an_address_where_nothing_is_is_refused(address: int) -> None:
    assert "nothing is at this address" in nano_refused(Blamed(Peek(address)))


# Clock


def test_the_crystal_is_seen_to_run_after_it_was_started() -> None:
    waits = WaitSet(HFCLKSTAT, 0), WaitSet(HFCLKSTAT, 16)
    assert run_nano(CRYSTAL, waits, CONSOLE, say("done\r\n")).console == "done\n"


def test_a_wait_for_a_crystal_that_nobody_started_is_explained() -> None:
    with pytest.raises(SimulationFaultError) as caught:
        run_nano(WaitSet(HFCLKSTARTED, 0))
    assert "waits for ever on CLOCK.EVENTS_HFCLKSTARTED" in str(caught.value)
    assert "1 was not written to CLOCK.TASKS_HFCLKSTART" in str(caught.value)


def test_a_wait_for_an_event_that_a_running_crystal_gave_before_is_explained() -> None:
    with pytest.raises(SimulationFaultError) as caught:
        run_nano(CRYSTAL, Poke(HFCLKSTARTED, 0), WaitSet(HFCLKSTARTED, 0))
    assert "waits for ever on CLOCK.EVENTS_HFCLKSTARTED" in str(caught.value)
    assert "TASKS_HFCLKSTART" not in str(caught.value)


def test_a_crystal_that_was_stopped_does_not_run() -> None:
    with pytest.raises(SimulationFaultError, match=r"waits for ever on CLOCK\.HFCLKSTAT"):
        run_nano(CRYSTAL, Poke(HFCLKSTART + 4, 1), WaitSet(HFCLKSTAT, 16))


def test_a_running_crystal_answers_a_second_start() -> None:
    again = Poke(HFCLKSTARTED, 0), Poke(HFCLKSTART, 1), WaitSet(HFCLKSTARTED, 0)
    assert run_nano(CRYSTAL, again, CONSOLE, say("done\r\n")).console == "done\n"


def test_the_crystal_takes_a_while_and_answers_at_once_when_it_runs() -> None:
    clock = Clock()
    states = []
    for _ in range(2):
        clock.write(0x100, 4, 0)
        clock.write(0x000, 4, 1)
        states.append([(clock.read(0x100, 4), clock.read(0x408, 4)) for _look in range(3)])
    assert states == [[(0, 1), (1, 1), (1, 1)], [(1, 1), (1, 1), (1, 1)]]
    assert clock.read(0x40C, 4) == 0x1_0001
    clock.write(0x004, 4, 1)
    assert (clock.read(0x408, 4), clock.read(0x40C, 4)) == (0, 0)


def test_the_slow_clock_is_not_modelled() -> None:
    assert "no register is modelled" in nano_refused(Blamed(Poke(CLOCK + 0x008, 1)))


# Tasks, events, interrupts


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("CLOCK.TASKS_HFCLKSTART", HFCLKSTART),
        ("UARTE0.TASKS_STARTTX", UARTE0 + STARTTX),
        ("UARTE0.TASKS_STOPTX", UARTE0 + STOPTX),
        ("PWM0.TASKS_SEQSTART[0]", PWM0 + SEQSTART0),
        ("PWM0.TASKS_STOP", PWM0 + STOP),
    ],
)
def test_a_task_is_started_by_1_only(name: str, address: int) -> None:
    zero = nano_refused(CONSOLE, Blamed(Poke(address, 0)))
    assert f"0 was written to {name}" in zero
    assert "a task starts when 1 is written" in zero
    assert "reserved" in nano_refused(CONSOLE, Blamed(Poke(address, 3)))
    assert "write-only" in nano_refused(CONSOLE, Blamed(Peek(address)))


@pytest.mark.parametrize("address", [HFCLKSTARTED, UARTE0 + ENDTX, PWM0 + 0x110])
def test_an_event_is_not_made_by_the_program(address: int) -> None:
    assert "a program only clears them" in nano_refused(Blamed(Poke(address, 1)))


@pytest.mark.parametrize("base", [UARTE0, UARTE1, PWM0])
@pytest.mark.parametrize("register", [INTEN, INTENSET])
def test_an_interrupt_is_refused(base: int, register: int) -> None:
    bit = 1 << 8 if base in {UARTE0, UARTE1} else 1 << 4
    assert "models no interrupts" in nano_refused(Blamed(Poke(base + register, bit)))


def test_interrupts_can_be_disabled() -> None:
    disable = Poke(UARTE0 + 0x308, 1 << 8), Poke(PWM0 + 0x308, 1 << 4), Poke(CLOCK + 0x308, 1)
    assert run_nano(disable, CONSOLE, say("done\r\n")).console == "done\n"


@pytest.mark.parametrize(("base", "bits"), [(UARTE0, 1 << 5), (PWM0, 1 << 0)])
def test_a_shortcut_is_refused(base: int, bits: int) -> None:
    assert "models no shortcuts" in nano_refused(Blamed(Poke(base + SHORTS, bits)))


# Pins


def test_a_pin_that_is_set_and_never_made_an_output_is_refused_at_the_next_text() -> None:
    message = nano_refused(CONSOLE, Blamed(Poke(P0 + OUTSET, 1 << 13)), say("done\r\n"))
    assert "P0.13 was set high and never made an output" in message
    assert "set DIR, bit 0 of P0.PIN_CNF[13] (0x50000734)" in message


def test_a_pin_is_no_output_any_more_when_its_direction_is_cleared() -> None:
    set_late = Poke(P1 + DIRCLR, 1 << 12), Blamed(Poke(P1 + OUT, 1 << 12 | 1 << 3))
    message = nano_refused(CONSOLE, cnf(44, OUTPUT), set_late, say("done\r\n"))
    assert "P1.12 was set high and never made an output" in message


def test_a_pin_that_is_set_and_made_an_input_is_refused() -> None:
    set_early = Blamed(Poke(P0 + OUTSET, 1 << 13))
    message = nano_refused(CONSOLE, set_early, cnf(13, INPUT), say("done\r\n"))
    assert "P0.13 was set high and never made an output" in message


def test_a_pin_may_be_set_before_it_is_made_an_output() -> None:
    early = Poke(P0 + OUTSET, 1 << 13), Poke(P0 + DIRSET, 1 << 13)
    assert led(early) == 1.0
    assert led(Poke(P0 + OUT, 1 << 13), LED_OUTPUT) == 1.0


def test_a_pin_that_is_set_and_cleared_again_need_not_be_an_output() -> None:
    assert led(Poke(P0 + OUTSET, 1 << 13), Poke(P0 + OUTCLR, 1 << 13)) == 0.0


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (cnf(13, 0x2 << 2), "PULL of P0.PIN_CNF[13] was set to 2"),
        (cnf(42, 0x1 << 16), "SENSE of P1.PIN_CNF[10] was set to 1"),
        (cnf(13, 0x10), "bits 0x00000010 of which are reserved"),
        (Poke(P1 + OUTSET, 1 << 16), "GPIO.P1.OUTSET, bits 0x00010000 of which are reserved"),
        (Poke(P1 + DIR, 1 << 31), "GPIO.P1.DIR, bits 0x80000000 of which are reserved"),
        (Poke(P1 + 0x700 + 4 * 16, 3), "no register is modelled"),
        (Poke(P0 + IN, 1), "read-only"),
        (Poke(P0 + OUTSET, 1, size=1), "whole aligned words only"),
    ],
)
def test_a_pin_cannot_be_configured_as_there_is_none(operation: Poke, message: str) -> None:
    assert message in nano_refused(Blamed(operation))


def test_a_level_without_a_pwm_lights_the_led() -> None:
    high, low = Poke(P0 + OUTSET, 1 << 13), Poke(P0 + OUTCLR, 1 << 13)
    assert led(LED_OUTPUT, high) == 1.0
    assert led(LED_OUTPUT, high, low) == 0.0
    assert led(LED_OUTPUT, low, board=board_with(active="low")) == 1.0
    assert led(LED_OUTPUT, high, board=board_with(active="low")) == 0.0


@pytest.mark.parametrize(("drive", "low", "high"), [(0, 1.0, 0.0), (4, 0.0, 0.0), (6, 1.0, 0.0)])
def test_a_led_is_dark_where_its_pin_does_not_drive_it(drive: int, low: float, high: float) -> None:
    configured = cnf(13, OUTPUT | drive << 8)
    active_low = board_with(active="low")
    assert led(configured, board=active_low) == low
    assert led(configured, Poke(P0 + OUTSET, 1 << 13), board=active_low) == high


def gpio() -> Gpio:
    return Gpio(lambda: 0x1234)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0x300]),
            st.sampled_from([OUT, OUTSET, OUTCLR, DIR, DIRSET, DIRCLR]),
            st.integers(0, 0xFFFF),
        ),
        max_size=12,
    )
)
@settings(max_examples=60)
def test_set_and_clear_registers_change_only_the_ones(writes: list[tuple[int, int, int]]) -> None:
    pins = gpio()
    expected = {(port, register): 0 for port in (0, 0x300) for register in (OUT, DIR)}
    for port, register, value in writes:
        pins.write(port + register, 4, value)
        base = OUT if register in {OUT, OUTSET, OUTCLR} else DIR
        old = expected[port, base]
        expected[port, base] = {0: value, 4: old | value, 8: old & ~value}[register - base]
    for (port, base), value in expected.items():
        for register in (base, base + 4, base + 8):
            assert pins.read(port + register, 4) == value
    for port in (0, 0x300):
        for index in range(16):
            configuration = pins.read(port + 0x700 + 4 * index, 4)
            assert configuration == RESET_CNF | expected[port, DIR] >> index & 1


def test_the_direction_in_a_pins_configuration_is_that_of_its_port() -> None:
    pins = gpio()
    pins.write(0x300 + 0x700 + 4 * 3, 4, OUTPUT)
    assert pins.read(0x300 + DIR, 4) == 1 << 3
    pins.write(0x300 + DIRCLR, 4, 1 << 3)
    assert pins.read(0x300 + 0x700 + 4 * 3, 4) == RESET_CNF
    assert pins.configured_at(35) == 0x1234


@pytest.mark.parametrize(
    ("configuration", "out", "level"),
    [
        (RESET_CNF, 0, 0),
        (INPUT, 0, 0),
        (INPUT | 3 << 2, 0, 1),
        (INPUT | 1 << 2, 0, 0),
        (RESET_CNF | 3 << 2, 0, 0),
        (OUTPUT, 1, 0),
        (OUTPUT & ~2, 1, 1),
        (OUTPUT & ~2, 0, 0),
    ],
)
def test_an_input_reads_what_its_buffer_lets_in(configuration: int, out: int, level: int) -> None:
    pins = gpio()
    pins.write(0x700 + 4 * 7, 4, configuration)
    pins.write(OUT, 4, out << 7)
    assert pins.read(IN, 4) == level << 7


@given(st.integers(0, 70))
def test_a_pins_name_is_its_number(pin: int) -> None:
    assert parse_pin(pin_name(pin)) == (pin if is_pin(pin) else None)
    assert is_pin(pin) == (pin < 48)


# UARTE: pins


def test_the_wrong_transmit_pin_is_refused() -> None:
    wrong = Poke(P1 + OUTSET, 1 << 2), cnf(34, OUTPUT), Poke(UARTE0 + PSEL_TXD, 34)
    message = nano_refused(PINS, wrong, BAUD, Blamed(ENABLE_UARTE))
    assert "UARTE0 was enabled with P1.02 as its transmit pin" in message
    assert "the board's console is on P1.03" in message
    assert "write 35 (0x23) to UARTE0.PSEL.TXD" in message


def test_a_transmission_without_a_pin_is_refused() -> None:
    message = nano_refused(
        RX_INPUT,
        SELECT_RX,
        BAUD,
        ENABLE_UARTE,
        words(TEXT, b"done"),
        start_sending(TEXT, 4)[:-1],
        Blamed(Poke(UARTE0 + STARTTX, 1)),
    )
    assert "UARTE0 sends to no pin" in message
    assert "disconnected" in message


def test_a_transmit_pin_that_is_not_an_output_is_refused() -> None:
    message = nano_refused(SELECT_TX, BAUD, Blamed(ENABLE_UARTE))
    assert "enabled while its transmit pin P1.03 is not an output" in message


def test_a_transmit_pin_that_is_low_is_refused() -> None:
    message = nano_refused(TX_OUTPUT, SELECT_TX, BAUD, Blamed(ENABLE_UARTE))
    assert "enabled while its transmit pin P1.03 is not high" in message
    assert "the line idles high" in message


def test_a_transmit_pin_that_cannot_drive_high_is_refused() -> None:
    open_drain = TX_HIGH, cnf(35, OUTPUT | 6 << 8)
    assert "is not high" in nano_refused(open_drain, SELECT_TX, BAUD, Blamed(ENABLE_UARTE))


def test_a_transmit_pin_that_is_made_an_input_later_is_refused() -> None:
    message = nano_refused(
        CONSOLE,
        Poke(P1 + DIRCLR, 1 << 3),
        words(TEXT, b"done"),
        start_sending(TEXT, 4)[:-1],
        Blamed(Poke(UARTE0 + STARTTX, 1)),
    )
    assert "started while its transmit pin P1.03 is not an output" in message


@pytest.mark.parametrize("configuration", [RESET_CNF, OUTPUT])
def test_a_receive_pin_that_is_no_input_is_refused(configuration: int) -> None:
    message = nano_refused(
        TX_HIGH,
        TX_OUTPUT,
        cnf(42, configuration),
        SELECT_TX,
        SELECT_RX,
        BAUD,
        Blamed(ENABLE_UARTE),
    )
    assert "receive pin P1.10 is no input" in message


@pytest.mark.parametrize("register", [0x508, PSEL_TXD, 0x510, PSEL_RXD])
def test_a_pin_selected_while_the_uarte_is_enabled_is_refused(register: int) -> None:
    message = nano_refused(CONSOLE, Blamed(Poke(UARTE0 + register, 0xFFFF_FFFF)))
    assert "was written while UARTE0 is enabled" in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (35 | 1 << 6, "bits 30:6 of which are reserved"),
        (35 | 0x7FFF_FFC0 & ~(1 << 30), "reserved"),
        (32 + 16, "PSEL.TXD was set to P1.16"),
        (63, "P1.31"),
    ],
)
def test_a_pin_selection_that_means_no_pin_is_refused(value: int, message: str) -> None:
    assert message in nano_refused(PINS, Blamed(Poke(UARTE0 + PSEL_TXD, value)))


@pytest.mark.parametrize("value", [0xFFFF_FFFF, 0x8000_0000, 0x8000_0030])
def test_a_disconnected_pin_may_have_any_number(value: int) -> None:
    unused = Poke(UARTE0 + 0x508, value), Poke(UARTE0 + 0x510, value)
    assert run_nano(unused, CONSOLE, say("done\r\n")).console == "done\n"


def test_a_pin_with_two_drivers_is_refused() -> None:
    second = Poke(PWM0 + PSEL_OUT, 35), Blamed(ENABLE_PWM)
    message = nano_refused(CONSOLE, second)
    assert "PWM0 was enabled on P1.03, which UARTE0 drives" in message
    first = Poke(PWM0 + PSEL_OUT, 35), ENABLE_PWM, SELECTED, Blamed(ENABLE_UARTE)
    assert "UARTE0 was enabled on P1.03, which PWM0 drives" in nano_refused(first)
    other = Poke(PWM1 + PSEL_OUT, 13), Blamed(Poke(PWM1 + ENABLE, 1))
    assert "PWM1 was enabled on P0.13, which PWM0 drives" in nano_refused(LED, other)


def test_a_pin_is_free_when_its_driver_is_disabled() -> None:
    gone = Poke(PWM0 + PSEL_OUT, 35), ENABLE_PWM, Poke(PWM0 + ENABLE, 0)
    assert run_nano(gone, CONSOLE, say("done\r\n")).console == "done\n"


# UARTE: enabling, rate, frame


@pytest.mark.parametrize("value", [1, 2, 5, 9, 15])
def test_an_enable_that_enables_nothing_is_refused(value: int) -> None:
    message = nano_refused(SELECTED, Blamed(Poke(UARTE0 + ENABLE, value)))
    assert f"{value} was written to UARTE0.ENABLE" in message


def test_the_uart_without_easydma_is_refused() -> None:
    message = nano_refused(SELECTED, Blamed(Poke(UARTE0 + ENABLE, 4)))
    assert "enabled as the UART without EasyDMA" in message
    assert "no register is modelled" in nano_refused(Blamed(Poke(UARTE0 + 0x51C, 0x41)))


def test_a_transmission_while_disabled_is_refused() -> None:
    started = start_sending(TEXT, 4)[:-1], Blamed(Poke(UARTE0 + STARTTX, 1))
    message = nano_refused(SELECTED, words(TEXT, b"done"), started)
    assert "started while UARTE0 is not enabled" in message
    again = CONSOLE, say("x\r\n"), Poke(UARTE0 + ENABLE, 0), started
    assert "started while UARTE0 is not enabled" in nano_refused(*again)


@pytest.mark.parametrize(
    ("register", "rate"),
    [
        (None, r"250,000 baud, \+117.0% off 115,200"),
        (0x01D6_0000 // 2, r"57,554 baud"),
        (0x0, r"0 baud, -100.0% off"),
        (0x0F00_0000, r"941,176 baud"),
        (0x01E6_0000, r"119,403 baud, \+3.6% off"),
        (0x01C6_0000, r"111,111 baud, -3.5% off"),
    ],
)
def test_a_rate_that_the_other_end_cannot_read_is_refused(register: int | None, rate: str) -> None:
    baud: Parts = () if register is None else Poke(UARTE0 + BAUDRATE, register)
    start = start_sending(TEXT, 6)
    parts = PINS, SELECT_TX, SELECT_RX, baud, ENABLE_UARTE, start[:-1]
    message = nano_refused(parts, Blamed(start[-1]))
    assert re.search(rf"UARTE0 sends at {rate}", message), message
    assert "BAUDRATE is 0x" in message


@pytest.mark.parametrize("register", [0x01D7_E000, 0x01E3_0000, 0x01CA_0000])
def test_a_rate_within_the_error_is_taken(register: int) -> None:
    other = Poke(UARTE0 + BAUDRATE, register)
    assert run_nano(CONSOLE, other, say("done\r\n")).console == "done\n"


@pytest.mark.parametrize("config", [0x01, 0x0E, 0x10])
def test_another_frame_than_8n1_is_refused(config: int) -> None:
    start = words(TEXT, b"done"), start_sending(TEXT, 4)[:-1], Blamed(Poke(UARTE0 + STARTTX, 1))
    message = nano_refused(CONSOLE, Poke(UARTE0 + CONFIG, config), start)
    assert "other frames than 8N1" in message
    assert f"CONFIG is 0x{config:02X}" in message


def test_a_parity_that_there_is_not_is_refused() -> None:
    assert "PARITY of UARTE0.CONFIG was set to 1" in nano_refused(Blamed(Poke(UARTE0 + CONFIG, 2)))


# UARTE: EasyDMA and the order of things


@pytest.mark.parametrize(
    ("address", "size", "message"),
    [
        (0x1_0000, 4, "EasyDMA was pointed at flash: UARTE0.TXD.PTR is 0x00010000"),
        (0x0, 4, "pointed at flash"),
        (0xF_FFFC, 16, "pointed at flash"),
        (END - 3, 4, "pointed beyond the RAM: UARTE0.TXD.PTR is 0x2003FFFD"),
        (END, 1, "pointed at no memory"),
        (0x4000_2000, 4, "pointed at no memory"),
        (RAM - 1, 4, "pointed at no memory"),
        (0xFFFF_FFFF, 4, "pointed at no memory"),
        (TEXT, 0, r"TXD.MAXCNT is 0"),
    ],
)
def test_a_buffer_that_is_not_in_ram_is_refused(address: int, size: int, message: str) -> None:
    started = start_sending(address, size)
    assert message in nano_refused(CONSOLE, started[:-1], Blamed(started[-1]))


@pytest.mark.parametrize(("address", "size"), [(RAM, 1), (END - 1, 1), (RAM + 1, 65535)])
def test_a_buffer_that_just_fits_the_ram_is_sent(address: int, size: int) -> None:
    parts = CONSOLE, start_sending(address, size), WaitSet(UARTE0 + ENDTX, 0), say("\r\ndone\r\n")
    text = run_nano(*parts).console
    assert text == f"\\x{UNKNOWN:02x}" * size + "\ndone\n"


def test_a_count_of_more_than_16_bits_is_refused() -> None:
    assert "reserved" in nano_refused(CONSOLE, Blamed(Poke(UARTE0 + MAXCNT, 0x1_0000)))


def test_a_buffer_across_the_stacks_last_page_is_sent() -> None:
    board = board_with(stack=0x2100)
    page = (END - 0x2100) & ~0x3FF
    for edge in (page, page + 0x400):
        result = run_nano(CONSOLE, say("across\r\ndone\r\n", edge - 8), board=board)
        assert result.console == "across\ndone\n"


def test_a_second_transmission_without_a_look_at_the_first_is_refused() -> None:
    first, second = start_sending(TEXT, 4), start_sending(TEXT, 4)
    message = nano_refused(CONSOLE, words(TEXT, b"abcd"), first, second[:-1], Blamed(second[-1]))
    assert "started while one runs" in message
    assert "was not waited for" in message


def test_an_event_left_from_the_transmission_before_is_no_end_of_this_one() -> None:
    start = Poke(UARTE0 + STARTTX, 1)
    message = nano_refused(
        CONSOLE, say("one\r\n"), start, WaitSet(UARTE0 + ENDTX, 0), Blamed(start)
    )
    assert "started while one runs" in message
    assert "left set by the transmission before" in message


def test_a_wait_without_a_transmission_is_explained() -> None:
    wait = Poke(UARTE0 + ENDTX, 0), WaitSet(UARTE0 + ENDTX, 0)
    with pytest.raises(SimulationFaultError) as caught:
        run_nano(CONSOLE, say("one\r\n"), wait)
    assert "waits for ever on UARTE0.EVENTS_ENDTX" in str(caught.value)
    assert "no transmission runs" in str(caught.value)
    with pytest.raises(SimulationFaultError) as caught:
        run_nano(CONSOLE, WaitSet(UARTE0 + TXSTOPPED, 0))
    assert "waits for ever on UARTE0.EVENTS_TXSTOPPED" in str(caught.value)
    assert "no transmission runs" not in str(caught.value)


def test_a_buffer_that_is_changed_while_it_is_sent_is_refused() -> None:
    start = words(TEXT, b"abcd"), start_sending(TEXT, 4), Poke(TEXT, 0x41)
    with pytest.raises(SimulationFaultError) as caught:
        run_nano(CONSOLE, start, WaitSet(UARTE0 + ENDTX, 0))
    assert "buffer was changed while it was being sent" in str(caught.value)
    assert f"0x{TEXT:08X}" in str(caught.value)


def test_the_pointer_may_be_changed_while_the_buffer_is_sent() -> None:
    start = words(TEXT, b"one\n"), start_sending(TEXT, 4), Poke(UARTE0 + TXD_PTR, RAM)
    result = run_nano(CONSOLE, start, WaitSet(UARTE0 + ENDTX, 0), say("done\r\n"))
    assert result.console == "one\ndone\n"


@pytest.mark.parametrize(
    ("operation", "message"),
    [(Poke(UARTE0 + ENABLE, 0), "disabled while"), (Poke(UARTE0 + STOPTX, 1), "stopped while")],
)
def test_a_transmission_that_is_cut_off_is_refused(operation: Poke, message: str) -> None:
    start = words(TEXT, b"abcd"), start_sending(TEXT, 4)
    assert message in nano_refused(CONSOLE, start, Blamed(operation))


def test_an_idle_transmitter_can_be_stopped_and_the_uarte_disabled() -> None:
    stop = Poke(UARTE0 + STOPTX, 1), WaitSet(UARTE0 + TXSTOPPED, 0), Poke(UARTE0 + ENABLE, 0)
    result = run_nano(CONSOLE, say("one\r\n"), stop, ENABLE_UARTE, say("done\r\n"))
    assert result.console == "one\ndone\n"


def test_a_uarte_is_disabled_whatever_its_pins_are() -> None:
    off = Poke(P1 + DIRCLR, 1 << 3), Poke(UARTE0 + ENABLE, 0), Poke(P1 + DIRSET, 1 << 3)
    result = run_nano(CONSOLE, say("one\r\n"), off, ENABLE_UARTE, say("done\r\n"))
    assert result.console == "one\ndone\n"


def test_the_amount_sent_can_be_read_and_not_written() -> None:
    assert "read-only" in nano_refused(CONSOLE, Blamed(Poke(UARTE0 + 0x54C, 1)))
    nibble = say("one\r\n"), WaitSet(UARTE0 + 0x54C, 0), WaitSet(UARTE0 + 0x54C, 2)
    assert run_nano(CONSOLE, nibble, say("done\r\n")).console == "one\ndone\n"


def test_the_other_uarte_is_not_heard() -> None:
    other = (
        (Poke(P0 + OUTSET, 1 << 4), cnf(4, OUTPUT), Poke(UARTE1 + PSEL_TXD, 4)),
        (Poke(UARTE1 + ENABLE, 8), words(TEXT, b"lost"), start_sending(TEXT, 4, UARTE1)),
        WaitSet(UARTE1 + ENDTX, 0),
    )
    assert run_nano(CONSOLE, other, say("done\r\n")).console == "done\n"


def test_receiving_is_not_modelled() -> None:
    assert "no register is modelled" in nano_refused(CONSOLE, Blamed(Poke(UARTE0, 1)))


# PWM


def test_the_brightness_is_that_of_the_sequence() -> None:
    assert led(LED) == 0.25


@pytest.mark.parametrize(
    ("value", "brightness"),
    [
        (HIGH_FIRST | 0, 0.0),
        (HIGH_FIRST | 1, 0.005),
        (HIGH_FIRST | 199, 0.995),
        (HIGH_FIRST | 200, 1.0),
        (HIGH_FIRST | 201, 1.0),
        (HIGH_FIRST | 0x7FFF, 1.0),
        (0, 1.0),
        (50, 0.75),
        (200, 0.0),
        (201, 0.0),
    ],
)
def test_the_polarity_bit_says_which_part_is_high(value: int, brightness: float) -> None:
    lit = led(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, sequence(value), PLAY)
    assert lit == pytest.approx(brightness, abs=1e-12)
    dark = led(
        *(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, sequence(value), PLAY),
        board=board_with(active="low"),
    )
    assert dark == pytest.approx(1 - brightness, abs=1e-12)


def test_a_value_in_ram_shows_only_when_its_sequence_is_started() -> None:
    change = halves(SEQUENCE, HIGH_FIRST | 100)
    assert led(LED, change) == 0.25
    assert led(LED, change, PLAY) == 0.5


def test_a_sequence_that_was_never_started_leaves_the_pins_level() -> None:
    ready = LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, QUARTER
    assert led(*ready) == 0.0
    assert led(Poke(P0 + OUTSET, 1 << 13), *ready) == 1.0


def test_both_sequences_can_be_played() -> None:
    second = sequence(HIGH_FIRST | 150, at=SEQUENCE + 8, seq=SEQ1), Poke(PWM0 + SEQSTART1, 1)
    assert led(LED, second) == 0.75
    assert led(LED, second, PLAY) == 0.25


def test_the_last_step_of_a_sequence_stays() -> None:
    steps = sequence(HIGH_FIRST | 10, HIGH_FIRST | 20, HIGH_FIRST | 40)
    assert led(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, steps, PLAY) == 0.2


@pytest.mark.parametrize(
    ("load", "values", "brightness"),
    [
        (0, (40,), (0.2, 0.2, 0.2, 0.2)),
        (1, (40, 80), (0.2, 0.2, 0.4, 0.4)),
        (2, (20, 40, 60, 80), (0.1, 0.2, 0.3, 0.4)),
    ],
)
@pytest.mark.parametrize("channel", range(4))
def test_each_channel_takes_its_value_of_a_step(
    load: int, values: tuple[int, ...], brightness: tuple[float, ...], channel: int
) -> None:
    lit = led(
        *(LED_OUTPUT, Poke(PWM0 + PSEL_OUT + 4 * channel, 13), ENABLE_PWM, TOP),
        Poke(PWM0 + DECODER, load),
        *(sequence(*(HIGH_FIRST | value for value in values)), PLAY),
    )
    assert lit == pytest.approx(brightness[channel])


@pytest.mark.parametrize(
    ("operation", "brightness"), [(Poke(PWM0 + STOP, 1), 0.0), (Poke(PWM0 + ENABLE, 0), 0.0)]
)
def test_a_stopped_pwm_leaves_the_pins_level(operation: Poke, brightness: float) -> None:
    assert led(LED, operation) == brightness
    assert led(Poke(P0 + OUTSET, 1 << 13), LED, operation) == 1.0


def test_a_pwm_that_is_enabled_again_waits_for_its_sequence() -> None:
    again = Poke(PWM0 + ENABLE, 0), ENABLE_PWM
    assert led(LED, again) == 0.0
    assert led(LED, again, PLAY) == 0.25
    assert led(LED, ENABLE_PWM) == 0.25


def test_a_pwm_on_another_pin_leaves_the_led_alone() -> None:
    elsewhere = cnf(14, OUTPUT), Poke(PWM0 + PSEL_OUT, 14), ENABLE_PWM, TOP, QUARTER, PLAY
    assert led(elsewhere) == 0.0
    assert led(elsewhere, Poke(P0 + OUTSET, 1 << 13), LED_OUTPUT) == 1.0


def test_the_end_of_a_sequence_can_be_waited_for() -> None:
    waits = WaitSet(PWM0 + 0x108, 0), WaitSet(PWM0 + 0x110, 0), WaitSet(PWM0 + 0x118, 0)
    assert led(LED, waits) == 0.25
    with pytest.raises(SimulationFaultError, match=r"waits for ever on PWM0\.EVENTS_SEQEND\[1\]"):
        run_nano(LED, WaitSet(PWM0 + 0x114, 0))


def test_every_pwm_can_light_the_led() -> None:
    for base in (PWM0, PWM1, 0x4002_2000, 0x4002_D000):
        moved = [
            replace(each, address=each.address - PWM0 + base)
            if PWM0 <= each.address < PWM0 + 0x1000
            else each
            for each in LED
        ]
        assert led(moved) == 0.25


def test_a_sequence_of_a_disabled_pwm_is_refused() -> None:
    message = nano_refused(LED_OUTPUT, LED_SELECT, TOP, QUARTER, Blamed(PLAY))
    assert "started while PWM0 is not enabled" in message


def test_a_sequence_without_a_pin_is_refused() -> None:
    message = nano_refused(LED_OUTPUT, ENABLE_PWM, TOP, QUARTER, Blamed(PLAY))
    assert "started while it drives no pin" in message


def test_a_pwm_pin_that_is_not_an_output_is_refused() -> None:
    message = nano_refused(LED_SELECT, ENABLE_PWM, TOP, QUARTER, Blamed(PLAY))
    assert "PWM0 drives P0.13, which is not an output" in message
    assert "PSEL.OUT[0]" in message


def test_a_pwm_pin_that_is_made_an_input_later_is_refused() -> None:
    made_an_input, another = Blamed(Poke(P0 + DIRCLR, 1 << 13)), Poke(P0 + DIRSET, 1 << 5)
    message = nano_refused(CONSOLE, LED, made_an_input, another, say(RESULT))
    assert "PWM0 drives P0.13, which is not an output" in message


@pytest.mark.parametrize(
    ("address", "count", "message"),
    [
        (0x1_0000, 1, "EasyDMA was pointed at flash: PWM0.SEQ[0].PTR is 0x00010000"),
        (0x0, 1, "pointed at flash"),
        (END - 2, 2, "pointed beyond the RAM: PWM0.SEQ[0].PTR"),
        (0x0080_0000, 1, "pointed at no memory"),
        (SEQUENCE, 0, "an empty sequence of PWM0 was started (SEQ[0].CNT is 0)"),
    ],
)
def test_a_sequence_that_is_not_in_ram_is_refused(address: int, count: int, message: str) -> None:
    placed = Poke(PWM0 + SEQ0, address), Poke(PWM0 + SEQ0 + CNT, count)
    assert message in nano_refused(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, placed, Blamed(PLAY))


def test_a_sequence_that_just_fits_the_ram_is_played() -> None:
    at_the_end = (
        Poke(END - 4, (HIGH_FIRST | 100) << 16),
        Poke(PWM0 + SEQ0, END - 2),
        Poke(PWM0 + SEQ0 + CNT, 1),
    )
    assert led(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, at_the_end, PLAY) == 0.5


@pytest.mark.parametrize(("load", "count"), [(1, 1), (1, 3), (2, 2), (2, 5)])
def test_a_sequence_that_ends_within_a_step_is_refused(load: int, count: int) -> None:
    steps = Poke(PWM0 + DECODER, load), sequence(*[HIGH_FIRST] * count)
    message = nano_refused(LED_OUTPUT, LED_SELECT, ENABLE_PWM, TOP, *steps, Blamed(PLAY))
    assert f"a sequence of PWM0 has {count} values" in message


@pytest.mark.parametrize(
    ("register", "value", "message"),
    [
        (COUNTERTOP, 0, "COUNTERTOP was set to 0"),
        (COUNTERTOP, 2, "COUNTERTOP was set to 2"),
        (COUNTERTOP, 0x8000, "bits 0x00008000 of which are reserved"),
        (PRESCALER, 8, "reserved"),
        (MODE, 2, "reserved"),
        (ENABLE, 2, "reserved"),
        (DECODER, 3, "the waveform mode"),
        (DECODER, 0x100, "go on by tasks"),
        (DECODER, 4, "reserved"),
        (LOOP, 1, "play its sequences 1 times"),
        (LOOP, 0x1_0000, "reserved"),
        (SEQ0 + CNT, 0x8000, "reserved"),
        (SEQ0 + REFRESH, 1 << 24, "reserved"),
        (0x010, 1, "no register is modelled"),
    ],
)
def test_a_pwm_setting_that_cannot_be_is_refused(register: int, value: int, message: str) -> None:
    assert message in nano_refused(Blamed(Poke(PWM0 + register, value)))


@pytest.mark.parametrize(("top", "mode"), [(3, 0), (0x7FFF, 0), (200, 1)])
def test_any_period_and_both_directions_of_counting_work(top: int, mode: int) -> None:
    setting = Poke(PWM0 + COUNTERTOP, top), Poke(PWM0 + MODE, mode), Poke(PWM0 + PRESCALER, 7)
    lit = led(LED_OUTPUT, LED_SELECT, ENABLE_PWM, setting, sequence(HIGH_FIRST | 1), PLAY)
    assert lit == pytest.approx(1 / top)


def test_a_pin_selected_while_the_pwm_is_enabled_is_refused() -> None:
    message = nano_refused(LED_OUTPUT, LED_SELECT, ENABLE_PWM, Blamed(LED_SELECT))
    assert "PWM0.PSEL.OUT[0] was written while PWM0 is enabled" in message
