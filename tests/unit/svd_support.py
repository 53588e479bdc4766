"""Reads vendors' register descriptions (CMSIS-SVD), as pyOCD carries them.

Peripherals that derive from others, clusters and arrays are written out: a register in them is
called like ``SEQ[0].PTR``. What the descriptions do not use (registers and fields that derive from
others, arrays with names) is refused.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class SvdField:
    """Bits of a register, and the values that have names, with their descriptions."""

    name: str
    lowest: int
    width: int
    values: Mapping[str, int]
    descriptions: Mapping[str, str]

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.lowest


@dataclass(frozen=True)
class SvdRegister:
    """A register; ``access`` is ``read-write``, ``read-only`` or ``write-only``."""

    name: str
    offset: int
    reset: int
    reset_mask: int
    access: str
    fields: Mapping[str, SvdField]

    @property
    def bits(self) -> int:
        """The bits that exist."""
        return reduce(lambda mask, field: mask | field.mask, self.fields.values(), 0)


@dataclass(frozen=True)
class SvdPeripheral:
    name: str
    base: int
    registers: Mapping[str, SvdRegister]


@dataclass(frozen=True)
class Svd:
    """A part: its peripherals by name, its interrupts by number."""

    peripherals: Mapping[str, SvdPeripheral]
    interrupts: Mapping[int, str]


@dataclass(frozen=True)
class _Defaults:
    """What a register takes from what it stands in."""

    size: int = 32
    reset: int = 0
    reset_mask: int = 0xFFFF_FFFF
    access: str = "read-write"

    def within(self, element: ET.Element) -> _Defaults:
        return _Defaults(
            _number(element, "size", self.size),
            _number(element, "resetValue", self.reset),
            _number(element, "resetMask", self.reset_mask),
            element.findtext("access", self.access),
        )


@cache
def svd(part: str) -> Svd:
    """Read the description of a part that pyOCD carries, such as ``apollo3``."""
    with (
        files("pyocd").joinpath("debug/svd/svd_data.zip").open("rb") as stream,
        zipfile.ZipFile(stream) as archive,
    ):
        return parse_svd(archive.read(f"{part}.svd"))


def parse_svd(data: bytes) -> Svd:
    """Read a description."""
    root = ET.fromstring(data)
    elements = {_text(each, "name"): each for each in root.iterfind("peripherals/peripheral")}
    defaults = _Defaults().within(root)
    return Svd(
        {name: _peripheral(name, elements, defaults) for name in elements},
        {_number(each, "value"): _text(each, "name") for each in root.iter("interrupt")},
    )


def _peripheral(
    name: str, elements: Mapping[str, ET.Element], defaults: _Defaults
) -> SvdPeripheral:
    chain = [elements[name]]
    while (registers := chain[-1].find("registers")) is None:
        chain.append(elements[chain[-1].attrib["derivedFrom"]])
    for each in reversed(chain):
        defaults = defaults.within(each)
    found = {each.name: each for each in _registers(registers, 0, "", defaults)}
    return SvdPeripheral(name, _number(elements[name], "baseAddress"), found)


def _registers(
    parent: ET.Element, start: int, prefix: str, defaults: _Defaults
) -> Iterator[SvdRegister]:
    for element in parent:
        if element.tag not in {"register", "cluster"}:
            continue
        own = defaults.within(element)
        for name, offset in _instances(element):
            if element.tag == "cluster":
                yield from _registers(element, start + offset, f"{prefix}{name}.", own)
                continue
            assert own.size == 32, name
            fields = [_field(each) for each in element.iterfind("fields/field")]
            yield SvdRegister(
                prefix + name,
                start + offset,
                own.reset,
                own.reset_mask,
                own.access,
                {field.name: field for field in fields},
            )


def _instances(element: ET.Element) -> Iterator[tuple[str, int]]:
    """Yield name and offset of each element of an array, or of the one element."""
    name, offset = _text(element, "name"), _number(element, "addressOffset")
    assert "derivedFrom" not in element.attrib, name
    if element.find("dim") is None:
        yield name, offset
        return
    assert element.find("dimIndex") is None, name
    for index in range(_number(element, "dim")):
        yield name.replace("%s", str(index)), offset + index * _number(element, "dimIncrement")


def _field(element: ET.Element) -> SvdField:
    name = _text(element, "name")
    assert "derivedFrom" not in element.attrib, name
    assert element.find("dim") is None, name
    if element.find("lsb") is not None:
        lowest, highest = _number(element, "lsb"), _number(element, "msb")
    elif element.find("bitOffset") is not None:
        lowest = _number(element, "bitOffset")
        highest = lowest + _number(element, "bitWidth", 1) - 1
    else:
        match = re.fullmatch(r"\[(\d+):(\d+)\]", _text(element, "bitRange"))
        assert match is not None, name
        highest, lowest = int(match[1]), int(match[2])
    named = [
        each
        for each in element.iterfind("enumeratedValues/enumeratedValue")
        if each.find("value") is not None
    ]
    return SvdField(
        name,
        lowest,
        highest - lowest + 1,
        {_text(each, "name"): _number(each, "value") for each in named},
        {_text(each, "name"): " ".join(each.findtext("description", "").split()) for each in named},
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
    return int(text[1:], 2) if text.startswith("#") else int(text, 0)
