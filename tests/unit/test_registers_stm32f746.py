"""The board's registers.h and the simulator's tables against the vendor's own description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from simulator.chips import Surroundings
from simulator.chips.stm32f746 import pins
from simulator.chips.stm32f746.chip import Stm32f746, make_chip
from simulator.chips.stm32f746.clocks import GATES
from simulator.chips.stm32f746.dma import TIM1_CHANNEL, TIM1_REQUESTS
from simulator.clock import Clock
from tests.unit.crate_support import Description, crate_files
from tests.unit.stm32f746_support import DISCO
from toolchain.layout import project_layout

HEADER = project_layout().boards / "stm32f746g_disco" / "registers.h"

# The description's names for what the manual calls otherwise.
OTHER_NAMES: Mapping[str, str] = {"TIM1.CCMR1": "TIM1.CCMR1_OUTPUT"}


@dataclass(frozen=True)
class Written:
    """A register of registers.h; ``fields``: lowest bit and width by name."""

    address: int
    fields: dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def described() -> Description:
    folder = "src/stm32f746/"
    files = crate_files("stm32f7", rf"{folder}.*\.rs")
    return Description({path.removeprefix(folder): text for path, text in files.items()})


@pytest.fixture(scope="module")
def metadata() -> str:
    (chip,) = crate_files("stm32-metapac", r"src/chips/stm32f746ng/metadata\.rs").values()
    included = re.search(r'include!\("\.\./(metadata_\d+\.rs)"\)', chip)
    assert included
    (text,) = crate_files("stm32-metapac", rf"src/chips/{included[1]}").values()
    return text


@pytest.fixture(scope="module")
def chip() -> Stm32f746:
    return make_chip(
        Surroundings(DISCO, Clock(int), lambda _byte: None, lambda: 0, lambda _address, _size: None)
    )


def registers_of_the_header() -> dict[str, Written]:
    """Return what registers.h has: ``RCC.CR``, ``DMA2.ST1.CR``, ``LTDC.LAYER0.CR``."""
    text = HEADER.read_text().partition("namespace cortex_m7")[0]
    found: dict[str, Written] = {}
    for space, base, body in spaces(text):
        for name, offset in re.findall(r"using (\w+) = Register<k\w*Base \+ (0x[0-9A-F]+)>", body):
            found[f"{space}.{name}"] = Written(base + int(offset, 16), {})
        for field, register, low, width in re.findall(
            r"using (\w+) = Field<(\w+), (\d+)(?:, (\d+))?>", body
        ):
            name = field.removeprefix(f"{register}_")
            assert name != field, f"{field} is not named after {register}"
            found[f"{space}.{register}"].fields[name] = (int(low), int(width or 1))
    return found


def spaces(text: str) -> Iterator[tuple[str, int, str]]:
    """Return name, base address and text of each group of registers."""
    for name in ("rcc", "flash", "pwr", "usart1", "tim1"):
        body = between(text, f"namespace {name} {{", f"}}  // namespace {name}")
        yield name.upper(), base_of(body), body
    dma = between(text, "namespace dma2 {", "}  // namespace dma2")
    for stream in (1, 5):
        yield f"DMA2.ST{stream}", base_of(dma) + 0x10 + 0x18 * stream, dma
    ltdc = between(text, "namespace ltdc {", "}  // namespace ltdc")
    layer = between(ltdc, "namespace layer1 {", "}  // namespace layer1")
    yield "LTDC", base_of(ltdc), ltdc.replace(layer, "")
    yield "LTDC.LAYER0", base_of(layer), layer


def between(text: str, begin: str, end: str) -> str:
    assert text.count(begin) == 1
    assert end in text.partition(begin)[2]
    return text.partition(begin)[2].partition(end)[0]


def base_of(body: str) -> int:
    match = re.search(r"constexpr uint32_t kBase = (0x[0-9A-F]{8});", body)
    assert match
    return int(match[1], 16)


def test_registers_and_fields_of_the_board_are_the_vendors(described: Description) -> None:
    written = registers_of_the_header()
    fields = 0
    for name, register in written.items():
        full = OTHER_NAMES.get(name, name)
        peripheral, _, rest = full.partition(".")
        vendors = described.registers(peripheral)[rest]
        assert register.address == described.base(peripheral) + vendors.offset, name
        for field, place in register.fields.items():
            assert vendors.fields[field] == place, f"{name} {field}"
            fields += 1
    assert (len(written), fields) == (46, 94)


def test_the_ports_of_the_board_are_the_vendors(described: Description) -> None:
    body = between(HEADER.read_text(), "namespace gpio {", "}  // namespace gpio")
    struct = between(body, "struct Port {", "};")
    names = re.findall(r"volatile uint32_t (\w+);\s+// (\d) bits? a pin", struct)
    letters = between(body, "enum PortName : uint8_t {", "}").replace(",", "").split()
    assert "".join(letters) == pins.PORTS
    for index, letter in enumerate(letters):
        vendors = described.registers(f"GPIO{letter}")
        assert described.base(f"GPIO{letter}") == base_of(body) + 0x400 * index
        for place, (name, width) in enumerate(names):
            assert vendors[name].offset == 4 * place, name
            assert (0, int(width)) in vendors[name].fields.values(), name
    assert len(names) == 10


def test_the_simulators_registers_are_the_vendors(described: Description, chip: Stm32f746) -> None:
    compared = 0
    for peripheral in chip.peripherals:
        assert peripheral.base == described.base(peripheral.name)
        vendors = described.registers(peripheral.name)
        for offset, register in peripheral.registers.items():
            name = vendors_name(peripheral.name, register.name)
            theirs = vendors[name]
            where = f"{peripheral.name}.{register.name}"
            assert offset == theirs.offset, where
            assert register.bits == theirs.bits, where
            assert register.reset == theirs.reset, where
            assert register.readable <= theirs.readable, where
            assert register.writable <= theirs.writable, where
            compared += 1
    assert compared == 195


def vendors_name(peripheral: str, name: str) -> str:
    if match := re.fullmatch(r"S(\d)(\w+)", name if peripheral == "DMA2" else ""):
        return f"ST{match[1]}.{match[2]}"
    if match := re.fullmatch(r"L1(\w+)", name if peripheral == "LTDC" else ""):
        return f"LAYER0.{match[1]}"
    return OTHER_NAMES.get(f"{peripheral}.{name}", name).removeprefix(f"{peripheral}.")


def test_every_gate_is_the_vendors(described: Description) -> None:
    base, registers = described.base("RCC"), described.registers("RCC")
    for name, gate in GATES.items():
        register = registers[gate.register]
        assert gate.address == base + register.offset
        assert register.fields[f"{name}EN"] == (gate.bit, 1), name


def test_the_vector_table_holds_every_interrupt(described: Description) -> None:
    assert max(described.interrupts.values()) + 1 == DISCO.core.interrupts


def peripheral_text(metadata: str, name: str) -> str:
    after = metadata.partition(f'        name: "{name}",\n        address:')[2]
    return after.partition("    Peripheral {")[0]


def functions(metadata: str, name: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for pin, signal, function in re.findall(
        r'pin: "(\w+)",\s+signal: "(\w+)",\s+af: Some\((\d+)\)', peripheral_text(metadata, name)
    ):
        found.setdefault(signal, {})[pin] = int(function)
    return found


def test_alternate_functions_are_the_vendors(metadata: str) -> None:
    assert functions(metadata, "LTDC") == pins.LTDC
    usart = functions(metadata, "USART1")
    assert usart["TX"] == pins.USART1_TX
    assert usart["RX"] == pins.USART1_RX


def test_requests_of_the_timer_are_the_vendors(metadata: str) -> None:
    requests = {
        (signal, int(stream)): int(channel)
        for signal, stream, channel in re.findall(
            r'signal: "(\w+)",\s+channel: Some\("DMA2_CH(\d)"\),[^}]*?request: Some\((\d+)\)',
            peripheral_text(metadata, "TIM1"),
        )
        if int(channel) == TIM1_CHANNEL
    }
    assert {stream: signal for signal, stream in requests if signal in {"CH1", "UP"}} == dict(
        TIM1_REQUESTS
    )


def test_no_timer_has_an_output_on_the_leds_pin(metadata: str) -> None:
    pin = DISCO.led[0].pin
    timers = re.findall(r'        name: "(TIM\d+)",\n        address:', metadata)
    assert len(timers) >= 14
    for timer in timers:
        signals = {signal for signal, found in functions(metadata, timer).items() if pin in found}
        assert not {signal for signal in signals if signal.startswith("CH")}, timer


def test_the_board_in_firmware_wires_the_pins_of_its_description() -> None:
    source = (HEADER.parent / "board.cc").read_text()
    table = between(source, "constexpr Pin kPins[] = {", "\n};")
    numbers = {"kLedPin": 1}
    codes = {"kUsart": 7, "kLcd": 14, "kLcdB4": 9, "kGpioOutput": None}
    wired = {
        f"P{port}{numbers.get(number, number)}": codes[function]
        for port, number, function in re.findall(r"\{(\w), (\w+), (\w+)\}", table)
    }
    assert DISCO.display is not None
    wanted: dict[str, int | None] = {
        pin: pins.LTDC[signal][pin] for signal, pin in DISCO.display.pins.items()
    }
    wanted |= dict.fromkeys((*DISCO.display.on, DISCO.led[0].pin))
    wanted[DISCO.console.tx_pin] = pins.USART1_TX[DISCO.console.tx_pin]
    wanted[DISCO.console.rx_pin] = pins.USART1_RX[DISCO.console.rx_pin]
    assert wired == wanted
