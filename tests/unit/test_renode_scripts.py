"""The Python peripherals for Renode, one by one: accesses as the boards' firmwares make them."""

from __future__ import annotations

import pytest

from tests.unit.renode_support import BOARDS, Lamp, Machine, ScriptedPeripheral, platform_of
from toolchain.boards import Board


class Bench:
    """A board's scripts, with memory that a test fills."""

    def __init__(self, board: Board) -> None:
        self.memory: dict[int, int] = {}
        entries = platform_of(board)
        self.lamps = {entry.name: Lamp() for entry in entries if "LED" in entry.type}
        machine = Machine(self.lamps, lambda address, _size: self.memory.get(address, 0))
        self.scripts = {
            entry.name: ScriptedPeripheral(entry, machine)
            for entry in entries
            if entry.script is not None
        }

    def write(self, address: int, value: int) -> None:
        self._at(address).write(address - self._at(address).base, 4, value)

    def read(self, address: int) -> int:
        return self._at(address).read(address - self._at(address).base, 4)

    def change(self, address: int, mask: int, value: int) -> None:
        self.write(address, self.read(address) & ~mask | value)

    @property
    def said(self) -> list[str]:
        return [line for script in self.scripts.values() for line in script.log]

    def _at(self, address: int) -> ScriptedPeripheral:
        (found,) = (each for each in self.scripts.values() if each.holds(address))
        return found


@pytest.fixture
def edge() -> Bench:
    return Bench(BOARDS["sparkfun_edge"])


@pytest.fixture
def nano() -> Bench:
    return Bench(BOARDS["arduino_nano_33_ble"])


@pytest.fixture
def disco() -> Bench:
    return Bench(BOARDS["stm32f746g_disco"])


GPIO, CTIMER = 0x4001_0000, 0x4000_8000
PADKEY, PADREG46, CFG46 = GPIO + 0x60, GPIO + 0x2C, GPIO + 0x54
WTSB, WTCB, CTENCFG = GPIO + 0x94, GPIO + 0x9C, GPIO + 0x118
CTRL6, CMPRA6, OUTCFG2 = CTIMER + 0xCC, CTIMER + 0xC4, CTIMER + 0x10C
RED = 1 << 14


def as_gpio(edge: Bench) -> None:
    edge.write(PADKEY, 0x73)
    edge.change(PADREG46, 0xFF << 16, 0x1C << 16)
    edge.change(CFG46, 0xF << 24, 1 << 25)
    edge.write(PADKEY, 0)


def as_timer_output(edge: Bench) -> None:
    edge.change(OUTCFG2, 7 << 12, 2 << 12)
    edge.write(CTRL6, 0x1 << 1 | 3 << 6 | 1 << 11)
    edge.write(CMPRA6, 11_999 << 16 | 2_999)
    edge.write(CTRL6, 0x1 << 1 | 3 << 6 | 1)
    edge.change(CTENCFG, 1 << 24, 0)
    edge.write(PADKEY, 0x73)
    edge.change(PADREG46, 0xFF << 16, 0x14 << 16)
    edge.write(PADKEY, 0)


def test_a_pin_of_the_edge_is_set_and_cleared_by_bits(edge: Bench) -> None:
    as_gpio(edge)
    edge.write(WTSB, RED | 1)
    assert edge.lamps["led_red"].lit
    edge.write(WTCB, 1)
    assert edge.lamps["led_red"].lit
    assert edge.read(GPIO + 0x8C) == RED
    edge.write(WTCB, RED)
    assert not edge.lamps["led_red"].lit
    assert edge.said == ["LED red: 1000 of 1000", "LED red: 0 of 1000"]


def test_pads_of_the_edge_are_locked_and_say_so(edge: Bench) -> None:
    assert edge.read(PADKEY) == 0
    before = edge.read(PADREG46)
    edge.write(PADREG46, 0)
    assert edge.read(PADREG46) == before == 0x1818_1818
    assert edge.said == ["warning: pads are locked: nothing is written to offset 0x802C"]
    edge.write(PADKEY, 0x73)
    assert edge.read(PADKEY) == 1


def test_a_timer_of_the_edge_lights_a_led_in_part(edge: Bench) -> None:
    as_timer_output(edge)
    assert edge.said[-1] == "LED red: 750 of 1000"
    assert edge.lamps["led_red"].lit
    edge.write(CMPRA6, 11_999 << 16 | 8_999)
    assert edge.said[-1] == "LED red: 250 of 1000"
    assert not edge.lamps["led_red"].lit
    for code, said in ((1, "1000"), (0, "0"), (2, "250")):
        edge.change(OUTCFG2, 7 << 12, code << 12)
        assert edge.said[-1] == f"LED red: {said} of 1000"
    assert not any(edge.lamps[name].lit for name in ("led_blue", "led_green", "led_yellow"))


@pytest.mark.parametrize(
    ("address", "mask", "value"),
    [
        (CTENCFG, 0, 1 << 24),  # the output is off
        (CTIMER + 0x100, 1 << 12, 0),  # the timer is not allowed
        (CTRL6, 1, 0),  # it does not run
        (CTRL6, 0, 1 << 11),  # it is held
        (CTRL6, 7 << 6, 1 << 6),  # it does something else
        (OUTCFG2, 7 << 12, 3 << 12),  # another one is the source
    ],
)
def test_a_led_of_the_edge_is_dark_when_its_timer_does_not_reach_it(
    edge: Bench, address: int, mask: int, value: int
) -> None:
    as_timer_output(edge)
    edge.change(address, mask, value)
    assert edge.said[-1] == "LED red: 0 of 1000"


def test_power_of_the_edge_comes_when_it_is_asked_for(edge: Bench) -> None:
    assert edge.read(0x4002_1018) == 3
    edge.write(0x4002_1008, 1 << 7)
    assert edge.read(0x4002_1008) == 1 << 7
    assert edge.read(0x4002_1018) == 7


def test_the_cache_of_the_edge_is_ready(edge: Bench) -> None:
    assert edge.read(0x4001_8000) == 0x0010_0C50
    assert edge.read(0x4001_8008) & 4


CLOCK = 0x4000_0000


def test_the_crystal_of_the_nano_swings_when_it_is_started(nano: Bench) -> None:
    assert nano.read(CLOCK + 0x100) == 0
    assert nano.read(CLOCK + 0x40C) == 1 << 16
    nano.write(CLOCK + 0x000, 1)
    assert nano.read(CLOCK + 0x100) == 1
    assert nano.read(CLOCK + 0x40C) == 1 << 16 | 1
    nano.write(CLOCK + 0x100, 0)
    assert nano.read(CLOCK + 0x100) == 0
    nano.write(CLOCK + 0x004, 1)
    assert nano.read(CLOCK + 0x40C) == 1 << 16


PWM = 0x4001_C000
VALUES = 0x2000_0100


def play(nano: Bench, *values: int, load: int = 0) -> None:
    for number, value in enumerate(values):
        nano.memory[VALUES + 2 * number] = value
    for offset, value in (
        *((0x560, 13), (0x500, 1), (0x508, 255), (0x510, load)),
        *((0x520, VALUES), (0x524, len(values)), (0x008, 1)),
    ):
        nano.write(PWM + offset, value)


@pytest.mark.parametrize(
    ("value", "part"),
    [(0x8000, 0), (0x8000 | 51, 200), (0x8000 | 255, 1000), (51, 800), (0x8000 | 999, 1000)],
)
def test_the_pwm_of_the_nano_gives_the_part_of_its_period(
    nano: Bench, value: int, part: int
) -> None:
    play(nano, value)
    assert nano.said == ([f"LED builtin: {part} of 1000"] if part else [])
    assert nano.lamps["led_builtin"].lit == (part >= 500)
    assert [nano.read(PWM + event) for event in (0x108, 0x110, 0x118, 0x10C)] == [1, 1, 1, 0]


def test_the_last_step_of_a_sequence_stays_and_each_channel_takes_its_own(nano: Bench) -> None:
    play(nano, 0x8000, 0x8000 | 102)
    assert nano.said[-1] == "LED builtin: 400 of 1000"
    play(nano, *(0x8000,) * 4, 0x8000 | 204, *(0x8000,) * 3, load=2)
    assert nano.said[-1] == "LED builtin: 800 of 1000"
    nano.write(PWM + 0x004, 1)
    assert nano.said[-1] == "LED builtin: 0 of 1000"


def test_a_pwm_that_is_off_or_on_another_pin_lights_nothing(nano: Bench) -> None:
    nano.memory[VALUES] = 0x80FF
    for offset, value in ((0x560, 13), (0x508, 255), (0x520, VALUES), (0x524, 1), (0x008, 1)):
        nano.write(PWM + offset, value)
    nano.write(PWM + 0x500, 1)
    for pin in (14, 13 | 32, 13 | 1 << 31):
        nano.write(PWM + 0x560, pin)
        nano.write(PWM + 0x008, 1)
    assert nano.said == []


RCC, PWR, TIM1, LTDC = 0x4002_3800, 0x4000_7000, 0x4001_0000, 0x4001_6800


def test_clocks_of_the_disco_are_ready_when_they_are_on(disco: Bench) -> None:
    assert disco.read(RCC) == 0x83
    for bit in (16, 24, 28):
        disco.change(RCC, 0, 1 << bit)
        assert disco.read(RCC) >> bit & 3 == 3
    disco.change(RCC, 1 << 16, 0)
    assert disco.read(RCC) >> 16 & 3 == 0
    disco.change(RCC + 8, 3, 2)
    assert disco.read(RCC + 8) == 0xA
    assert disco.read(RCC + 0x30) == 0x0010_0000


def test_over_drive_of_the_disco_is_ready_when_it_is_on(disco: Bench) -> None:
    assert disco.read(PWR + 4) >> 16 == 0
    disco.change(PWR, 0, 1 << 16)
    assert disco.read(PWR + 4) >> 16 & 3 == 1
    disco.change(PWR, 0, 1 << 17)
    assert disco.read(PWR + 4) >> 16 & 3 == 3


def light(disco: Bench, compare: int) -> None:
    disco.memory |= {
        0x4002_2000: 1 << 2,
        0x4002_6428: 6 << 25 | 1,
        0x4002_6430: 0x4002_2018,
        0x4002_6434: 0x0800_0100,
        0x4002_6488: 6 << 25 | 1,
        0x4002_6490: 0x4002_2018,
        0x4002_6494: 0x0800_0104,
        0x0800_0100: 1 << 1,
        0x0800_0104: 1 << 17,
    }
    for offset, value in ((0x2C, 249), (0x34, compare), (0x0C, 0x300), (0x00, 1)):
        disco.write(TIM1 + offset, value)


@pytest.mark.parametrize(("compare", "part"), [(1, 996), (125, 500), (200, 200), (250, 0)])
def test_the_timer_of_the_disco_lights_its_led_in_part(
    disco: Bench, compare: int, part: int
) -> None:
    light(disco, compare)
    assert disco.said == ([f"LED green: {part} of 1000"] if part else [])
    assert disco.lamps["led_green"].lit == (part >= 500)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (0x4002_2000, 0),  # the pin is no output
        (0x4002_6428, 6 << 25),  # the stream is off
        (0x4002_6428, 5 << 25 | 1),  # on another channel
        (0x4002_6430, 0x4002_1C18),  # at another port
        (0x0800_0100, 1 << 2),  # another pin
    ],
)
def test_the_led_of_the_disco_is_dark_when_nothing_sets_its_pin(
    disco: Bench, address: int, value: int
) -> None:
    light(disco, 50)
    disco.memory[address] = value
    disco.write(TIM1 + 0x34, 60)
    assert disco.said[-1] == "LED green: 0 of 1000"


def test_the_display_of_the_disco_says_what_it_shows(disco: Bench) -> None:
    layer = LTDC + 0x84
    for address, value in (
        *((layer + 4, 0x0215_0036), (layer + 8, 0x011B_000C), (layer + 0x28, 0x2001_0000)),
        (layer, 0x11),
    ):
        disco.write(address, value)
    assert disco.said == []
    disco.change(LTDC + 0x18, 0, 1)
    assert disco.said == ["display: 480 x 272 pixels from 0x20010000 on"]
