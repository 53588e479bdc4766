from __future__ import annotations

import pytest

from tests.unit.simulator_support import (
    CONSOLE,
    EDGE,
    GPIO,
    LED_PAD,
    LOCK,
    PADKEY,
    RESULT,
    UNLOCK,
    Blamed,
    Operation,
    Peek,
    Poke,
    Say,
    brightness,
    expect,
    pad,
    refused,
    run,
)

CFGF = GPIO + 0x54  # pins 40 to 47, four bits each
RDB, WTA, WTB, WTSA, WTSB, WTCB = (GPIO + at for at in (0x84, 0x88, 0x8C, 0x90, 0x94, 0x9C))
ENSB, ENCB = GPIO + 0xAC, GPIO + 0xB8
PIN46 = 1 << 14
DARK = {"red": 0.0, "blue": 0.0, "green": 0.0, "yellow": 0.0}
LIT = DARK | {"red": 1.0}


def output_mode(mode: int) -> tuple[Operation, ...]:
    """Give pin 46 an output mode: 1 push-pull, 2 open drain, 3 tristate."""
    return UNLOCK, Poke(CFGF, mode << 25), LOCK


@pytest.mark.parametrize(
    ("operation", "register"),
    [
        (Poke(GPIO + 0x2C, 0x1810_1818), "PADREGL"),
        (Poke(GPIO + 0x00, 0x1818_1819), "PADREGA"),
        (Poke(CFGF, 1 << 25), "CFGF"),
        (Poke(GPIO + 0x10C, 1 << 16), "ALTPADCFGL"),
    ],
)
@pytest.mark.parametrize("key", [None, 0, 0x47, 0x72, 0x173])
def test_pads_are_locked_without_their_key(operation: Poke, register: str, key: int | None) -> None:
    before = () if key is None else (Poke(PADKEY, key),)
    message = refused(before, Blamed(operation))
    assert f"GPIO.{register} was written while the pads are locked" in message
    assert f"PADKEY holds 0x{key or 0:X}" in message
    assert "write 0x73 to GPIO.PADKEY" in message


def test_pads_are_locked_again_after_locking() -> None:
    assert "locked" in refused(LED_PAD, Blamed(pad(46, 0x18)))


def test_the_key_register_tells_whether_the_pads_are_unlocked() -> None:
    checks = (UNLOCK, Peek(PADKEY), *expect(1), LOCK, Peek(PADKEY), *expect(0))
    assert run(checks, CONSOLE, Say("done\r\n")).console == "done\n"


def test_outputs_levels_and_timer_switches_need_no_key() -> None:
    open_registers = (Poke(GPIO + 0x118, 0xFFFF_FFFF), Poke(WTCB, PIN46), Poke(ENSB, PIN46))
    assert run(open_registers, CONSOLE, Say("done\r\n")).console == "done\n"


@pytest.mark.parametrize(
    ("operation", "register", "pin", "configuration"),
    [
        (Poke(WTSB, PIN46), "WTSB", 46, "GPIO.CFGF (0x40010054, bits 25 and up)"),
        (Poke(WTB, PIN46), "WTB", 46, "GPIO.CFGF (0x40010054, bits 25 and up)"),
        (Poke(WTSA, 1 << 31), "WTSA", 31, "GPIO.CFGD (0x4001004C, bits 29 and up)"),
        (Poke(WTA, 1), "WTA", 0, "GPIO.CFGA (0x40010040, bits 1 and up)"),
    ],
)
def test_setting_a_pin_that_is_no_output_is_refused(
    operation: Poke, register: str, pin: int, configuration: str
) -> None:
    message = refused(Blamed(operation))
    assert f"pin {pin} was set (GPIO.{register}) but is not an output" in message
    assert f"set OUTCFG to 1 (push-pull) in {configuration} first" in message


def test_setting_a_pin_whose_pad_is_no_gpio_is_refused() -> None:
    timer_pad = (UNLOCK, Poke(CFGF, 1 << 25), pad(46, 0x10), LOCK)
    message = refused(timer_pad, Blamed(Poke(WTSB, PIN46)))
    assert "pin 46 was set (GPIO.WTSB) but its pad is not a GPIO" in message
    assert "the pad's function is 2; GPIO is 3" in message


def test_setting_a_pin_again_after_it_stopped_being_an_output_is_refused() -> None:
    was_set = (*output_mode(1), Poke(WTSB, PIN46), *output_mode(0))
    assert "is not an output" in refused(was_set, Blamed(Poke(WTSB, PIN46)))


def test_clearing_a_pin_that_is_no_output_changes_nothing() -> None:
    assert brightness(Poke(WTCB, 0x3FFFF), Poke(WTB, 0)) == DARK


def test_a_pushed_pin_drives_its_led() -> None:
    assert brightness(output_mode(1)) == DARK
    assert brightness(output_mode(1), Poke(WTSB, PIN46)) == LIT
    assert brightness(output_mode(1), Poke(WTB, PIN46)) == LIT
    assert brightness(output_mode(1), Poke(WTSB, PIN46), Poke(WTCB, PIN46)) == DARK
    assert brightness(output_mode(1), Poke(WTSB, PIN46), Poke(WTCB, 1)) == LIT


def test_an_open_drain_cannot_light_a_led_that_is_active_high() -> None:
    assert brightness(output_mode(2), Poke(WTSB, PIN46)) == DARK


def test_a_tristate_pin_drives_its_led_while_it_is_enabled() -> None:
    high = (*output_mode(3), Poke(WTSB, PIN46))
    assert brightness(high) == DARK
    assert brightness(high, Poke(ENSB, PIN46)) == LIT
    assert brightness(high, Poke(ENSB, PIN46), Poke(ENCB, PIN46)) == DARK


def test_a_led_that_is_active_low_is_lit_by_a_low_pin() -> None:
    leds = tuple(
        led.model_copy(update={"active": "low"}) if led.name == "red" else led for led in EDGE.led
    )
    board = EDGE.model_copy(update={"led": leds})
    result = run(CONSOLE, output_mode(1), Say(RESULT), board=board, inferences=1)
    assert result.inferences[0].brightness == LIT
    high = Poke(WTSB, PIN46)
    result = run(CONSOLE, output_mode(1), high, Say(RESULT), board=board, inferences=1)
    assert result.inferences[0].brightness == DARK
    # A pin that drives nothing leaves the LED dark, whichever level lights it.
    result = run(CONSOLE, Say(RESULT), board=board, inferences=1)
    assert result.inferences[0].brightness == DARK


@pytest.mark.parametrize(
    ("byte", "mode", "level", "seen"),
    [
        pytest.param(0x18, 1, 1, 0, id="without INPEN nothing is read"),
        pytest.param(0x1A, 1, 1, 1, id="its own output, high"),
        pytest.param(0x1A, 1, 0, 0, id="its own output, low"),
        pytest.param(0x1A, 0, 0, 0, id="nothing drives it"),
        pytest.param(0x1B, 0, 0, 1, id="its pull-up"),
        pytest.param(0x1B, 1, 0, 0, id="its output wins over its pull-up"),
    ],
)
def test_an_input_reads_what_the_pin_or_its_pull_up_drives(
    byte: int, mode: int, level: int, seen: int
) -> None:
    configured = (UNLOCK, pad(46, byte), Poke(CFGF, mode << 25), LOCK)
    driven = (Poke(WTSB, PIN46),) if level else ()
    read = (Peek(RDB), *expect(seen << 14))
    assert run(configured, driven, read, CONSOLE, Say("done\r\n")).console == "done\n"


@pytest.mark.parametrize(
    ("number", "byte"), [(37, 0x58), (46, 0x58), (46, 0x98), (3, 0x98), (20, 0x42), (48, 0x11818)]
)
def test_pad_bits_that_do_not_exist_are_refused(number: int, byte: int) -> None:
    group = GPIO + (number & ~3)
    value = byte << 8 * (number & 3)
    message = refused(UNLOCK, Blamed(Poke(group, value)))
    assert f"was written to GPIO.PADREG{chr(ord('A') + number // 4)}" in message
    assert "are reserved" in message


def test_the_switches_that_only_some_pads_have_are_taken() -> None:
    some = (UNLOCK, pad(37, 0x98), pad(41, 0x98), pad(3, 0x58), pad(36, 0x58), pad(0, 0xD8), LOCK)
    assert run(some, CONSOLE, Say("done\r\n")).console == "done\n"


def test_pins_past_the_last_one_are_reserved() -> None:
    assert "bits 0x00040000 of which are reserved" in refused(Blamed(Poke(WTCB, 1 << 18)))
