"""What the firmware and the simulator know of the chip, against the vendor's description of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.chips import Surroundings
from simulator.chips.nrf52840.chip import make_chip
from simulator.chips.nrf52840.gpio import Gpio
from simulator.chips.nrf52840.uarte import actual_baud
from simulator.clock import Clock
from simulator.registers import WORD, Register
from tests.unit.nrf52840_support import NANO
from tests.unit.svd import SvdPeripheral, SvdRegister, read_svd

BOARD = Path(__file__).parents[2] / "boards" / NANO.name
HEADER = (BOARD / "registers.h").read_text()
SVD = read_svd("nrf52840.svd")
PAGE = 0x1000

# Values in registers.h and the vendor's code that each must be: peripheral, register, field, code.
CODES = {
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
# What is not in the SVD, and where it comes from. PS: Nordic's nRF52840 product specification.
NOT_IN_SVD = {
    ("", "kTrigger"): "PS, peripheral interface: a task starts when 1 is written",
    ("", "kNotYet"): "PS, peripheral interface: an event is cleared by writing 0",
    ("pwm0", "kHighFirst"): "PS, PWM: bit 15 of a compare value in RAM is the polarity",
}
# Where the simulator knows better than the SVD.
PINS_OF_P1 = 0xFFFF  # PS: 48 pins; the SVD derives P1 from P0 and so gives it 32


@dataclass(frozen=True)
class HeaderRegister:
    name: str
    address: int


@dataclass(frozen=True)
class HeaderField:
    register: HeaderRegister
    name: str
    lowest: int
    width: int


@dataclass(frozen=True)
class Header:
    """A namespace of registers.h; in the template of the pins, for one pin."""

    registers: tuple[HeaderRegister, ...]
    fields: tuple[HeaderField, ...]
    constants: Mapping[str, int]


def evaluate(expression: str, known: Mapping[str, int]) -> int:
    expression = re.sub(r"(.+) \? (.+) : (.+)", r"(\2) if (\1) else (\3)", expression)
    return int(eval(re.sub(r"(?<=\d)u\b", "", expression), {"__builtins__": {}}, dict(known)))


def parse(text: str, **known: int) -> Header:
    constants: dict[str, int] = {}
    registers: dict[str, HeaderRegister] = {}
    fields: list[HeaderField] = []
    for name, value in re.findall(r"constexpr \w+ (k\w+) = ([^;]+);", text):
        constants[name] = evaluate(value, known | constants)
    for name, expression in re.findall(r"using (\w+) = Register<([^;]+)>;", text):
        registers[name] = HeaderRegister(name, evaluate(expression, known | constants))
    for name, register, place in re.findall(r"using (\w+) = Field<(\w+), ([^;]+)>;", text):
        lowest, _, width = place.partition(", ")
        fields.append(
            HeaderField(
                registers[register],
                name.removeprefix(f"{register}_"),
                evaluate(lowest, known | constants),
                evaluate(width or "1", known | constants),
            )
        )
    assert len(registers) == text.count("Register<")
    assert len(fields) == text.count("Field<")
    return Header(tuple(registers.values()), tuple(fields), constants)


def namespaces() -> dict[str, str]:
    found = re.findall(r"^namespace (\w+) \{\n(.*?)^\}  // namespace \1$", HEADER, re.M | re.S)
    (inner,) = [text for name, text in found if name == "nrf52840"]
    parts = re.findall(r"^namespace (\w+) \{\n(.*?)^\}  // namespace \1$", inner, re.M | re.S)
    outside = inner
    for _, text in parts:
        outside = outside.replace(text, "")
    assert "Register<" not in outside
    assert "Field<" not in outside
    return {"": outside, **dict(parts)}


def by_address(peripheral: SvdPeripheral) -> dict[int, SvdRegister]:
    return {register.address: register for register in peripheral.registers.values()}


def header_name(register: SvdRegister) -> str:
    """SEQ[0].PTR is SEQ0_PTR in C++; the index of PIN_CNF[n] is the template's."""
    name = re.sub(r"PIN_CNF\[\d+\]", "PIN_CNF", register.name)
    return name.replace("[", "").replace("]", "").replace(".", "_")


def prove(header: Header, peripheral: SvdPeripheral) -> tuple[int, int]:
    """Compare; return how many registers and fields were proved."""
    registers = by_address(peripheral)
    for register in header.registers:
        assert header_name(registers[register.address]) == register.name
    for field in header.fields:
        found = registers[field.register.address].fields[field.name]
        assert (found.lowest, found.width) == (field.lowest, field.width), field
    return len(header.registers), len(header.fields)


def test_every_register_and_field_of_the_firmware_is_the_vendors() -> None:
    texts = namespaces()
    assert set(texts) == {"", "clock", "gpio", "uarte0", "pwm0"}
    total = [0, 0]
    for name in ("clock", "uarte0", "pwm0"):
        header = parse(texts[name])
        assert header.constants["kBase"] == SVD[name.upper()].base
        for index, count in enumerate(prove(header, SVD[name.upper()])):
            total[index] += count
    assert total == [25, 24]


@pytest.mark.parametrize("pin", range(48))
def test_every_register_and_field_of_a_pin_is_the_vendors(pin: int) -> None:
    header = parse(namespaces()["gpio"], kPin=pin)
    port = SVD[f"P{pin // 32}"]
    assert header.constants["kBase"] == port.base
    assert prove(header, port) == (3, 3)
    (configuration,) = [each for each in header.registers if each.name == "PIN_CNF"]
    assert by_address(port)[configuration.address].name == f"PIN_CNF[{pin % 32}]"
    mask = 1 << header.constants["kIndex"]
    for name in ("OUTSET", "OUTCLR"):
        assert port.registers[name].fields[f"PIN{pin % 32}"].mask == mask


def test_every_value_of_the_firmware_is_the_vendors_or_has_a_source() -> None:
    proved, sourced = 0, set()
    for namespace, text in namespaces().items():
        constants = parse(text, kPin=0).constants
        for name, value in constants.items():
            if name in {"kBase", "kIndex"}:
                continue
            if (namespace, name) in NOT_IN_SVD:
                sourced.add((namespace, name))
                continue
            if name == "kDisconnected":
                assert value == SVD["UARTE0"].registers["PSEL.TXD"].reset
                continue
            peripheral, register, field, code = CODES[namespace, name]
            found = SVD[peripheral].registers[register].fields[field]
            assert found.code(code) == value, name
            proved += 1
    assert proved == len(CODES) == 13
    assert sourced == set(NOT_IN_SVD)


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
            found = by_address(SVD[owner])[peripheral.base + offset]
            assert found.name == name
            yield f"{owner}.{name}", register, found


def test_every_register_of_the_simulator_is_the_vendors() -> None:
    registers = fields = 0
    for name, register, found in rows():
        assert register.reset == found.reset, name
        assert register.writable == (found.access != "read-only"), name
        assert register.readable == (found.access != "write-only"), name
        if name.startswith("P1."):
            ports = found.bits == WORD
            assert register.bits == (found.bits & PINS_OF_P1 if ports else found.bits), name
        elif ".PSEL." in name:
            # All ones after reset; the model looks at the bits between the fields itself.
            assert (register.bits, found.bits) == (WORD, 0x8000_003F), name
        else:
            assert register.bits == found.bits, name
        registers += 1
        fields += sum(bool(field.mask & register.bits) for field in found.fields.values())
    assert (registers, fields) == (239, 970)


def test_the_chip_has_nothing_that_is_neither_modelled_nor_named() -> None:
    chip = make_chip(SURROUNDINGS)
    modelled = {each.base for each in chip.peripherals}
    pages: dict[int, set[str]] = {}
    for peripheral in SVD.values():
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
    codes = SVD["UARTE0"].registers["BAUDRATE"].fields["BAUDRATE"].codes
    codes += SVD["UART0"].registers["BAUDRATE"].fields["BAUDRATE"].codes
    for code in codes:
        actual = re.search(r"actual rate: (\d+)", code.description)
        named = re.match(r"(\d+)(Mega)? ?baud", code.description)
        assert named
        rate = int(actual[1]) if actual else int(named[1]) * (1_000_000 if named[2] else 1)
        assert round(actual_baud(code.value)) == rate, code
    assert len(codes) == 36


def drives(name: str, *, high: bool) -> bool:
    """Whether a pin with this drive strength of the vendor's drives this level."""
    pins = Gpio(lambda: 0)
    drive = SVD["P0"].registers["PIN_CNF[0]"].fields["DRIVE"]
    pins.write(0x504, 4, int(high))
    pins.write(0x700, 4, 1 | drive.code(name) << drive.lowest)
    return pins.level(0) is not None


def test_a_drive_strength_drives_the_levels_that_its_name_says() -> None:
    drive = SVD["P0"].registers["PIN_CNF[0]"].fields["DRIVE"]
    assert len(drive.codes) == 8
    for code in drive.codes:
        assert drives(code.name, high=False) == ("D0" not in code.name)
        assert drives(code.name, high=True) == ("D1" not in code.name)


@pytest.mark.parametrize(("name", "values"), [("PULL", {0, 1, 3}), ("SENSE", {0, 2, 3})])
def test_the_values_that_a_pin_refuses_are_those_that_the_vendor_does_not_name(
    name: str, values: set[int]
) -> None:
    field = SVD["P0"].registers["PIN_CNF[0]"].fields[name]
    assert {code.value for code in field.codes} == values


def test_interrupts_and_memories_of_board_toml_are_the_vendors() -> None:
    numbers = {number for each in SVD.values() for number in each.interrupts.values()}
    assert NANO.core.interrupts == max(numbers) + 1
    sizes = SVD["FICR"].registers
    (flash,) = [memory for memory in NANO.memory if memory.kind == "flash"]
    assert sizes["INFO.FLASH"].fields["FLASH"].code("K1024") * 1024 == flash.length
    assert sizes["INFO.RAM"].fields["RAM"].code("K256") * 1024 == NANO.ram.length
