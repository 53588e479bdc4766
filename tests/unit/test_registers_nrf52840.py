"""What the firmware and the simulator know of the chip, against the vendor's description of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.chips import Surroundings
from simulator.chips.nrf52840.chip import make_chip
from simulator.chips.nrf52840.gpio import Gpio
from simulator.chips.nrf52840.uarte import actual_baud
from simulator.clock import Clock
from simulator.registers import WORD, Register
from tests.unit.nrf52840_support import NANO
from tests.unit.register_header_support import Namespace, read_header
from tests.unit.svd_support import SvdField, SvdPeripheral, SvdRegister, svd

BOARD = Path(__file__).parents[2] / "boards" / NANO.name
HEADER = read_header(BOARD / "registers.h")
PART = svd("nrf52840")
PAGE = 0x1000

# Values in registers.h and the vendor's value that each must be: peripheral, register, field, name.
VALUES = {
    ("gpio", "kOutput"): ("P0", "PIN_CNF[0]", "DIR", "Output"),
    ("gpio", "kInputConnected"): ("P0", "PIN_CNF[0]", "INPUT", "Connect"),
    ("gpio", "kInputDisconnected"): ("P0", "PIN_CNF[0]", "INPUT", "Disconnect"),
    ("gpio", "kPullUp"): ("P0", "PIN_CNF[0]", "PULL", "Pullup"),
    ("uarte0", "kDisabled"): ("UARTE0", "ENABLE", "ENABLE", "Disabled"),
    ("uarte0", "kEnabled"): ("UARTE0", "ENABLE", "ENABLE", "Enabled"),
    ("uarte0", "kConnected"): ("UARTE0", "PSEL.TXD", "CONNECT", "Connected"),
    ("uarte0", "kBaud115200"): ("UARTE0", "BAUDRATE", "BAUDRATE", "Baud115200"),
    ("pwm0", "kUp"): ("PWM0", "MODE", "UPDOWN", "Up"),
    ("pwm0", "kDiv64"): ("PWM0", "PRESCALER", "PRESCALER", "DIV_64"),
    ("pwm0", "kCommon"): ("PWM0", "DECODER", "LOAD", "Common"),
    ("pwm0", "kRefreshCount"): ("PWM0", "DECODER", "MODE", "RefreshCount"),
    ("pwm0", "kConnected"): ("PWM0", "PSEL.OUT[0]", "CONNECT", "Connected"),
}
# What is not in the description, and where it comes from. PS: Nordic's product specification.
NOT_DESCRIBED = {
    ("task", "kStart"): "PS, peripheral interface: a task starts when 1 is written",
    ("event", "kNotYet"): "PS, peripheral interface: an event is cleared by writing 0",
    ("pwm0", "kHighFirst"): "PS, PWM: bit 15 of a compare value in RAM is the polarity",
}
# Where the simulator knows better: PS has 48 pins; the description derives P1 from P0, so 64.
PINS_OF_P1 = 0xFFFF


def field(peripheral: str, register: str, name: str) -> SvdField:
    return PART.peripherals[peripheral].registers[register].fields[name]


def by_address(peripheral: SvdPeripheral) -> dict[int, SvdRegister]:
    return {peripheral.base + each.offset: each for each in peripheral.registers.values()}


def header_name(register: SvdRegister) -> str:
    """SEQ[0].PTR is SEQ0_PTR in C++; the index of PIN_CNF[n] is the template's."""
    name = re.sub(r"PIN_CNF\[\d+\]", "PIN_CNF", register.name)
    return name.replace("[", "").replace("]", "").replace(".", "_")


def prove(written: Namespace, peripheral: SvdPeripheral) -> tuple[int, int]:
    """Compare; return how many registers and fields were proved."""
    assert written.constants["kBase"] == peripheral.base
    described = by_address(peripheral)
    for name, register in written.registers.items():
        assert header_name(described[register.address]) == name
    for name, each in written.fields.items():
        prefix = f"{each.register}_"
        assert name.startswith(prefix)
        found = described[each.address].fields[name.removeprefix(prefix)]
        assert (found.lowest, found.width) == (each.lowest, each.width), name
    return len(written.registers), len(written.fields)


def test_every_register_and_field_of_the_firmware_is_the_vendors() -> None:
    counts = [prove(HEADER[name], PART.peripherals[name.upper()]) for name in PERIPHERALS]
    assert [sum(each) for each in zip(*counts, strict=True)] == [25, 24]


PERIPHERALS = ("clock", "uarte0", "pwm0")


def test_every_part_of_the_header_is_compared() -> None:
    assert set(HEADER) == {"task", "event", "gpio", *PERIPHERALS}
    assert {name: set(each.templates) for name, each in HEADER.items() if each.templates} == {
        "gpio": {"Pin"}
    }
    assert not HEADER["gpio"].registers
    assert not HEADER["gpio"].fields


@pytest.mark.parametrize("pin", range(48))
def test_every_register_and_field_of_a_pin_is_the_vendors(pin: int) -> None:
    made = HEADER["gpio"].instance("Pin", pin)
    port = PART.peripherals[f"P{pin // 32}"]
    assert prove(made, port) == (3, 3)
    described = by_address(port)[made.registers["PIN_CNF"].address]
    assert described.name == f"PIN_CNF[{pin % 32}]"
    for name in ("OUTSET", "OUTCLR"):
        assert port.registers[name].fields[f"PIN{pin % 32}"].mask == made.constants["kBit"]


def test_every_value_of_the_firmware_is_the_vendors_or_has_a_source() -> None:
    proved, sourced = set(), set()
    for namespace, each in HEADER.items():
        for name, value in each.constants.items():
            key = (namespace, name)
            if name == "kBase":
                continue
            if name == "kDisconnected":
                assert value == PART.peripherals["UARTE0"].registers["PSEL.TXD"].reset
            elif key in NOT_DESCRIBED:
                sourced.add(key)
            else:
                *place, code = VALUES[key]
                assert field(*place).values[code] == value, name
                proved.add(key)
    assert (proved, sourced) == (set(VALUES), set(NOT_DESCRIBED))
    assert len(proved) == 13


def test_the_pins_of_board_toml_are_those_that_the_firmware_selects() -> None:
    source = (BOARD / "board.cc").read_text()
    wanted = {
        "PSEL_TXD": NANO.console.tx_pin,
        "PSEL_RXD": NANO.console.rx_pin,
        "PSEL_OUT0": NANO.led[0].pin,
    }
    for register, pin in wanted.items():
        selected = re.search(rf"{register}_PIN::Of\((\d+)\) \| {register}_PORT::Of\((\d)\)", source)
        assert selected is not None
        assert f"P{selected[2]}.{int(selected[1]):02}" == pin


# The simulator

SURROUNDINGS = Surroundings(
    NANO, Clock(lambda: 0), lambda _byte: None, lambda: 0, lambda _address, _size: None
)


def rows() -> Iterator[tuple[str, Register, SvdRegister]]:
    """Each register of the simulator's tables, beside the vendor's at the same address."""
    for peripheral in make_chip(SURROUNDINGS).peripherals:
        for offset, register in peripheral.registers.items():
            owner, name = peripheral.name, register.name
            if owner == "GPIO":
                owner, _, name = name.partition(".")
            found = by_address(PART.peripherals[owner])[peripheral.base + offset]
            assert found.name == name
            yield f"{owner}.{name}", register, found


def test_every_register_of_the_simulator_is_the_vendors() -> None:
    registers = fields = 0
    for name, register, found in rows():
        assert register.reset == found.reset, name
        assert register.writable == (found.access != "read-only"), name
        assert register.readable == (found.access != "write-only"), name
        if name.startswith("P1.") and found.bits == WORD:
            assert register.bits == PINS_OF_P1, name
        elif ".PSEL." in name:
            # All ones after reset; the model looks at the bits between the fields itself.
            assert (register.bits, found.bits) == (WORD, 0x8000_003F), name
        else:
            assert register.bits == found.bits, name
        registers += 1
        fields += sum(bool(each.mask & register.bits) for each in found.fields.values())
    assert (registers, fields) == (239, 970)


def test_the_chip_has_nothing_that_is_neither_modelled_nor_named() -> None:
    chip = make_chip(SURROUNDINGS)
    modelled = {each.base for each in chip.peripherals}
    pages: dict[int, set[str]] = {}
    for peripheral in PART.peripherals.values():
        pages.setdefault(peripheral.base & ~(PAGE - 1), set()).add(peripheral.name)
    for page, names in pages.items():
        owner = set(re.findall(r"[A-Z]\w+", chip.owner(page)))
        if page in modelled:
            assert not owner
        else:
            assert owner, f"0x{page:08X} is {names}"
            assert owner <= names, f"0x{page:08X}"
    for page in range(0x4000_0000, 0x4003_0000, PAGE):
        assert bool(chip.owner(page)) == (page in pages and page not in modelled), hex(page)


def test_the_modelled_rates_are_the_vendors_actual_rates() -> None:
    compared = 0
    for peripheral in ("UARTE0", "UART0"):
        rates = field(peripheral, "BAUDRATE", "BAUDRATE")
        for name, value in rates.values.items():
            text = rates.descriptions[name]
            actual = re.search(r"actual rate: (\d+)", text)
            named = re.match(r"(\d+)(Mega)? ?baud", text)
            assert named
            rate = int(actual[1]) if actual else int(named[1]) * (1_000_000 if named[2] else 1)
            assert round(actual_baud(value)) == rate, text
            compared += 1
    assert compared == 36


def drives(code: int, *, high: bool) -> bool:
    """Return whether a pin with this drive strength drives this level."""
    pins = Gpio(lambda: 0)
    pins.write(0x504, 4, int(high))
    pins.write(0x700, 4, 1 | code << field("P0", "PIN_CNF[0]", "DRIVE").lowest)
    return pins.level(0) is not None


def test_a_drive_strength_drives_the_levels_that_its_name_says() -> None:
    strengths = field("P0", "PIN_CNF[0]", "DRIVE").values
    assert len(strengths) == 8
    for name, code in strengths.items():
        assert drives(code, high=False) == ("D0" not in name)
        assert drives(code, high=True) == ("D1" not in name)


@pytest.mark.parametrize(("name", "values"), [("PULL", {0, 1, 3}), ("SENSE", {0, 2, 3})])
def test_the_values_that_a_pin_refuses_are_those_that_the_vendor_does_not_name(
    name: str, values: set[int]
) -> None:
    assert set(field("P0", "PIN_CNF[0]", name).values.values()) == values


def test_interrupts_and_memories_of_board_toml_are_the_vendors() -> None:
    assert NANO.core.interrupts == max(PART.interrupts) + 1
    (flash,) = [memory for memory in NANO.memory if memory.kind == "flash"]
    assert field("FICR", "INFO.FLASH", "FLASH").values["K1024"] * 1024 == flash.length
    assert field("FICR", "INFO.RAM", "RAM").values["K256"] * 1024 == NANO.ram.length
