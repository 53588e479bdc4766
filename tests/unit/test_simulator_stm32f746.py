from __future__ import annotations

import pytest

from simulator.request import Screen
from tests.unit.simulator_support import RESULT, Blamed, Operation, Peek, Poke, Raw, WaitSet
from tests.unit.stm32f746_support import (
    ACR,
    AHB1ENR,
    AHB2ENR,
    APB2ENR,
    ARR,
    AT_216_MHZ,
    AWCR,
    BCCR,
    BFCR,
    BPCR,
    BRR,
    CACR,
    CCMR1,
    CCR,
    CCR1,
    CCSIDR,
    CFBAR,
    CFBLNR,
    CFBLR,
    CFGR,
    CLOCKED,
    CLUTWR,
    CONSOLE,
    CPACR,
    CR,
    CSSELR,
    DARK,
    DATA_CACHE,
    DCCR,
    DCISW,
    DCKCFGR1,
    DCKCFGR2,
    DIER,
    DISCO,
    DISPLAY,
    DIVIDERS,
    DONE,
    EGR,
    FLASH_WORDS,
    FPU,
    FRAME_BUFFER,
    GCR,
    HSE,
    ICIALLU,
    INVALIDATE,
    L1CR,
    LED,
    LED_PIN,
    MPU_CTRL,
    MPU_RASR,
    MPU_RBAR,
    OVER_DRIVE,
    PFCR,
    PIXEL_CLOCK,
    PLL,
    PLL_FACTORS,
    PLLCFGR,
    PLLSAICFGR,
    PSC,
    PWR_CR1,
    PWREN,
    SRCR,
    SSCR,
    STREAMS,
    SWITCHES,
    TDR,
    TIM_CR1,
    TIM_CR2,
    TIMER,
    TO_PLL,
    TO_PORT,
    TWCR,
    UART,
    UART_PIN,
    UNCACHED,
    UNCACHED_REGION,
    USART_CR1,
    USART_CR2,
    USART_CR3,
    WAIT_STATES,
    WHPCR,
    WVPCR,
    changed,
    check_refused,
    cleared,
    fed,
    port,
    run,
    say,
    stream,
    unblamed,
    without,
)
from toolchain.boards import Board
from toolchain.errors import BoardDescriptionError, SimulationFaultError

GROUND, DOT = (0xF4, 0xB4, 0x00), (0xDB, 0x44, 0x37)


def with_core(**values: object) -> Board:
    return DARK.model_copy(update={"core": DARK.core.model_copy(update=values)})


def brightness(*parts: Operation | tuple[Operation, ...], board: Board = DARK) -> float:
    result = run(*parts, say(RESULT), board=board, inferences=1)
    return result.inferences[0].brightness["green"]


def refuse_led(message: str, *parts: Operation | tuple[Operation, ...]) -> None:
    check_refused(message, CONSOLE, *parts, say(RESULT), inferences=1)


def screen(*parts: Operation | tuple[Operation, ...]) -> Screen:
    shown = run(FPU, cleared(), CONSOLE, *parts, DONE, board=DISCO).screen
    assert shown is not None
    return shown


def refuse_screen(message: str, *parts: Operation | tuple[Operation, ...]) -> None:
    check_refused(message, FPU, cleared(), CONSOLE, *parts, DONE, board=DISCO)


def pixel(shown: Screen, x: int, y: int) -> tuple[int, ...]:
    at = 3 * (y * shown.width + x)
    return tuple(shown.pixels[at : at + 3])


# Clocks and power


def test_the_console_works_on_the_clock_after_reset_and_at_216_mhz() -> None:
    assert run(CONSOLE, DONE).console == "done\n"
    assert run(AT_216_MHZ, CONSOLE, DONE).console == "done\n"


@pytest.mark.parametrize(
    ("name", "gate", "operation"),
    [
        ("GPIOA", "bit 0 of RCC.AHB1ENR", Peek(port("A", "MODER"))),
        ("GPIOI", "bit 8 of RCC.AHB1ENR", Poke(port("I", "MODER"), 4)),
        ("GPIOK", "bit 10 of RCC.AHB1ENR", Poke(port("K", "BSRR"), 1)),
        ("DMA2", "bit 22 of RCC.AHB1ENR", Poke(stream(1, "NDTR"), 1)),
        ("PWR", "bit 28 of RCC.APB1ENR", Poke(PWR_CR1, 0xC000)),
        ("TIM1", "bit 0 of RCC.APB2ENR", Poke(PSC, 1)),
        ("USART1", "bit 4 of RCC.APB2ENR", Poke(BRR, 139)),
        ("USART1", "bit 4 of RCC.APB2ENR", Poke(TDR, 65)),
        ("LTDC", "bit 26 of RCC.APB2ENR", Poke(SSCR, 0)),
    ],
)
def test_a_peripheral_without_its_clock_is_refused(
    name: str, gate: str, operation: Poke | Peek
) -> None:
    check_refused(f"{name} was used while its clock is off.*{gate} is 0", Blamed(operation))


def test_a_console_that_loses_its_clock_is_noticed() -> None:
    check_refused(
        "USART1 was used while its clock is off",
        *(CONSOLE, say("x"), Poke(APB2ENR, 0), Blamed(WaitSet(0x4001_101C, 7))),
    )


def test_what_is_not_modelled_is_named() -> None:
    check_refused("it belongs to TIM8", Blamed(Peek(0x4001_0400)))
    check_refused("it belongs to FMC", Blamed(Peek(0xA000_0000)))
    check_refused("where no register is modelled", Blamed(Peek(0x4002_3810)))


def test_flags_of_clocks_come_only_after_some_looks() -> None:
    check_refused(
        "PLL was switched on before HSE was seen to be ready",
        Poke(CR, 0x0001_0083),
        *[Peek(CR)] * 3,
        Poke(PLLCFGR, PLL_FACTORS),
        Blamed(Poke(CR, 0x0101_0083)),
    )


def test_a_crystal_that_does_not_swing_is_named() -> None:
    with pytest.raises(SimulationFaultError, match=r"(?s)waits for ever on RCC\.CR.*does not swin"):
        run(FPU, Poke(CR, 0x0001_0083), WaitSet(CR, 17), board=with_core(crystal_hz=None))


@pytest.mark.parametrize(
    ("message", "factors"),
    [
        (r"with 2\.08333 MHz at its input", PLL_FACTORS & ~0x3F | 12),
        (r"with 0\.96\d* MHz at its input", PLL_FACTORS & ~0x3F | 26),
        ("to make 433 MHz", PLL_FACTORS & ~0x7FC0 | 433 << 6),
        ("to make 49 MHz", PLL_FACTORS & ~0x7FC0 | 49 << 6),
        ("to make 99 MHz", PLL_FACTORS & ~0x7FC0 | 99 << 6),
        ("with Q = 1", PLL_FACTORS & ~0xF00_0000 | 1 << 24),
    ],
)
def test_a_pll_beyond_its_limits_is_refused(message: str, factors: int) -> None:
    check_refused(message, HSE, Poke(PLLCFGR, factors), Blamed(Poke(CR, 0x0101_0083)))


def test_the_reserved_bit_of_the_pll_must_stay_set() -> None:
    check_refused("reserved", HSE, Blamed(Poke(PLLCFGR, PLL_FACTORS & ~(1 << 29))))


def test_factors_of_a_running_pll_are_fixed() -> None:
    check_refused(
        "PLLCFGR was written while the PLL is on", PLL, Blamed(Poke(PLLCFGR, 0x2400_3010))
    )
    check_refused(
        "PLLCFGR was written while PLLSAI, which shares",
        *(PIXEL_CLOCK, Blamed(Poke(PLLCFGR, PLL_FACTORS))),
    )
    check_refused(
        "PLLSAICFGR was written while PLLSAI is on", PIXEL_CLOCK, Blamed(Poke(PLLSAICFGR, 0))
    )


def test_pllsai_with_factors_that_reset_leaves_is_refused() -> None:
    check_refused("PLLSAI was switched on with Q = 0", Blamed(Poke(CR, 0x1000_0083)))


@pytest.mark.parametrize(("name", "code", "bit"), [("HSE", 1, 17), ("PLL", 2, 25)])
def test_a_switch_to_a_clock_that_is_not_ready_is_refused(name: str, code: int, bit: int) -> None:
    check_refused(
        f"switched to {name} before it was seen to be ready.*bit {bit} of RCC.CR",
        Blamed(Poke(CFGR, code)),
    )
    check_refused("SW was set to 3", Blamed(Poke(CFGR, 3)))


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("with 0 wait states of flash.*it needs 7", (PWREN, *PLL, *OVER_DRIVE)),
        (
            "with 6 wait states of flash",
            (PWREN, *PLL, *OVER_DRIVE, Poke(ACR, 6), Peek(ACR)),
        ),
        (
            "before new wait states were seen",
            (PWREN, *PLL, *OVER_DRIVE, Poke(ACR, 7)),
        ),
        (
            "the core was given 216 MHz.*scale 1 and no over-drive it may have 180",
            (PWREN, *PLL, *WAIT_STATES),
        ),
    ],
)
def test_the_switch_to_216_mhz_needs_wait_states_and_over_drive(
    message: str, parts: tuple[Operation, ...]
) -> None:
    *before, switch = TO_PLL
    assert isinstance(switch, Poke)
    check_refused(message, parts, tuple(before), Blamed(switch))


@pytest.mark.parametrize(
    ("message", "dividers"),
    [
        ("APB1 was given 108 MHz.*54 MHz", 4 << 10 | 4 << 13),
        ("APB2 was given 216 MHz.*108 MHz", 5 << 10),
    ],
)
def test_a_bus_that_is_too_fast_is_refused(message: str, dividers: int) -> None:
    check_refused(
        message,
        *(PWREN, PLL, OVER_DRIVE, WAIT_STATES, WaitSet(CR, 25), Blamed(Poke(CFGR, dividers | 2))),
    )


def test_a_lower_regulator_scale_lowers_the_limit() -> None:
    factors = PLL_FACTORS & ~0x7FC0 | 340 << 6  # 170 MHz
    check_refused(
        "the core was given 170 MHz.*regulator scale 2 and no over-drive it may have 168",
        *(PWREN, Poke(PWR_CR1, 0x8000), HSE, Poke(PLLCFGR, factors), Poke(CR, 0x0101_0083)),
        *(WAIT_STATES, WaitSet(CR, 25), Blamed(Poke(CFGR, DIVIDERS | 2))),
    )


def test_fewer_wait_states_at_full_speed_are_refused() -> None:
    check_refused(
        "set to 5 wait states while the core runs at 216 MHz", AT_216_MHZ, Blamed(Poke(ACR, 5))
    )


def test_the_flash_accelerator_is_reset_only_while_it_is_off() -> None:
    check_refused("reset .* while it is on", Poke(ACR, 0x200), Blamed(Poke(ACR, 0xA00)))
    run(Poke(ACR, 0x800), Poke(ACR, 0), Poke(ACR, 0x200), CONSOLE, DONE)


def test_over_drive_has_an_order() -> None:
    check_refused(
        "switched to .PWR.CR1 ODSWEN. before it was seen to be ready",
        *(PWREN, PLL, Poke(PWR_CR1, 0x0001_C000), Blamed(Poke(PWR_CR1, 0x0003_C000))),
    )
    check_refused("VOS. was changed while the PLL is on", PWREN, PLL, Blamed(Poke(PWR_CR1, 0x8000)))
    check_refused("VOS was set to 0", PWREN, Blamed(Poke(PWR_CR1, 0)))
    check_refused(
        "over-drive was switched while the core runs on the PLL",
        *(AT_216_MHZ, Blamed(Poke(PWR_CR1, 0x0001_C000))),
    )
    check_refused("low-power modes", PWREN, Blamed(Poke(PWR_CR1, 0xC001)))


def test_over_drive_that_is_awaited_and_off_is_named() -> None:
    with pytest.raises(SimulationFaultError, match=r"(?s)PWR\.CSR1.*ODEN"):
        run(FPU, PWREN, WaitSet(0x4000_7004, 16))


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("GPIOI, DMA2", Poke(AHB1ENR, 0x0050_0100)),
        ("something in RCC.AHB2ENR", Poke(AHB2ENR, 1)),
        ("USART1", Poke(APB2ENR, 1 << 4)),
    ],
)
def test_no_peripheral_may_be_clocked_while_over_drive_comes_up(name: str, gate: Poke) -> None:
    *before, switch, _wait = OVER_DRIVE
    assert isinstance(switch, Poke)
    check_refused(f"while {name} is clocked", PWREN, PLL, gate, tuple(before), Blamed(switch))


def test_a_clock_in_use_and_its_source_cannot_be_switched_off_at_once() -> None:
    check_refused("the PLL was switched off while it is used", AT_216_MHZ, Blamed(Poke(CR, 0x80)))
    pll_on = Poke(CR, 0x0100_0083)
    check_refused("HSI was switched off while it is used", pll_on, Blamed(Poke(CR, 0x80)))


def test_a_clock_in_use_stays_on() -> None:
    check_refused(
        "the PLL was switched off while it is used", AT_216_MHZ, Blamed(Poke(CR, 0x10083))
    )
    check_refused("HSI was switched off while it is used", Blamed(Poke(CR, 0x82)))
    check_refused(
        "HSI was switched off while it is used",
        *(
            HSE,
            Poke(CFGR, 1),
            PIXEL_CLOCK[:2],
            Poke(CR, 0x1001_0083),
            Blamed(Poke(CR, 0x1001_0082)),
        ),
    )
    check_refused("clock of the DTCM was switched off", Blamed(Poke(AHB1ENR, 1)))


def test_what_of_rcc_is_not_modelled_is_refused() -> None:
    check_refused("bits 0x00040000 of RCC.CR were changed", Blamed(Poke(CR, 0x0004_0083)))


# Pins


@pytest.mark.parametrize("mode", ["an input", "in an alternate function", "analog"])
def test_a_level_for_a_pin_that_is_no_output_is_refused(mode: str) -> None:
    code = {"an input": 0, "in an alternate function": 2, "analog": 3}[mode]
    before = (*CLOCKED, Poke(port("I", "MODER"), code << 2))
    for operation in (
        Poke(port("I", "BSRR"), 1 << 1),
        Poke(port("I", "BSRR"), 1 << 17),
        Poke(port("I", "ODR"), 1 << 1),
    ):
        check_refused(f"PI1 was set or cleared, but it is {mode}", before, Blamed(operation))


@pytest.mark.parametrize(
    ("pin", "signal", "modes"), [("PA13", "SWDIO", 0xA000_0000), ("PA14", "SWCLK", 0x8800_0000)]
)
def test_the_debuggers_pins_are_kept(pin: str, signal: str, modes: int) -> None:
    moder = Poke(port("A", "MODER"), modes)
    check_refused(f"{pin} was taken from the debugger .{signal}.", CLOCKED, Blamed(moder))


# Console


def test_a_byte_that_may_meet_a_full_register_is_refused() -> None:
    check_refused("before it was seen to be empty.*TXE", CONSOLE, say("x"), say("y", polled=False))


def test_the_first_byte_too_waits_for_the_register() -> None:
    check_refused("before it was seen to be empty", CONSOLE, Blamed(Poke(TDR, 65)))


@pytest.mark.parametrize(
    ("message", "address", "value"),
    [
        ("does not transmit.*UE, bit 0", USART_CR1, 0xC),
        ("does not transmit.*TE, bit 3", USART_CR1, 0x5),
        (r"sends at 17,058 baud, -85\.2% off 115,200.*HSI, 16 MHz, and BRR is 938", BRR, 938),
        ("has no baud rate", BRR, 15),
        ("other frames than 8N1", USART_CR1, 0x100D),
    ],
)
def test_a_wrong_setting_is_refused_at_the_first_byte(
    message: str, address: int, value: int
) -> None:
    setting = changed(UART, {address: value})
    at = tuple(part.operation if isinstance(part, Blamed) else part for part in setting)
    check_refused(message, CLOCKED, UART_PIN, at, Peek(0x4001_101C), Blamed(Poke(TDR, 65)))


def test_two_stop_bits_are_other_frames() -> None:
    check_refused(
        "other frames than 8N1",
        *(CLOCKED, UART_PIN, Poke(USART_CR2, 2 << 12), UART),
        *(Peek(0x4001_101C), Blamed(Poke(TDR, 65))),
    )


@pytest.mark.parametrize(
    ("source", "clock", "divider"),
    [(0, "PCLK2, 108 MHz", 938), (1, "SYSCLK, 216 MHz", 1875), (2, "HSI, 16 MHz", 139)],
)
def test_the_rate_follows_the_clock_that_really_feeds_it(
    source: int, clock: str, divider: int
) -> None:
    gates = (*CLOCKED, Poke(DCKCFGR2, source))
    uart = (*UART_PIN, Poke(BRR, divider), Poke(USART_CR1, 0xD))
    assert run(AT_216_MHZ, gates, uart, DONE).console == "done\n"
    wrong = (*UART_PIN, Poke(BRR, divider * 2), Poke(USART_CR1, 0xD))
    check_refused(f"its clock is {clock}, and BRR is {divider * 2}", AT_216_MHZ, gates, wrong, DONE)


def test_oversampling_by_eight_has_its_own_divisor() -> None:
    # 2 * 16 MHz / 115200 = 278 = 0x116: the last digit is halved.
    uart = (Poke(BRR, 0x113), Poke(USART_CR1, 0x800D))
    assert run(CLOCKED, UART_PIN, uart, DONE).console == "done\n"


def test_a_clock_changed_under_a_running_console_is_noticed() -> None:
    check_refused("sends at .* baud", AT_216_MHZ, CONSOLE, say("x"), Poke(DCKCFGR2, 0), say("y"))


def test_a_console_without_a_modelled_clock_is_refused() -> None:
    check_refused("no clock to divide", CONSOLE, Poke(DCKCFGR2, 3), DONE)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"PA9 has function 0 .GPIOA.AFRH.; USART1's TX is 7", {port("A", "AFRH"): 0}),
        (r"PA9 has function 8 .GPIOA.AFRH.", {port("A", "AFRH"): 0x80}),
        (r"PA9 is an output .GPIOA.MODER.", {port("A", "MODER"): 0xA804_0000}),
    ],
)
def test_a_console_pin_with_another_function_is_refused(
    message: str, change: dict[int, int | None]
) -> None:
    pins = changed(UART_PIN, change)
    check_refused(f"reaches no pin.*{message}", CLOCKED, pins, UART, DONE)


@pytest.mark.parametrize(
    ("message", "operation"),
    [
        ("BRR was changed while USART1 is enabled", Poke(BRR, 140)),
        ("CR2 was changed while USART1 is enabled", Poke(USART_CR2, 1 << 12)),
        ("frame in USART1.CR1 was changed while", Poke(USART_CR1, 0x800D)),
        ("an interrupt of USART1 was enabled", Poke(USART_CR1, 0x2D)),
        ("USART1.CR1.*not modelled", Poke(USART_CR1, 0x200D)),
        ("USART1.CR3.*DMA, flow control", Poke(USART_CR3, 0x80)),
    ],
)
def test_a_change_that_a_running_console_does_not_take_is_refused(
    message: str, operation: Poke
) -> None:
    check_refused(message, CONSOLE, Blamed(operation))


def test_a_character_must_be_a_byte() -> None:
    check_refused(
        "more than a byte", CONSOLE, Peek(0x4001_101C), Blamed(Poke(TDR, 0xFFFF_FFE4 & 0x1FF))
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tx_pin", "PA16", "no pin 'PA16'"),
        ("tx_pin", "A9", "no pin 'A9'"),
        ("tx_pin", "PL1", "no pin 'PL1'"),
        ("tx_pin", "PA10", "the console is USART1 on PA10"),
        ("peripheral", "USART6", "the console is USART6 on PA9"),
    ],
)
def test_a_board_with_another_console_is_one_error(field: str, value: str, message: str) -> None:
    console = DARK.console.model_copy(update={field: value})
    with pytest.raises(BoardDescriptionError, match=message):
        run(CONSOLE, DONE, board=DARK.model_copy(update={"console": console}))


# The LED by timer and DMA


def test_the_leds_brightness_is_the_part_of_a_period_between_its_edges() -> None:
    assert brightness(CONSOLE, LED) == 0.25
    assert brightness(AT_216_MHZ, CONSOLE, LED) == 0.25
    assert brightness(CONSOLE, unblamed(changed(LED, {CCR1: 4000}))) == 0.0
    assert brightness(CONSOLE, unblamed(changed(LED, {CCR1: 1000}))) == 0.75


def test_exchanged_words_light_the_other_part() -> None:
    streams = (*fed(1, FLASH_WORDS + 4), *fed(5, FLASH_WORDS))
    assert brightness(CONSOLE, LED_PIN, streams, TIMER) == 0.75


def test_a_led_that_is_driven_low_active_is_the_complement() -> None:
    led = DARK.led[0].model_copy(update={"active": "low"})
    board = DARK.model_copy(update={"led": (led,)})
    assert brightness(CONSOLE, LED, board=board) == 0.75


def test_a_led_without_a_timer_is_what_its_pin_is() -> None:
    assert brightness(CONSOLE) == 0.0
    assert brightness(CONSOLE, LED_PIN) == 0.0
    assert brightness(CONSOLE, LED_PIN, Poke(port("I", "BSRR"), 2)) == 1.0
    assert brightness(CONSOLE, LED_PIN, Poke(port("I", "ODR"), 2)) == 1.0
    on_and_off = (Poke(port("I", "BSRR"), 2), Poke(port("I", "BSRR"), 2 << 16))
    assert brightness(CONSOLE, LED_PIN, on_and_off) == 0.0


def test_a_timer_that_stands_still_is_noticed() -> None:
    refuse_led("PI1 waits for transfers that TIM1 never asks for", without(LED, TIM_CR1))
    refuse_led("TIM1 never asks for", changed(LED, {TIM_CR1: 0}))


def test_a_led_that_flickers_is_refused() -> None:
    slow = unblamed(changed(LED, {PSC: 99}))
    refuse_led(r"PI1 is switched 40\.0 times a second, which flickers.*16 MHz", slow)
    assert brightness(CONSOLE, unblamed(changed(LED, {PSC: 39}))) == 0.25


def test_the_timers_clock_is_twice_its_bus_where_that_is_divided() -> None:
    slow = unblamed(changed(LED, {PSC: 999}))
    check_refused(
        r"switched 54\.0 times a second.*216 MHz",
        *(AT_216_MHZ, CONSOLE, slow, say(RESULT)),
        inferences=1,
    )


@pytest.mark.parametrize("compare", [0, 1, 63, 3937, 3999])
def test_edges_too_close_to_keep_their_order_are_refused(compare: int) -> None:
    setting = changed(LED, {CCR1: compare})
    refuse_led("PI1 is set and cleared within [0-9]+ clocks", setting)


def test_edges_just_far_enough_apart_are_taken() -> None:
    assert brightness(CONSOLE, unblamed(changed(LED, {CCR1: 64}))) == 0.984
    assert brightness(CONSOLE, unblamed(changed(LED, {CCR1: 3936}))) == 0.016


@pytest.mark.parametrize(
    ("message", "operation"),
    [
        ("upward counting without end only", Poke(TIM_CR1, 0x11)),
        ("an interrupt of TIM1 was enabled", Poke(DIER, 1)),
        ("requests of update and compare 1", Poke(DIER, 1 << 10)),
        ("only UG, bit 0, is modelled", Poke(EGR, 2)),
        ("only OC1PE is modelled", Poke(CCMR1, 0x60)),
        ("TIM1.CR2", Poke(TIM_CR2, 8)),
    ],
)
def test_what_of_the_timer_is_not_modelled_is_refused(message: str, operation: Poke) -> None:
    check_refused(message, CLOCKED, Blamed(operation))


def test_a_timer_without_a_period_is_refused() -> None:
    check_refused("started with ARR 0", CLOCKED, Poke(ARR, 0), Blamed(Poke(TIM_CR1, 1)))


def test_a_compare_value_is_changed_between_periods_only() -> None:
    timer = unblamed(changed(TIMER, {CCMR1: 0}))
    check_refused("takes effect at once", CLOCKED, timer, Blamed(Poke(CCR1, 100)))


def test_an_update_by_hand_comes_before_its_request_is_enabled() -> None:
    check_refused("made by hand while it asks", CLOCKED, Poke(DIER, 1 << 8), Blamed(Poke(EGR, 1)))


@pytest.mark.parametrize(
    ("message", "number", "changes"),
    [
        ("started with 0x", 1, {"CR": TO_PORT | 1 << 10}),
        ("started with 0x", 1, {"CR": TO_PORT & ~(3 << 6)}),
        ("an interrupt of DMA2's stream 1", 1, {"CR": TO_PORT | 1 << 4}),
        ("on channel 5, which never asks", 1, {"CR": TO_PORT - (1 << 25)}),
        ("on channel 6, which never asks", 0, {}),
        ("for 1 transfers.*soon stops", 1, {"CR": TO_PORT & ~(1 << 8)}),
        ("for 0 transfers", 1, {"NDTR": 0}),
        ("read from 0x08000002", 1, {"M0AR": 0x0800_0002}),
        ("read from 0x00000000", 1, {"M0AR": 0}),
        ("write to 0x40022014", 1, {"PAR": port("I", "ODR")}),
        ("with its FIFO on", 1, {"FCR": 0x25}),
    ],
)
def test_a_stream_that_would_not_feed_the_pin_is_refused(
    message: str, number: int, changes: dict[str, int]
) -> None:
    parts = [Poke(stream(number, "FCR"), 0x21), *fed(number, FLASH_WORDS)]
    settings = {stream(number, name): value for name, value in changes.items()}
    *before, start = unblamed(changed(parts, dict(settings))) if settings else tuple(parts)
    assert isinstance(start, Poke)
    check_refused(message, CLOCKED, LED_PIN, tuple(before), Blamed(start))


def test_settings_of_a_running_stream_are_fixed() -> None:
    for name, value in (("M0AR", FLASH_WORDS + 4), ("NDTR", 2), ("CR", TO_PORT & ~(1 << 8))):
        check_refused(
            f"S1{name} was (written|changed) while stream 1 is enabled",
            *(CLOCKED, STREAMS, Blamed(Poke(stream(1, name), value))),
        )


def test_a_stream_reads_the_cores_own_memory_but_not_what_is_cached() -> None:
    def feed(word: int) -> tuple[Operation, ...]:
        return (Poke(word, 2), *fed(1, word), *fed(5, FLASH_WORDS + 4))

    assert brightness(CONSOLE, LED_PIN, feed(0x2000_0000), TIMER) == 0.25
    assert brightness(CONSOLE, LED_PIN, feed(FRAME_BUFFER), TIMER) == 0.25
    assert brightness(DATA_CACHE, CONSOLE, LED_PIN, feed(0x2000_0000), TIMER) == 0.25
    *before, start = (Poke(FRAME_BUFFER, 2), *fed(1, FRAME_BUFFER))
    assert isinstance(start, Poke)
    check_refused(
        "read from 0x20010000.*data cache",
        *(DATA_CACHE, CLOCKED, LED_PIN, tuple(before), Blamed(start)),
    )


# Caches and memory protection


def test_a_cache_is_enabled_only_when_all_of_it_was_made_invalid() -> None:
    assert run(DATA_CACHE, CONSOLE, DONE).console == "done\n"
    check_refused("data cache was enabled with 128 of its 128", Blamed(Poke(CCR, 0x5_0200)))
    check_refused(
        "data cache was enabled with 1 of its 128", INVALIDATE[:-1], Blamed(Poke(CCR, 0x5_0200))
    )
    assert run(Poke(ICIALLU, 0), Poke(CCR, 0x6_0200), CONSOLE, DONE).console == "done\n"
    check_refused("instruction cache was enabled with unknown", Blamed(Poke(CCR, 0x6_0200)))


def test_a_running_data_cache_is_not_thrown_away() -> None:
    check_refused("made invalid while the cache is on", DATA_CACHE, Blamed(Poke(DCISW, 0)))
    check_refused("data cache was switched off", DATA_CACHE, Blamed(Poke(CCR, 0x4_0200)))


def test_a_line_that_the_data_cache_does_not_have_is_refused() -> None:
    check_refused("set 32 of the data cache", Blamed(Poke(DCISW, 32 << 5)))


def test_the_size_of_the_caches_can_be_read() -> None:
    assert run(Poke(CSSELR, 0), expect(CCSIDR, 0xF003_E019), CONSOLE, DONE).console == "done\n"
    assert run(Poke(CSSELR, 1), expect(CCSIDR, 0xF007_E009), CONSOLE, DONE).console == "done\n"


def expect(address: int, value: int) -> tuple[Operation, ...]:
    """Stop at a breakpoint if a register reads otherwise."""

    def wide(opcode: int, half: int) -> tuple[int, int]:
        return opcode | (half >> 11 & 1) << 10 | half >> 12, (half >> 8 & 7) << 12 | 0x100 | (
            half & 0xFF
        )

    load = (*wide(0xF240, value & 0xFFFF), *wide(0xF2C0, value >> 16))  # movw, movt r1
    return Peek(address), Raw((*load, 0x428A, 0xD000, 0xBE00))  # cmp r2, r1; beq; bkpt


def test_traps_are_still_refused() -> None:
    check_refused("traps on unaligned access", Blamed(Poke(CCR, 0x4_0208)))


@pytest.mark.parametrize(
    ("message", "base", "attributes"),
    [
        ("begins at 0x20010000, not at a multiple", 0x2001_0010, UNCACHED_REGION),
        ("region 0 .* has 16 bytes", 0x2000_0010, UNCACHED_REGION & ~0x3E | 3 << 1),
        ("region 0 .* has 128 bytes", 0x2000_0010, UNCACHED_REGION & ~0x3E | 6 << 1),
        ("restricts access", 0x2000_0010, UNCACHED_REGION & ~(7 << 24)),
        ("forbids the application's own", 0x0800_0011, 0x1308_0027),
        ("reserved", 0x2000_0010, UNCACHED_REGION | 1 << 27),
    ],
)
def test_a_wrong_region_is_refused(message: str, base: int, attributes: int) -> None:
    check_refused(message, Poke(MPU_RBAR, base), Blamed(Poke(MPU_RASR, attributes)))


def test_protection_without_a_background_or_with_too_many_regions_is_refused() -> None:
    check_refused("without its background", Blamed(Poke(MPU_CTRL, 1)))
    check_refused("region 8 .* was chosen", Blamed(Poke(MPU_RBAR, 0x2000_0018)))


def test_regions_are_set_up_before_the_cache() -> None:
    before = (*DATA_CACHE, UNCACHED[0])
    check_refused(
        "changed while the data cache is on", before, Blamed(Poke(MPU_RASR, UNCACHED_REGION))
    )


# Display


def test_the_display_shows_the_frame_buffer_through_the_colour_table() -> None:
    dots = [(0, 0), (479, 0), (0, 271), (479, 271), (100, 50)]
    shown = screen(DISPLAY, *[Poke(FRAME_BUFFER + 480 * y + x, 1, size=1) for x, y in dots])
    assert (shown.width, shown.height) == (480, 272)
    for x, y in dots:
        assert pixel(shown, x, y) == DOT
    assert shown.pixels.count(bytes(DOT)) == len(dots)
    assert pixel(shown, 1, 0) == pixel(shown, 478, 271) == GROUND


def test_a_small_window_lies_on_the_background_colour() -> None:
    window = {WHPCR: 0x0059_0036 + 0x000A_000A, WVPCR: 0x001B_000C, CFBLR: 0x0024_0027, CFBLNR: 16}
    shown = screen(Poke(BCCR, 0x0001_0203), unblamed(changed(DISPLAY, dict(window))))
    assert pixel(shown, 0, 0) == (1, 2, 3)
    assert pixel(shown, 9, 0) == (1, 2, 3)
    assert pixel(shown, 10, 0) == GROUND
    assert pixel(shown, 45, 15) == GROUND
    assert pixel(shown, 46, 15) == pixel(shown, 45, 16) == (1, 2, 3)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("LTDC.SSCR is 0x00270009, the panel needs 0x00280009", {SSCR: 0x0027_0009}),
        ("LTDC.BPCR is 0x0035000C, the panel needs 0x0035000B", {BPCR: 0x0035_000C}),
        ("LTDC.AWCR is 0x0216011B, the panel needs 0x0215011B", {AWCR: 0x0216_011B}),
        ("LTDC.TWCR is 0x0236011D, the panel needs 0x0235011D", {TWCR: 0x0236_011D}),
        ("polarity bits of LTDC.GCR are 0x8, the panel needs 0x0", {GCR: 0x8000_2221}),
        ("the display controller is off", {GCR: 0x2220}),
        ("layer 1 is off", {L1CR: 0x10}),
        ("layer 1 has pixel format 2", {PFCR: 2}),
        ("window leaves the panel horizontally: from 53 to 533", {WHPCR: 0x0215_0035}),
        ("window leaves the panel horizontally: from 54 to 534", {WHPCR: 0x0216_0036}),
        ("window leaves the panel vertically: from 12 to 284", {WVPCR: 0x011C_000C}),
        ("272 lines of 480 bytes, 479 apart", {CFBLR: 0x01DF_01E3}),
        ("272 lines of 477 bytes", {CFBLR: 0x01E0_01E0}),
        ("271 lines of 480 bytes", {CFBLNR: 271}),
        ("cannot show .* DTCM", {CFBAR: 0x2000_8000}),
        ("cannot show .* DTCM", {CFBAR: 0x2000_FFFF}),
        ("cannot show .* no memory", {CFBAR: 0x2004_0000}),
        ("cannot show .* no memory", {CFBAR: 0x6000_0000}),
    ],
)
def test_a_wrong_display_is_refused_where_it_was_set(
    message: str, changes: dict[int, int | None]
) -> None:
    refuse_screen(message, changed(DISPLAY, changes))


@pytest.mark.parametrize(
    ("message", "operation"),
    [
        ("layer 1 is not opaque: L1CACR is 127", Poke(CACR, 0x7F)),
        ("layer 1 is not opaque: .*L1BFCR, is 0x605", Poke(BFCR, 0x605)),
        ("layer 1 has a default colour", Poke(DCCR, 0xFF00_0000)),
        ("layer 1 has a colour key", Poke(L1CR, 0x13)),
    ],
)
def test_what_of_a_layer_is_not_modelled_is_refused(message: str, operation: Poke) -> None:
    refuse_screen(message, DISPLAY, Blamed(operation), Poke(SRCR, 1))


def test_a_frame_buffer_in_flash_can_be_shown() -> None:
    changes: dict[int, int | None] = {CFBAR: 0x0801_0000}
    white = tuple(Poke(CLUTWR, index << 24 | 0xFF_FFFF) for index in range(256))
    shown = screen(white, unblamed(changed(DISPLAY, changes)))
    assert pixel(shown, 0, 0) == (0xFF, 0xFF, 0xFF)  # erased: colour number 255


def test_a_colour_that_was_never_set_is_refused() -> None:
    refuse_screen(
        "a pixel has the colour number 2, which was never set",
        *(DISPLAY, Poke(FRAME_BUFFER + 5, 2, size=1)),
    )


def test_a_frame_buffer_that_was_never_cleared_is_noticed() -> None:
    message = "a pixel has the colour number 165, which was never set"
    check_refused(message, CONSOLE, DISPLAY, DONE, board=DISCO)


def test_registers_of_a_layer_wait_for_a_reload() -> None:
    refuse_screen("LTDC.L1CR was written and not taken over", without(DISPLAY, SRCR))
    refuse_screen(
        "LTDC.L1CFBAR was written and not taken over",
        *(DISPLAY, Blamed(Poke(CFBAR, FRAME_BUFFER + 480))),
    )
    screen(DISPLAY, Poke(CFBAR, FRAME_BUFFER + 480), Poke(SRCR, 1))
    screen(DISPLAY, Poke(CFBAR, FRAME_BUFFER + 480), Poke(SRCR, 2))


def test_a_reload_at_blanking_comes_when_the_display_runs() -> None:
    wait = Raw((0x6802, 0x0792, 0xD4FC))  # ldr r2, [r0]; lsls r2, r2, #30; bmi
    screen(DISPLAY, Poke(CFBAR, FRAME_BUFFER + 480), Poke(SRCR, 2), wait)
    with pytest.raises(SimulationFaultError, match=r"waits for ever on LTDC\.SRCR"):
        run(FPU, CLOCKED, Poke(SRCR, 2), wait)


def test_the_timing_is_fixed_while_the_controller_runs() -> None:
    refuse_screen("TWCR was written while the controller is on", DISPLAY, Blamed(Poke(TWCR, 0)))


def test_a_controller_without_a_pixel_clock_is_refused() -> None:
    refuse_screen(
        "switched on without a pixel clock",
        without(without(DISPLAY, CR), GCR),
        Blamed(Poke(GCR, 1)),
    )


@pytest.mark.parametrize(
    ("message", "setting"),
    [
        (r"pixel clock is 4\.8 MHz, -50\.0% off", {DCKCFGR1: 2 << 16}),
        (r"pixel clock is 19\.2 MHz, \+100\.0% off", {DCKCFGR1: 0}),
        (r"pixel clock is 10\.1 MHz, \+5\.2% off", {PLLSAICFGR: 0x5400_3280}),
    ],
)
def test_a_pixel_clock_far_from_the_panels_is_refused(
    message: str, setting: dict[int, int | None]
) -> None:
    refuse_screen(message, unblamed(changed(DISPLAY, setting)))


def test_a_pixel_clock_near_the_panels_is_taken() -> None:
    for multiplier in (183, 201):
        factors: dict[int, int | None] = {PLLSAICFGR: 0x5400_0000 | multiplier << 6}
        screen(unblamed(changed(DISPLAY, factors)))


def test_the_pixel_clock_is_the_same_with_the_crystal() -> None:
    pixel_clock = unblamed(changed(DISPLAY, {CR: 0x1101_0083}))
    shown = run(FPU, cleared(), AT_216_MHZ, CONSOLE, pixel_clock, DONE, board=DISCO).screen
    assert shown is not None
    assert pixel(shown, 0, 0) == GROUND


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("PG12 has function 14 .GPIOG.AFRH.; LTDC's B4 is 9", {port("G", "AFRH"): 0x000E_0000}),
        ("PE4 has function 9 .*LTDC's B0 is 14", {port("E", "AFRL"): 0x0009_0000}),
        ("PJ13 is an input .*LTDC's B1", {port("J", "MODER"): 0xA0AA_AAAA}),
        ("PK7, LTDC's DE, has the lowest speed", {port("K", "OSPEEDR"): 0x0000_2AAA}),
    ],
)
def test_a_signal_that_does_not_reach_the_panel_is_refused(
    message: str, changes: dict[int, int | None]
) -> None:
    refuse_screen(f"the panel gets no picture.*{message}", changed(DISPLAY, changes))


def test_panel_and_backlight_must_be_switched_on() -> None:
    for index, pin in enumerate(("PI12", "PK3")):
        off = tuple(part for part in DISPLAY if part != SWITCHES[index])
        refuse_screen(f"the panel is dark.*{pin} is not an output that is high", off)


def test_a_frame_buffer_must_not_stay_behind_in_the_data_cache() -> None:
    refuse_screen("cannot show .*the core's data cache is on there", DATA_CACHE, DISPLAY)
    assert pixel(screen(UNCACHED, DATA_CACHE, DISPLAY), 0, 0) == GROUND


@pytest.mark.parametrize(
    ("cached", "attributes"),
    [
        (True, UNCACHED_REGION | 1 << 17 | 1 << 16),  # write-back, write-allocate
        (True, UNCACHED_REGION & ~(7 << 19) | 1 << 17 | 1 << 16),  # write-back
        (False, UNCACHED_REGION & ~(7 << 19) | 1 << 17),  # write-through
        (False, UNCACHED_REGION | 1 << 18 | 1 << 17 | 1 << 16),  # shared
        (True, UNCACHED_REGION | 1 << 13),  # without the last eighth of the frame buffer
        (True, UNCACHED_REGION & ~1),  # not enabled
        (True, UNCACHED_REGION & ~(7 << 19) | 5 << 19),  # another cache policy: write-back
    ],
)
def test_what_is_cached_follows_the_attributes_of_the_region(cached: bool, attributes: int) -> None:
    region = unblamed(changed(UNCACHED, {MPU_RASR: attributes}))
    if cached:
        refuse_screen("the core's data cache is on there", region, DATA_CACHE, DISPLAY)
    else:
        screen(region, DATA_CACHE, DISPLAY)


def test_a_board_without_a_display_shows_nothing() -> None:
    assert run(CONSOLE, DONE).screen is None


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"controller": "DSI"}, "the display is on 'DSI'"),
        ({"pins": {"B4": "PG11"}}, "the display's B4 is on 'PG11'"),
        ({"pins": {"B9": "PG11"}}, "LTDC has it on no pin"),
        ({"on": ("PI16",)}, "no pin 'PI16'"),
    ],
)
def test_a_board_with_another_display_is_one_error(update: dict[str, object], message: str) -> None:
    assert DISCO.display is not None
    board = DISCO.model_copy(update={"display": DISCO.display.model_copy(update=update)})
    with pytest.raises(BoardDescriptionError, match=message):
        run(CONSOLE, DONE, board=board)


# The core


@pytest.mark.parametrize(
    ("name", "halfwords", "result"),
    [
        ("vselge.f32 s2, s0, s1", (0xFE20, 0x1A20), 0x4020_0000),
        ("vmaxnm.f32 s2, s0, s1", (0xFE80, 0x1A20), 0x4020_0000),
        ("vminnm.f32 s2, s0, s1", (0xFE80, 0x1A60), 0xBFC0_0000),
        ("vrinta.f32 s2, s0", (0xFEB8, 0x1A40), 0x4040_0000),
        ("vrintm.f32 s2, s0", (0xFEBB, 0x1A40), 0x4000_0000),
        ("vcvtm.s32.f32 s2, s1", (0xFEBF, 0x1AE0), 0xFFFF_FFFE),
    ],
)
def test_instructions_that_only_this_floating_point_unit_has_run(
    name: str, halfwords: tuple[int, int], result: int
) -> None:
    del name
    operands = (
        *(Poke(0x2000_0000, 0x4020_0000), Peek(0x2000_0000)),  # 2.5
        Raw((0xEE00, 0x2A10)),  # vmov s0, r2
        *(Poke(0x2000_0000, 0xBFC0_0000), Peek(0x2000_0000)),  # -1.5
        Raw((0xEE00, 0x2A90)),  # vmov s1, r2
        Raw((0x2000, 0x2800)),  # movs r0, #0; cmp r0, #0: greater or equal
    )
    store = Raw((0xEE11, 0x2A10))  # vmov r2, s2
    checked = (store, *expect(0x2000_0004, result)[1:])
    assert run(Poke(CPACR, 0xF << 20), operands, Raw(halfwords), checked, CONSOLE, DONE).console


def test_floating_point_without_access_is_refused() -> None:
    check_refused("floating-point unit is off", Blamed(Raw((0xFE80, 0x1A20))))
