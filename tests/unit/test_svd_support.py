from __future__ import annotations

import pytest

from tests.unit.svd_support import parse_svd, svd

DEVICE = b"""<device><resetValue>0x5</resetValue><access>read-only</access><peripherals>
<peripheral><name>A0</name><baseAddress>0x100</baseAddress><access>read-write</access>
 <interrupt><name>A0_IRQ</name><value>7</value></interrupt>
 <registers>
  <register><name>R</name><addressOffset>0x4</addressOffset><resetValue>9</resetValue>
   <resetMask>0xFF</resetMask><fields>
   <field><name>LOW</name><lsb>0</lsb><msb>3</msb></field>
   <field><name>MID</name><bitOffset>4</bitOffset><bitWidth>2</bitWidth></field>
   <field><name>HIGH</name><bitRange>[31:30]</bitRange><enumeratedValues>
    <enumeratedValue><name>On</name><description>It is
     on</description><value>0x2</value></enumeratedValue>
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


DESCRIPTION = parse_svd(DEVICE)
A0, A1 = DESCRIPTION.peripherals["A0"], DESCRIPTION.peripherals["A1"]


def test_fields_are_read_in_all_three_notations() -> None:
    register = A0.registers["R"]
    places = {field.name: (field.lowest, field.width) for field in register.fields.values()}
    assert places == {"LOW": (0, 4), "MID": (4, 2), "HIGH": (30, 2)}
    assert register.bits == 0xC000_003F
    assert register.fields["HIGH"].values == {"On": 2, "Off": 1}
    assert register.fields["HIGH"].descriptions == {"On": "It is on", "Off": ""}


def test_arrays_and_clusters_are_written_out() -> None:
    assert {name: each.offset for name, each in A0.registers.items()} == {
        "R": 0x4,
        "C[0].X[0]": 0x48,
        "C[0].X[1]": 0x4C,
        "C[0].X[2]": 0x50,
        "C[1].X[0]": 0x68,
        "C[1].X[1]": 0x6C,
        "C[1].X[2]": 0x70,
    }


def test_what_a_register_does_not_say_is_that_of_what_it_stands_in() -> None:
    first, last = A0.registers["R"], A0.registers["C[1].X[2]"]
    assert (first.reset, first.access, first.reset_mask) == (9, "read-write", 0xFF)
    assert (last.reset, last.access, last.reset_mask) == (5, "write-only", 0xFFFF_FFFF)


def test_a_derived_peripheral_has_the_same_registers_elsewhere() -> None:
    assert A1.registers == A0.registers
    assert (A0.base, A1.base) == (0x100, 0x200)
    assert DESCRIPTION.interrupts == {7: "A0_IRQ"}


@pytest.mark.parametrize(("part", "registers"), [("nrf52840", 2146), ("apollo3", 683)])
def test_the_vendors_files_are_read_whole(part: str, registers: int) -> None:
    peripherals = svd(part).peripherals.values()
    assert sum(len(each.registers) for each in peripherals) == registers
    assert all(
        field.lowest >= 0 and field.lowest + field.width <= 32
        for peripheral in peripherals
        for register in peripheral.registers.values()
        for field in register.fields.values()
    )
