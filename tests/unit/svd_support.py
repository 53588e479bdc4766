"""Reads a vendor's register description (CMSIS-SVD), as pyOCD carries it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class SvdField:
    """Bits of a register and the values that have names."""

    name: str
    lowest: int
    width: int
    values: Mapping[str, int]

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.lowest


@dataclass(frozen=True)
class SvdRegister:
    name: str
    offset: int
    reset: int
    reset_mask: int
    fields: Mapping[str, SvdField]

    @property
    def bits(self) -> int:
        """The bits that exist."""
        return sum(field.mask for field in self.fields.values())


@dataclass(frozen=True)
class SvdPeripheral:
    name: str
    base: int
    registers: Mapping[str, SvdRegister]


def _number(element: ET.Element, tag: str) -> int:
    text = element.findtext(tag)
    assert text is not None, tag
    return int(text, 0)


def _name(element: ET.Element) -> str:
    text = element.findtext("name")
    assert text
    return text


def _field(element: ET.Element) -> SvdField:
    text = element.findtext("bitRange")
    assert text is not None
    highest, lowest = (int(part) for part in text.strip("[]").split(":"))
    values = {_name(each): _number(each, "value") for each in element.iter("enumeratedValue")}
    return SvdField(_name(element), lowest, highest - lowest + 1, values)


def _register(element: ET.Element) -> SvdRegister:
    assert _number(element, "size") == 32
    assert element.find("dim") is None
    fields = [_field(each) for each in element.iterfind("fields/field")]
    return SvdRegister(
        _name(element),
        _number(element, "addressOffset"),
        _number(element, "resetValue"),
        _number(element, "resetMask"),
        {field.name: field for field in fields},
    )


@dataclass(frozen=True)
class Svd:
    """A part: its peripherals by name, its interrupts by number."""

    peripherals: Mapping[str, SvdPeripheral]
    interrupts: Mapping[int, str]


@cache
def svd(part: str) -> Svd:
    with (
        files("pyocd").joinpath("debug/svd/svd_data.zip").open("rb") as stream,
        zipfile.ZipFile(stream) as archive,
    ):
        root = ET.fromstring(archive.read(f"{part}.svd"))
    interrupts = {_number(each, "value"): _name(each) for each in root.iter("interrupt")}
    peripherals: dict[str, SvdPeripheral] = {}
    for element in root.iterfind("peripherals/peripheral"):
        parent = element.get("derivedFrom")
        registers = (
            peripherals[parent].registers
            if parent
            else {_name(each): _register(each) for each in element.iterfind("registers/register")}
        )
        peripherals[_name(element)] = SvdPeripheral(
            _name(element), _number(element, "baseAddress"), registers
        )
    return Svd(peripherals, interrupts)
