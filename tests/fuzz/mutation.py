"""Changes ``.tflite`` files: what stands in their tables, how the tables hang together, or bytes.

A mutant follows from the file that it is made of and the random numbers alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from model.structure import MODEL, Field, Kind, Many

_UINT32 = "I"
_SLOT = "H"


@dataclass(frozen=True)
class Site:
    """A place in a file that holds one number.

    Attributes:
        place: its first byte.
        form: its ``struct`` character.
        role: ``value``, ``length`` of a vector, ``offset`` to something, or ``slot`` of a vtable.
        path: of field numbers from the root, alike for what means the same in different tables.
    """

    place: int
    form: str
    role: str
    path: tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """Bytes of a vector of bytes: content of tensors, or text."""

    start: int
    size: int


@dataclass(frozen=True)
class Anatomy:
    """A whole file and what stands where in it."""

    data: bytes
    sites: tuple[Site, ...]
    spans: tuple[Span, ...]

    def number(self, site: Site) -> float:
        """Return what stands at a site."""
        (value,) = struct.unpack_from("<" + site.form, self.data, site.place)
        return float(value) if site.form == "f" else int(value)


class _Walk:
    """Goes through a sound file; each table and vtable once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sites: dict[tuple[int, str], Site] = {}
        self.spans: dict[int, Span] = {}

    def read(self, form: str, place: int) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, place)
        return int(value)

    def add(self, place: int, form: str, role: str, path: tuple[int, ...]) -> None:
        self.sites.setdefault((place, role), Site(place, form, role, path))

    def table(self, place: int, kind: Kind, path: tuple[int, ...]) -> None:
        if (place, "table") in self.sites:
            return
        self.sites[place, "table"] = Site(place, "i", "offset", path)
        vtable = place - self.read("i", place)
        size, extent = self.read(_SLOT, vtable), self.read(_SLOT, vtable + 2)
        slots = [self.read(_SLOT, vtable + 4 + 2 * number) for number in range(size // 2 - 2)]
        for number in range(-2, len(slots)):
            self.add(vtable + 4 + 2 * number, _SLOT, "slot", (*path, number))
        widths = {start: end - start for start, end in pairwise([*sorted({*slots} - {0}), extent])}
        for number, slot in enumerate(slots):
            if slot:
                field = kind.fields.get(number) or _guessed(widths[slot])
                self.field(place + slot, field, (*path, number))

    def field(self, place: int, field: Field, path: tuple[int, ...]) -> None:
        if isinstance(field, str) and field != "text" and not field.startswith("["):
            self.add(place, field, "value", path)
            return
        self.add(place, _UINT32, "offset", path)
        target = place + self.read(_UINT32, place)
        if isinstance(field, Kind):
            self.table(target, field, path)
            return
        self.add(target, _UINT32, "length", path)
        count, start = self.read(_UINT32, target), target + 4
        if isinstance(field, Many):
            for at in range(start, start + 4 * count, 4):
                self.add(at, _UINT32, "offset", path)
                self.table(at + self.read(_UINT32, at), field.kind, path)
        elif field in {"text", "[B]"}:
            if count:
                self.spans[start] = Span(start, count)
        else:
            form = field[1]
            width = struct.calcsize(form)
            for at in range(start, start + width * count, width):
                self.add(at, form, "value", path)


def _guessed(width: int) -> str:
    """Return the form of a scalar in a table of options, whose fields this module does not know."""
    return {1: "b", 2: "h", 3: "b"}.get(width, "i")


def anatomy(data: bytes) -> Anatomy:
    """Take a sound file apart."""
    walk = _Walk(data)
    walk.add(0, _UINT32, "offset", ())
    walk.table(walk.read(_UINT32, 0), MODEL, ())
    order = sorted(walk.sites.values(), key=lambda site: (site.place, site.role))
    return Anatomy(data, tuple(order), tuple(walk.spans[at] for at in sorted(walk.spans)))


_WIDE = (0, 1, 2, 3, 4, 5, 7, 8, 16, 64, 127, 128, 255, 256, 4096, 32767, 32768, 65535, 65536)
_LIMITS = (1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1)
_FLOATS: Sequence[float] = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-30, 1e-12, 1e-9, 1e-6, 1e6, 1e9, 1e12, 1e30, 3e38),
    *(math.inf, -math.inf, math.nan, 1 / 128, 1 / 256, 1 / 65536),
)


def _fit(form: str, value: float) -> float:
    """Wrap an integer around to what the form holds."""
    if form == "f":
        return value if not math.isfinite(value) or abs(value) < 3.4e38 else math.inf
    bits = 8 * struct.calcsize(form)
    wrapped = int(value) & ((1 << bits) - 1)
    return wrapped - (1 << bits) if form.islower() and wrapped >> (bits - 1) else wrapped


def _other(random: Random, form: str, value: float) -> float:
    if form == "f":
        if random.random() < 0.5:
            return random.choice(_FLOATS)
        return value * random.choice((-1, 0.5, 2, 0.99, 1.001, 16, 1e-3, 2.0**20, 2.0**-20))
    choice = random.random()
    if choice < 0.4:
        return value + random.choice((-1, 1, -2, 2, 4, -4))
    if choice < 0.5:
        return random.choice((-value, 2 * value, value // 2, value ^ (1 << random.randrange(8))))  # type: ignore[operator]
    if choice < 0.85:
        return random.choice(_WIDE) * random.choice((1, 1, 1, -1))
    if choice < 0.95:
        return random.choice(_LIMITS) * random.choice((1, -1))
    return random.getrandbits(32)


class _Mutant:
    """A file on its way, with the anatomy of the file that it came from."""

    def __init__(self, seed: Anatomy, random: Random) -> None:
        self.seed = seed
        self.random = random
        self.data = bytearray(seed.data)

    def put(self, site: Site, value: float) -> None:
        if site.place + struct.calcsize(site.form) <= len(self.data):
            struct.pack_into("<" + site.form, self.data, site.place, _fit(site.form, value))

    def sites(self, role: str) -> Sequence[Site]:
        return [site for site in self.seed.sites if site.role == role]

    def one_value(self) -> None:
        """Another number in one place; where there are many alike, none of them more often."""
        by_path: dict[tuple[int, ...], list[Site]] = {}
        for site in self.sites("value"):
            by_path.setdefault(site.path, []).append(site)
        site = self.random.choice(by_path[self.random.choice(sorted(by_path))])
        self.put(site, _other(self.random, site.form, self.seed.number(site)))

    def equal_values(self) -> None:
        """Another number in all places of one meaning that hold the same, such as dimensions."""
        site = self.random.choice(self.sites("value"))
        value = self.seed.number(site)
        other = _other(self.random, site.form, value)
        for each in self.sites("value"):
            if each.path == site.path and self.seed.number(each) == value:
                self.put(each, other)

    def exchanged_values(self) -> None:
        one = self.random.choice(self.sites("value"))
        alike = [site for site in self.sites("value") if site.path == one.path]
        other = self.random.choice(alike)
        first, second = self.seed.number(one), self.seed.number(other)
        self.put(one, second)
        self.put(other, first)

    def scales(self) -> None:
        """Several scales times the same number, so that those of a bias may still be right."""
        factor = 2.0 ** self.random.choice((-30, -12, -3, -1, 1, 3, 12, 30))
        for site in self.sites("value"):
            if site.form == "f" and self.random.random() < 0.7:
                self.put(site, self.seed.number(site) * factor)

    def length(self) -> None:
        site = self.random.choice(self.sites("length"))
        self.put(site, _other(self.random, site.form, self.seed.number(site)))

    def offset(self) -> None:
        """Leads to where another offset leads, mostly of the same meaning, or somewhere."""
        sites = self.sites("offset")
        site = self.random.choice(sites)
        if self.random.random() < 0.3:
            self.put(site, _other(self.random, site.form, self.seed.number(site)))
            return
        alike = [each for each in sites if each.path == site.path and each.form == _UINT32]
        other = self.random.choice(alike if alike and self.random.random() < 0.8 else sites)
        self.put(site, other.place + self.seed.number(other) - site.place)

    def slot(self) -> None:
        """A field that is missing, or lies elsewhere in its table."""
        sites = self.sites("slot")
        site = self.random.choice(sites)
        if self.random.random() < 0.5:
            self.put(site, 0)
        elif self.random.random() < 0.5:
            self.put(site, self.seed.number(self.random.choice(sites)))
        else:
            self.put(site, _other(self.random, site.form, self.seed.number(site)))

    def content(self) -> None:
        """Other bytes in the content of a tensor, or in a text."""
        span = self.random.choice(self.seed.spans)
        start = span.start + self.random.randrange(span.size)
        size = min(self.random.choice((1, 1, 2, 4, 16, 1 << 16)), span.start + span.size - start)
        filling = self.random.choice((None, 0, 1, 0x7F, 0x80, 0xFF))
        noise = self.random.randbytes(size) if filling is None else bytes([filling]) * size
        self.data[start : start + size] = noise

    def bits(self) -> None:
        for _ in range(self.random.choice((1, 1, 1, 2, 8))):
            place = self.random.randrange(len(self.data))
            self.data[place] ^= 1 << self.random.randrange(8)

    def bytes_(self) -> None:
        size = self.random.choice((1, 2, 4, 8, 32))
        place = self.random.randrange(len(self.data))
        self.data[place : place + size] = self.random.randbytes(len(self.data[place:][:size]))

    def moved_bytes(self) -> None:
        size = 4 * self.random.randrange(1, 16)
        start = 4 * self.random.randrange(len(self.data) // 4)
        target = 4 * self.random.randrange(len(self.data) // 4)
        moved = self.data[start : start + size]
        if self.random.random() < 0.5:
            self.data[target:target] = moved
        else:
            self.data[target : target + len(moved)] = moved

    def cut(self) -> None:
        del self.data[self.random.randrange(8, len(self.data) + 1) :]
        self.data.extend(bytes(max(0, 8 - len(self.data))))


_CHANGES: Mapping[Callable[[_Mutant], None], int] = {
    _Mutant.one_value: 40,
    _Mutant.equal_values: 10,
    _Mutant.exchanged_values: 8,
    _Mutant.scales: 6,
    _Mutant.content: 10,
    _Mutant.slot: 7,
    _Mutant.offset: 8,
    _Mutant.length: 4,
    _Mutant.bits: 6,
    _Mutant.bytes_: 3,
    _Mutant.moved_bytes: 3,
    _Mutant.cut: 1,
}


def mutant(base: Anatomy, random: Random) -> bytes:
    """Return the file with one to three changes."""
    changing = _Mutant(base, random)
    count = random.choice((1, 1, 1, 1, 2, 3))
    for change in random.choices(list(_CHANGES), list(_CHANGES.values()), k=count):
        change(changing)
    return bytes(changing.data)
