from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.chips.apollo3.ctimer import Ctimer
from tests.unit.simulator_support import (
    CLR,
    CMPRA6,
    COMPARE,
    CONSOLE,
    CTENCFG,
    CTIMER,
    CTRL6,
    GLOBEN,
    LED,
    LED_OUTPUT,
    LED_PAD,
    LOCK,
    OUTCFG2,
    RESULT,
    RUN,
    TIMER,
    UNLOCK,
    Blamed,
    Operation,
    Poke,
    Say,
    brightness,
    pad,
    refused,
)

RESET_OUTCFG2 = 0x2492_2292
DARK = {"red": 0.0, "blue": 0.0, "green": 0.0, "yellow": 0.0}
SHOWN = Say(RESULT)
POLARITY = 1 << 12


def select(output: int, code: int) -> Poke:
    """Give CT20 to CT29 a source, the others as they are after reset."""
    index = output - 20
    shift = 16 * (index // 5) + 3 * (index % 5)
    return Poke(OUTCFG2, RESET_OUTCFG2 & ~(7 << shift) | code << shift)


def red(*parts: Operation) -> float:
    return brightness(LED, parts)["red"]


def test_the_timer_lights_a_quarter_of_the_time() -> None:
    assert brightness(LED) == DARK | {"red": 0.25}


@pytest.mark.parametrize(
    ("low", "last", "part"),
    [
        (1, 2, Fraction(1, 3)),
        (1, 0xFFFF, Fraction(0xFFFE, 0x10000)),
        (0xFFFE, 0xFFFF, Fraction(1, 0x10000)),
        (11998, 11999, Fraction(1, 12000)),
        (5999, 11999, Fraction(1, 2)),
    ],
)
def test_the_duty_is_exact(low: int, last: int, part: Fraction) -> None:
    assert red(Poke(CMPRA6, last << 16 | low)) == float(part)


@given(
    st.integers(2, 300).flatmap(lambda last: st.tuples(st.integers(1, last - 1), st.just(last))),
    st.booleans(),
)
@settings(deadline=None)
def test_the_duty_is_the_counts_above_the_first_compare(
    compare: tuple[int, int], inverted: bool
) -> None:
    low, last = compare
    timer = Ctimer(lambda: 0)
    polarity = POLARITY if inverted else 0
    timer.write(0xCC, 4, CLR | polarity)
    timer.write(0xC4, 4, last << 16 | low)
    timer.write(0xCC, 4, RUN | polarity)
    high = [(count > low) != inverted for count in range(last + 1)]
    assert timer.level(24) == pytest.approx(high.count(True) / len(high), abs=1e-15)


@pytest.mark.parametrize(("code", "level"), [(0, 0.0), (1, 1.0)])
def test_an_output_is_forced_whatever_its_timer_does(code: int, level: float) -> None:
    assert red(select(24, code)) == level
    forced_alone = brightness(select(24, code), LED_OUTPUT, LED_PAD)
    assert forced_alone == DARK | {"red": level}


def test_an_output_can_have_the_first_output_of_another_timer() -> None:
    half = 5999 << 16 | 2999
    other = (Poke(CTIMER + 0x4C, CLR), Poke(CTIMER + 0x44, half), Poke(CTIMER + 0x4C, RUN))
    assert red(*other, select(24, 3)) == 0.5


@pytest.mark.parametrize("code", [5, 6, 7])
def test_a_second_output_is_refused(code: int) -> None:
    message = refused(CONSOLE, LED, Blamed(select(24, code)), SHOWN)
    assert f"timer output CT24 is driven by a timer's second output (code {code})" in message


def test_the_lower_half_of_a_timer_does_not_run_the_upper_one() -> None:
    yellow = (UNLOCK, pad(47, 0x10), LOCK)
    message = refused(
        *(CONSOLE, Blamed(Poke(CTRL6, CLR)), Poke(CMPRA6, COMPARE), select(26, 1), select(26, 2)),
        *(Poke(CTENCFG, 0xFFFF_FFFF & ~(1 << 26)), yellow, SHOWN),
    )
    assert "timer output CT26 is driven by timer B6, which does not run" in message


def test_the_upper_half_of_a_timer_drives_its_own_output() -> None:
    both = (
        *(Poke(CTRL6, CLR | CLR << 16), Poke(CMPRA6, COMPARE)),
        *(Poke(CMPRA6 + 4, 3999 << 16 | 1999), Poke(CTRL6, RUN | RUN << 16)),
        *(Poke(CTENCFG, 0xFFFF_FFFF & ~(1 << 24 | 1 << 26)), UNLOCK),
        *(Poke(0x4001_002C, 0x1010_1818), LOCK),
    )
    assert brightness(both) == DARK | {"red": 0.25, "yellow": 0.5}


def test_an_output_that_is_switched_off_is_refused() -> None:
    message = refused(CONSOLE, TIMER, UNLOCK, Blamed(pad(46, 0x10)), LOCK, SHOWN)
    assert "pad 46 was given to timer output CT24, which is switched off" in message
    assert "bit 24 of GPIO.CTENCFG is 1" in message
    assert "clear bit 24 of GPIO.CTENCFG (0x40010118)" in message


def test_an_output_switched_off_again_is_blamed_on_its_pad() -> None:
    off = Poke(CTENCFG, 0xFFFF_FFFF)
    given = (UNLOCK, Blamed(pad(46, 0x10)), pad(46, 0x14), LOCK)
    assert "timer output CT24" in refused(CONSOLE, TIMER, LED_OUTPUT, given, off, SHOWN)


def test_a_wrong_source_is_blamed_on_its_own_selection() -> None:
    # Another output's source is written after it, in the same register.
    both = (Blamed(select(24, 5)), Poke(OUTCFG2, RESET_OUTCFG2 & ~(7 << 12 | 7) | 5 << 12))
    assert "timer output CT24" in refused(CONSOLE, LED, both, SHOWN)


@pytest.mark.parametrize("byte", [0x00, 0x08, 0x18, 0x38])
def test_an_output_that_reaches_no_pad_is_refused(byte: int) -> None:
    wrong_pad = (UNLOCK, pad(46, byte), LOCK)
    message = refused(CONSOLE, TIMER, Blamed(LED_OUTPUT), wrong_pad, SHOWN)
    assert "timer output CT24 is switched on but reaches no pad" in message
    assert f"pad 46 has function {byte >> 3}; CT24 is 2" in message
    assert "set FNCSEL of pad 46 to 2" in message


def test_a_timer_stopped_by_the_global_enable_is_refused() -> None:
    message = refused(CONSOLE, LED, Blamed(Poke(GLOBEN, 0xEFFF)), SHOWN)
    assert "CT24 is driven by timer A6, which is stopped by the global enable" in message
    assert "bit 12 of CTIMER.GLOBEN is 0" in message


def test_the_global_enable_of_other_timers_does_not_matter() -> None:
    assert red(Poke(GLOBEN, 0x1000)) == 0.25


@pytest.mark.parametrize(("control", "why"), [(0x00C2, "EN is 0"), (0x08C3, "CLR is 1")])
def test_a_timer_that_does_not_run_is_refused(control: int, why: str) -> None:
    held = (Poke(CTRL6, CLR), Poke(CMPRA6, COMPARE), Blamed(Poke(CTRL6, control)))
    message = refused(CONSOLE, held, LED_OUTPUT, LED_PAD, SHOWN)
    assert "CT24 is driven by timer A6, which does not run" in message
    assert why in message


@pytest.mark.parametrize("control", [0x00C2, 0x00C3, 0x1000, 0x0002, 0x0040])
def test_a_configuration_without_clr_is_refused(control: int) -> None:
    message = refused(Blamed(Poke(CTRL6, control)))
    assert "timer A6 was changed without holding it in CLR" in message


@pytest.mark.parametrize("control", [0x08C4 | 1, RUN ^ 0x40, RUN | POLARITY, RUN ^ 0x2])
def test_a_configuration_change_of_a_running_timer_is_refused(control: int) -> None:
    message = refused(TIMER, Blamed(Poke(CTRL6, control)))
    assert "timer A6 was changed while it runs" in message


def test_a_change_of_the_upper_half_names_it_and_leaves_the_lower_half_running() -> None:
    message = refused(TIMER, Blamed(Poke(CTRL6, RUN | 0x00C2 << 16)))
    assert "timer B6 was changed without holding it in CLR" in message
    assert red(Poke(CTRL6, RUN | CLR << 16)) == 0.25


def test_a_timer_is_changed_after_stopping_it() -> None:
    slower = (Poke(CTRL6, RUN | 1 << 11), Poke(CTRL6, 0x08C4), Poke(CTRL6, 0x00C5))
    assert red(*slower) == 0.25


@pytest.mark.parametrize(
    ("value", "which"), [(11999 << 16, 0), (8999, 1), (0, 0), (0x0001_0000, 0)]
)
def test_a_compare_value_of_zero_is_refused(value: int, which: int) -> None:
    message = refused(Poke(CTRL6, CLR), Blamed(Poke(CMPRA6, value)))
    assert f"CMPR{which} of timer A6 was set to 0" in message
    assert "codes 0 and 1 in OUTCFG" in message


@pytest.mark.parametrize(("low", "last"), [(12000, 11999), (11999, 11999)])
def test_a_first_compare_that_is_not_below_the_second_is_refused(low: int, last: int) -> None:
    message = refused(CONSOLE, LED, Blamed(Poke(CMPRA6, last << 16 | low)), SHOWN)
    assert f"timer A6, whose CMPR0 ({low}) is not below CMPR1 ({last})" in message


def test_a_start_before_the_compare_values_is_refused() -> None:
    message = refused(Poke(CTRL6, CLR), Blamed(Poke(CTRL6, RUN)))
    assert "timer A6 was started before its compare values were written" in message


@pytest.mark.parametrize("function", [0, 1, 2, 4, 5, 6, 7])
def test_other_functions_than_repeated_pwm_are_refused(function: int) -> None:
    control = function << 6 | 1 << 1
    start = (Poke(CTRL6, control | 1 << 11), Poke(CMPRA6, COMPARE))
    message = refused(start, Blamed(Poke(CTRL6, control | 1)))
    assert f"timer A6 was started with function {function}" in message


@pytest.mark.parametrize("clock", [1, 2, 3, 4, 5, 15])
def test_the_divisions_of_the_oscillator_are_taken(clock: int) -> None:
    control = 3 << 6 | clock << 1
    start = (Poke(CTRL6, control | 1 << 11), Poke(CMPRA6, COMPARE), Poke(CTRL6, control | 1))
    assert brightness(start, LED_OUTPUT, LED_PAD)["red"] == 0.25


@pytest.mark.parametrize("clock", [0, 6, 0xE, 0x10, 0x1F])
def test_a_clock_that_is_not_modelled_is_refused(clock: int) -> None:
    control = 3 << 6 | clock << 1
    start = (Poke(CTRL6, control | 1 << 11), Poke(CMPRA6, COMPARE))
    message = refused(start, Blamed(Poke(CTRL6, control | 1)))
    assert f"timer A6 was started with clock {clock}" in message


@pytest.mark.parametrize("bit", [9, 10, 25, 26])
def test_timer_interrupts_are_refused(bit: int) -> None:
    half = "AB"[bit // 16]
    message = refused(Blamed(Poke(CTRL6, 1 << bit)))
    assert f"an interrupt of timer {half}6 was enabled" in message


def test_linked_halves_are_refused() -> None:
    assert "both halves of timer 6 were linked" in refused(Blamed(Poke(CTRL6, 1 << 31)))
