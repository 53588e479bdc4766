from __future__ import annotations

import pytest

from tests.unit.svd import parse_svd, read_svd

DEVICE = b"""<device><resetValue>0x5</resetValue><access>read-only</access><peripherals>
<peripheral><name>A0</name><baseAddress>0x100</baseAddress><access>read-write</access>
 <interrupt><name>A0_IRQ</name><value>7</value></interrupt>
 <registers>
  <register><name>R</name><addressOffset>0x4</addressOffset><resetValue>9</resetValue><fields>
   <field><name>LOW</name><lsb>0</lsb><msb>3</msb></field>
   <field><name>MID</name><bitOffset>4</bitOffset><bitWidth>2</bitWidth></field>
   <field><name>HIGH</name><bitRange>[31:30]</bitRange><enumeratedValues>
    <enumeratedValue><name>On</name><value>0x2</value></enumeratedValue>
    <enumeratedValue><name>Off</name><value>#01</value></enumeratedValue>
   </enumeratedValues></field>
  </fields></register>
  <cluster><name>C[%s]</name><dim>2</dim><dimIncrement>0x20</dimIncrement>
   <addressOffset>0x40</addressOffset><access>write-only</access>
   <register><name>X[%s]</name><dim>3</dim><dimIncrement>4</dimIncrement>
    <addressOffset>8</addressOffset></register>
  </cluster>
 </registers></peripheral>
<peripheral derivedFrom="A0"><name>A1</name><baseAddress>0x200</baseAddress></peripheral>
</peripherals></device>"""


def test_fields_are_read_in_all_three_notations() -> None:
    register = parse_svd(DEVICE)["A0"].registers["R"]
    places = {field.name: (field.lowest, field.width) for field in register.fields.values()}
    assert places == {"LOW": (0, 4), "MID": (4, 2), "HIGH": (30, 2)}
    assert register.bits == 0xC000_003F
    assert (register.fields["HIGH"].code("On"), register.fields["HIGH"].code("Off")) == (2, 1)


def test_arrays_and_clusters_are_written_out() -> None:
    registers = parse_svd(DEVICE)["A0"].registers
    assert {name: each.address for name, each in registers.items()} == {
        "R": 0x104,
        "C[0].X[0]": 0x148,
        "C[0].X[1]": 0x14C,
        "C[0].X[2]": 0x150,
        "C[1].X[0]": 0x168,
        "C[1].X[1]": 0x16C,
        "C[1].X[2]": 0x170,
    }


def test_what_a_register_does_not_say_is_that_of_what_it_stands_in() -> None:
    registers = parse_svd(DEVICE)["A0"].registers
    assert (registers["R"].reset, registers["R"].access) == (9, "read-write")
    assert (registers["C[1].X[2]"].reset, registers["C[1].X[2]"].access) == (5, "write-only")


def test_a_derived_peripheral_has_the_same_registers_elsewhere() -> None:
    device = parse_svd(DEVICE)
    assert device["A1"].registers.keys() == device["A0"].registers.keys()
    for name, register in device["A1"].registers.items():
        assert register.address == device["A0"].registers[name].address + 0x100
        assert register.fields == device["A0"].registers[name].fields
    assert (device["A0"].interrupts, device["A1"].interrupts) == ({"A0_IRQ": 7}, {})


@pytest.mark.parametrize(("name", "registers"), [("nrf52840.svd", 2146), ("apollo3.svd", 683)])
def test_the_vendors_files_are_read_whole(name: str, registers: int) -> None:
    device = read_svd(name)
    assert sum(len(each.registers) for each in device.values()) == registers
    assert all(
        field.lowest >= 0 and field.lowest + field.width <= 32
        for peripheral in device.values()
        for register in peripheral.registers.values()
        for field in register.fields.values()
    )
