"""Reads vendors' register descriptions (CMSIS-SVD) as pyOCD carries them.

Registers come with absolute addresses: peripherals that derive from others, clusters and arrays are
resolved. What these files do not use (derived registers and fields, lists of names) is refused.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

WORD = 0xFFFF_FFFF


@dataclass(frozen=True)
class SvdCode:
    """A value that a field can have."""

    name: str
    value: int
    description: str


@dataclass(frozen=True)
class SvdField:
    """``width`` bits from bit ``lowest`` up."""

    name: str
    lowest: int
    width: int
    codes: tuple[SvdCode, ...]

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.lowest

    def code(self, name: str) -> int:
        (value,) = (code.value for code in self.codes if code.name == name)
        return value


@dataclass(frozen=True)
class SvdRegister:
    """A register; in clusters and arrays its name is like ``SEQ[0].PTR``."""

    name: str
    address: int
    reset: int
    access: str
    fields: Mapping[str, SvdField]

    @property
    def bits(self) -> int:
        return functools.reduce(lambda mask, field: mask | field.mask, self.fields.values(), 0)


@dataclass(frozen=True)
class SvdPeripheral:
    name: str
    base: int
    registers: Mapping[str, SvdRegister]
    interrupts: Mapping[str, int]


@dataclass(frozen=True)
class _Defaults:
    """What a register takes from what it stands in."""

    reset: int = 0
    access: str = "read-write"

    def within(self, element: ET.Element) -> _Defaults:
        return _Defaults(
            _number(element, "resetValue", self.reset), element.findtext("access", self.access)
        )


@functools.cache
def read_svd(name: str) -> Mapping[str, SvdPeripheral]:
    """Read ``name``, such as ``nrf52840.svd``; return its peripherals by name."""
    package = importlib.util.find_spec("pyocd")
    assert package is not None
    assert package.origin is not None
    archive = Path(package.origin).parent / "debug" / "svd" / "svd_data.zip"
    with zipfile.ZipFile(archive) as files:
        return parse_svd(files.read(name))


def parse_svd(data: bytes) -> Mapping[str, SvdPeripheral]:
    device = ET.fromstring(data)
    defaults = _Defaults().within(device)
    elements = {_text(each, "name"): each for each in device.iter("peripheral")}
    return {name: _peripheral(each, elements, defaults) for name, each in elements.items()}


def _peripheral(
    element: ET.Element, all_elements: Mapping[str, ET.Element], defaults: _Defaults
) -> SvdPeripheral:
    base = _number(element, "baseAddress")
    source = element
    chain = [element]
    while (registers := source.find("registers")) is None:
        source = all_elements[source.attrib["derivedFrom"]]
        chain.append(source)
    for each in reversed(chain):
        defaults = defaults.within(each)
    return SvdPeripheral(
        name=_text(element, "name"),
        base=base,
        registers={each.name: each for each in _registers(registers, base, "", defaults)},
        interrupts={
            _text(each, "name"): _number(each, "value") for each in element.findall("interrupt")
        },
    )


def _registers(
    parent: ET.Element, base: int, prefix: str, defaults: _Defaults
) -> Iterator[SvdRegister]:
    for element in parent:
        if element.tag not in {"register", "cluster"}:
            continue
        assert "derivedFrom" not in element.attrib, _text(element, "name")
        for name, offset in _instances(element):
            address = base + offset
            if element.tag == "cluster":
                yield from _registers(
                    element, address, f"{prefix}{name}.", defaults.within(element)
                )
                continue
            own = defaults.within(element)
            fields = [_field(each) for each in element.iterfind("fields/field")]
            yield SvdRegister(
                name=prefix + name,
                address=address,
                reset=own.reset,
                access=own.access,
                fields={field.name: field for field in fields},
            )


def _instances(element: ET.Element) -> Iterator[tuple[str, int]]:
    """Yield name and offset of each element of an array, or of the one element."""
    name, offset = _text(element, "name"), _number(element, "addressOffset")
    if element.find("dim") is None:
        yield name, offset
        return
    assert element.find("dimIndex") is None, name
    for index in range(_number(element, "dim")):
        yield name.replace("%s", str(index)), offset + index * _number(element, "dimIncrement")


def _field(element: ET.Element) -> SvdField:
    assert "derivedFrom" not in element.attrib, _text(element, "name")
    assert element.find("dim") is None, _text(element, "name")
    if element.find("lsb") is not None:
        lowest, highest = _number(element, "lsb"), _number(element, "msb")
    elif element.find("bitOffset") is not None:
        lowest = _number(element, "bitOffset")
        highest = lowest + _number(element, "bitWidth", 1) - 1
    else:
        match = re.fullmatch(r"\[(\d+):(\d+)\]", _text(element, "bitRange"))
        assert match is not None
        highest, lowest = int(match[1]), int(match[2])
    return SvdField(
        name=_text(element, "name"),
        lowest=lowest,
        width=highest - lowest + 1,
        codes=tuple(
            SvdCode(
                _text(each, "name"),
                _number(each, "value"),
                " ".join(each.findtext("description", "").split()),
            )
            for each in element.iterfind("enumeratedValues/enumeratedValue")
            if each.find("value") is not None
        ),
    )


def _text(element: ET.Element, tag: str) -> str:
    text = element.findtext(tag)
    assert text, f"<{element.tag}> has no <{tag}>"
    return text.strip()


def _number(element: ET.Element, tag: str, default: int | None = None) -> int:
    text = element.findtext(tag)
    if text is None:
        assert default is not None, f"<{element.tag}> has no <{tag}>"
        return default
    text = text.strip().lower()
    return int(text[1:].removeprefix("0b"), 2) if text.startswith("#") else int(text, 0)
