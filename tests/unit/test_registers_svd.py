from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest

from simulator.chips import Surroundings
from simulator.chips.apollo3.cachectrl import _CONFIG_CODES
from simulator.chips.apollo3.chip import Apollo3
from simulator.chips.apollo3.ctimer import _CLOCKS, _REPEATED_PWM, Ctimer
from simulator.chips.apollo3.gpio import OPEN_DRAIN, PUSH_PULL, TRISTATE
from simulator.chips.apollo3.pads import (
    GPIO_FUNCTION,
    PADS,
    TIMER_OUTPUT_PADS,
    UART_RX_PADS,
    UART_TX_PADS,
)
from simulator.chips.apollo3.pwrctrl import _ALWAYS_ON, _DOMAIN_OF_DEVICE
from simulator.chips.apollo3.uart import _CLOCK_HZ
from simulator.clock import Clock
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError
from tests.unit.register_header_support import HeaderField, Namespace, read_header
from tests.unit.simulator_support import EDGE
from tests.unit.svd_support import SvdField, SvdRegister, svd

FOLDER = Path(__file__).parents[2] / "boards" / "sparkfun_edge"
HEADER = read_header(FOLDER / "registers.h")
BOARD_SOURCE = (FOLDER / "board.cc").read_text()
PART = svd("apollo3")

# Constants of registers.h and the named value of the description that each must be.
NAMED_VALUES = {
    ("clkgen", "kKey"): ("CLKKEY", "CLKKEY", "Key"),
    ("clkgen", "kHfrc"): ("CCTRL", "CORESEL", "HFRC"),
    ("cachectrl", "kOneWay1024Entries"): ("CACHECFG", "CONFIG", "W1_128B_1024E"),
    ("gpio", "kKey"): ("PADKEY", "PADKEY", "Key"),
    ("gpio", "kPushPull"): ("CFGF", "GPIO46OUTCFG", "PUSHPULL"),
    ("ctimer", "kHfrcDiv4"): ("CTRL6", "TMRA6CLK", "HFRC_DIV4"),
    ("ctimer", "kRepeatedPwm"): ("CTRL6", "TMRA6FN", "PULSE_CONT"),
    ("ctimer", "kForceLow"): ("OUTCFG2", "CFG24", "ZERO"),
    ("ctimer", "kForceHigh"): ("OUTCFG2", "CFG24", "ONE"),
    ("uart0", "kClock24MHz"): ("CR", "CLKSEL", "24MHZ"),
}
# The description names no values of WLEN; the PL011, whose registers these are, has 3 for 8 bits.
WITHOUT_A_NAMED_VALUE = {("uart0", "kEightBits"): 3}

# Bits that the simulator's registers have and the description's have not, and the other way.
KNOWN_DEVIATIONS = {
    # Bits 8 to 11 are the errors of a received byte; receiving is not modelled.
    **{(uart, "DR"): 0xFFF ^ 0xFF for uart in ("UART0", "UART1")},
}


def register(namespace: str, name: str) -> SvdRegister:
    return PART.peripherals[namespace.upper()].registers[name]


def assert_is(field: HeaderField, namespace: str, register_name: str, field_name: str) -> SvdField:
    described = register(namespace, register_name)
    base = PART.peripherals[namespace.upper()].base
    expected = described.fields[field_name]
    assert field.address == base + described.offset, (register_name, field_name)
    assert (field.lowest, field.width) == (expected.lowest, expected.width), field_name
    return expected


def test_the_description_agrees_with_itself_where_it_is_used() -> None:
    for namespace in HEADER:
        for each in PART.peripherals[namespace.upper()].registers.values():
            assert each.bits == each.reset_mask, each.name
            assert sum(field.width for field in each.fields.values()) == each.bits.bit_count()


@pytest.mark.parametrize("namespace", HEADER)
def test_the_header_has_the_bases_of_the_description(namespace: str) -> None:
    assert HEADER[namespace].constants["kBase"] == PART.peripherals[namespace.upper()].base


@pytest.mark.parametrize("namespace", HEADER)
def test_the_header_has_the_registers_and_fields_of_the_description(namespace: str) -> None:
    base = HEADER[namespace].constants["kBase"]
    for name, written in HEADER[namespace].registers.items():
        assert written.address == base + register(namespace, name).offset, name
    for name, field in HEADER[namespace].fields.items():
        prefix = f"{field.register}_"
        assert name.startswith(prefix)
        assert_is(field, namespace, field.register, name.removeprefix(prefix))


def test_the_headers_constants_are_values_that_the_description_names() -> None:
    constants = {
        (namespace, name): value
        for namespace, each in HEADER.items()
        for name, value in each.constants.items()
        if name != "kBase"
    }
    described = {
        key: register(key[0], name).fields[field].values[value]
        for key, (name, field, value) in NAMED_VALUES.items()
    }
    assert constants == described | WITHOUT_A_NAMED_VALUE


@pytest.mark.parametrize("pad", range(PADS))
def test_the_headers_pads_are_those_of_the_description(pad: int) -> None:
    made = HEADER["gpio"].instance("Pad", pad)
    group, octet = chr(ord("A") + pad // 4), chr(ord("A") + pad // 8)
    members = {
        "PULL": (f"PADREG{group}", f"PAD{pad}PULL"),
        "INPEN": (f"PADREG{group}", f"PAD{pad}INPEN"),
        "STRNG": (f"PADREG{group}", f"PAD{pad}STRNG"),
        "FNCSEL": (f"PADREG{group}", f"PAD{pad}FNCSEL"),
        "OUTCFG": (f"CFG{octet}", f"GPIO{pad}OUTCFG"),
        "DS1": (f"ALTPADCFG{group}", f"PAD{pad}_DS1"),
    }
    assert set(made.fields) == set(members) | {"All"}
    for member, (name, field) in members.items():
        assert_is(made.fields[member], "gpio", name, field)
    # The pad's whole byte: everything in it is the pad's.
    whole = made.fields["All"]
    mask = ((1 << whole.width) - 1) << whole.lowest
    padreg = register("gpio", f"PADREG{group}")
    own = {name for name, field in padreg.fields.items() if field.mask & mask}
    assert own == {name for name in padreg.fields if re.match(rf"PAD{pad}\D", name)}
    assert_address(made, "PADREG", "gpio", f"PADREG{group}")
    assert_address(made, "CFG", "gpio", f"CFG{octet}")
    assert_address(made, "ALTPADCFG", "gpio", f"ALTPADCFG{group}")


def assert_address(made: Namespace, member: str, namespace: str, name: str) -> None:
    base = PART.peripherals[namespace.upper()].base
    assert made.registers[member].address == base + register(namespace, name).offset


@pytest.mark.parametrize("timer", range(8))
@pytest.mark.parametrize("half", ["A", "B"])
def test_the_headers_timers_are_those_of_the_description(
    timer: int, half: Literal["A", "B"]
) -> None:
    made = HEADER["ctimer"].instance("Timer", timer, "AB".index(half))
    control = {
        each: f"TMR{half}{timer}{each}" for each in ("EN", "CLK", "FN", "IE0", "IE1", "CLR", "POL")
    }
    for member, name in control.items():
        assert_is(made.fields[member], "ctimer", f"CTRL{timer}", name)
    for member in ("CMPR0", "CMPR1"):
        assert_is(made.fields[member], "ctimer", f"CMPR{half}{timer}", f"{member}{half}{timer}")
    assert_is(made.fields["GlobalEnable"], "ctimer", "GLOBEN", f"EN{half}{timer}")
    whole = made.fields["WholeHalf"]
    fields = register("ctimer", f"CTRL{timer}").fields
    assert ((1 << whole.width) - 1) << whole.lowest == sum(
        fields[name].mask for name in control.values()
    )
    assert set(made.fields) == {*control, "CMPR0", "CMPR1", "GlobalEnable", "WholeHalf"}
    assert_address(made, "CMPR", "ctimer", f"CMPR{half}{timer}")
    assert_address(made, "CTRL", "ctimer", f"CTRL{timer}")


@pytest.mark.parametrize("output", range(20, 30))
def test_the_headers_timer_outputs_are_those_of_the_description(output: int) -> None:
    select = HEADER["ctimer"].instance("OutputSource", output).fields["Select"]
    assert_is(select, "ctimer", "OUTCFG2", f"CFG{output}")


@pytest.mark.parametrize("output", range(32))
def test_the_headers_output_switches_are_those_of_the_description(output: int) -> None:
    made = HEADER["gpio"].instance("CtOutputDisable", output).fields["CtOutputDisable"]
    switch = assert_is(made, "gpio", "CTENCFG", f"EN{output}")
    # The description calls both values of EN9 DIS.
    assert switch.values == ({"DIS": 0} if output == 9 else {"DIS": 1, "EN": 0})


def test_every_part_of_the_header_is_compared() -> None:
    assert {name: set(each.templates) for name, each in HEADER.items() if each.templates} == {
        "gpio": {"Pad", "CtOutputDisable"},
        "ctimer": {"Timer", "OutputSource"},
    }


def test_the_boards_leds_are_wired_as_the_description_has_them() -> None:
    leds = re.findall(
        r"using (\w+)Led = PwmLed<(\d+), (\d+), (\d+), (\d+), ctimer::Timer<(\d), Half::k([AB])>>;",
        BOARD_SOURCE,
    )
    assert [name.lower() for name, *_ in leds] == [led.name for led in EDGE.led]
    for led, (_name, pad, function, output, source, timer, half) in zip(
        EDGE.led, leds, strict=True
    ):
        pad_function = register("gpio", f"PADREG{chr(ord('A') + int(pad) // 4)}")
        assert pad_function.fields[f"PAD{pad}FNCSEL"].values[f"CT{output}"] == int(function)
        sources = register("ctimer", "OUTCFG2").fields[f"CFG{output}"].values
        assert sources[f"{half}{timer}OUT"] == int(source)
        assert (led.pin, led.pwm) == (pad, f"CTIMER {half}{timer} on CT{output}")


def test_the_boards_console_is_wired_as_the_description_has_it() -> None:
    for direction, pin in (("Tx", EDGE.console.tx_pin), ("Rx", EDGE.console.rx_pin)):
        assert f"using {direction} = gpio::Pad<{pin}>;" in BOARD_SOURCE
        code = (
            register("gpio", "PADREGM")
            .fields[f"PAD{pin}FNCSEL"]
            .values[f"UART0{direction.upper()}"]
        )
        assert f"constexpr uint32_t kUart0{direction} = {code};" in BOARD_SOURCE


def test_the_board_has_as_many_interrupts_as_the_description() -> None:
    numbers = {number for number, name in PART.interrupts.items() if name != "MAX"}
    assert EDGE.core.interrupts == max(numbers) + 1


def chip() -> Apollo3:
    surroundings = Surroundings(
        EDGE, Clock(lambda: 0), lambda _byte: None, lambda: 0, lambda _address, _size: None
    )
    return Apollo3(surroundings)


@pytest.mark.parametrize("peripheral", chip().peripherals, ids=lambda each: each.name)
def test_the_simulators_registers_are_those_of_the_description(peripheral: Peripheral) -> None:
    described = PART.peripherals[peripheral.name]
    assert peripheral.base == described.base
    deviations = {}
    for offset, modelled in peripheral.registers.items():
        expected = described.registers[modelled.name]
        assert offset == expected.offset, modelled.name
        assert modelled.reset == expected.reset, modelled.name
        if modelled.bits != expected.bits:
            deviations[peripheral.name, modelled.name] = modelled.bits ^ expected.bits
    assert deviations == {
        key: bits for key, bits in KNOWN_DEVIATIONS.items() if key[0] == peripheral.name
    }


def test_every_peripheral_of_the_description_is_modelled_or_known_by_name() -> None:
    apollo3 = chip()
    modelled = {each.name for each in apollo3.peripherals}
    for name, described in PART.peripherals.items():
        last = max(each.offset for each in described.registers.values())
        if name in modelled:
            continue
        # RSTGEN's last register is described 255 MiB away from the others.
        ends = (0,) if name == "RSTGEN" else (0, last)
        owners = {apollo3.owner(described.base + offset) for offset in ends}
        assert owners == ({"IOM0 to IOM5"} if name.startswith("IOM") else {name}), name


def pad_functions(signal: str) -> dict[int, int]:
    """Return the function code of each pad that a signal can have."""
    found = {}
    for each in PART.peripherals["GPIO"].registers.values():
        for name, field in each.fields.items():
            match = re.fullmatch(r"PAD(\d+)FNCSEL", name)
            if match and signal in field.values:
                found[int(match[1])] = field.values[signal]
    return found


def test_the_simulators_pad_functions_are_those_of_the_description() -> None:
    for uart in range(2):
        assert UART_TX_PADS[uart] == pad_functions(f"UART{uart}TX")
        assert UART_RX_PADS[uart] == pad_functions(f"UART{uart}RX")
    for output, (pad, code) in enumerate(TIMER_OUTPUT_PADS):
        assert pad_functions(f"CT{output}") == {pad: code}
    for pad in range(PADS):
        assert pad_functions(f"GPIO{pad}") == {pad: GPIO_FUNCTION}


@pytest.mark.parametrize("output", range(32))
def test_the_simulators_timer_sources_are_those_of_the_description(output: int) -> None:
    name = f"OUTCFG{output // 10}"
    described = register("ctimer", name)
    field = described.fields[f"CFG{output}"]
    timers = Ctimer(lambda: 0)
    # Each half timer is high for another part of 100 counts.
    part = {
        f"{half}{timer}OUT": (16 * (half == "B") + timer + 1) / 100
        for half in "AB"
        for timer in range(8)
    }
    for timer in range(8):
        timers.write(0x20 * timer + 0xC, 4, 0x08C2_08C2)
        for half, offset in (("A", 4), ("B", 8)):
            counts = round(100 * part[f"{half}{timer}OUT"])
            timers.write(0x20 * timer + offset, 4, 99 << 16 | 99 - counts)
        timers.write(0x20 * timer + 0xC, 4, 0x00C3_00C3)
    part |= {"ZERO": 0.0, "ONE": 1.0}
    assert sorted(field.values.values()) == list(range(8))
    for source, code in field.values.items():
        timers.write(described.offset, 4, described.reset & ~field.mask | code << field.lowest)
        if source.endswith("OUT2"):
            with pytest.raises(RuleBrokenError, match=rf"second output \(code {code}\)"):
                timers.level(output)
        else:
            assert timers.level(output) == part[source], source


def test_the_simulators_codes_are_those_of_the_description() -> None:
    clocks = dict(register("uart0", "CR").fields["CLKSEL"].values)
    assert clocks.pop("NOCLK") == 0
    assert {int(name.removesuffix("MHZ")) * 1_000_000: code for name, code in clocks.items()} == {
        hertz: code for code, hertz in _CLOCK_HZ.items()
    }
    shapes = register("cachectrl", "CACHECFG").fields["CONFIG"].values
    assert set(shapes.values()) == _CONFIG_CODES
    for timer in range(8):
        for half in "AB":
            fields = register("ctimer", f"CTRL{timer}").fields
            sources = fields[f"TMR{half}{timer}CLK"].values
            assert {
                code for name, code in sources.items() if name.startswith(("HFRC_DIV", "HCLK_DIV"))
            } == _CLOCKS
            assert fields[f"TMR{half}{timer}FN"].values["PULSE_CONT"] == _REPEATED_PWM
    modes = register("gpio", "CFGF").fields["GPIO46OUTCFG"].values
    assert modes == {"DIS": 0, "PUSHPULL": PUSH_PULL, "OD": OPEN_DRAIN, "TS": TRISTATE}


def test_the_simulators_power_domains_are_those_of_the_description() -> None:
    devices = register("pwrctrl", "DEVPWREN").fields
    domains = register("pwrctrl", "DEVPWRSTATUS").fields
    domain_of = {
        **dict.fromkeys(("PWRIOS", "PWRUART0", "PWRUART1", "PWRSCARD"), "HCPA"),
        **dict.fromkeys(("PWRIOM0", "PWRIOM1", "PWRIOM2"), "HCPB"),
        # The description's text says IOM4 to IOM6 here, but the part has IOM0 to IOM5.
        **dict.fromkeys(("PWRIOM3", "PWRIOM4", "PWRIOM5"), "HCPC"),
        **{name: name for name in ("PWRADC", "PWRMSPI", "PWRPDM")},
        "PWRBLEL": "BLEL",
    }
    assert {
        devices[device].lowest: domains[domain].lowest for device, domain in domain_of.items()
    } == (_DOMAIN_OF_DEVICE)
    assert domains["MCUL"].mask | domains["MCUH"].mask == _ALWAYS_ON
