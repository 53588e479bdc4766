"""What became larger or smaller between two firmwares."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.firmware.size import LAYERS, Layer
from toolchain.sizes.symbols import DetailedSize, SymbolSize


@dataclass(frozen=True)
class LayerChange:
    """A layer before and after.

    Attributes:
        flash_before: bytes, as the other three.
    """

    layer: Layer
    flash_before: int
    flash: int
    ram_before: int
    ram: int


@dataclass(frozen=True)
class SymbolChange:
    """A symbol that has other sizes than before, in bytes; 0 where it was not, or is no more."""

    layer: Layer
    source: str
    symbol: str
    flash_before: int
    flash: int
    ram_before: int
    ram: int

    @property
    def weight(self) -> int:
        """How much changed, in bytes of flash and RAM."""
        return abs(self.flash - self.flash_before) + abs(self.ram - self.ram_before)


@dataclass(frozen=True)
class SizeDifference:
    """Two firmwares compared.

    Attributes:
        before: what the other one is called.
        flash_before: bytes of its flash image.
        ram_before: bytes of RAM.
        layers: every layer that either has.
        symbols: those that changed, most changed first.
    """

    before: str
    flash_before: int
    ram_before: int
    layers: tuple[LayerChange, ...]
    symbols: tuple[SymbolChange, ...]


def size_difference(name: str, before: DetailedSize, now: DetailedSize) -> SizeDifference:
    """Return what changed from ``before``, which people know as ``name``, to ``now``."""
    old = {each.layer: each for each in before.report.layers}
    new = {each.layer: each for each in now.report.layers}
    layers = tuple(
        LayerChange(
            layer,
            old[layer].flash if layer in old else 0,
            new[layer].flash if layer in new else 0,
            old[layer].ram if layer in old else 0,
            new[layer].ram if layer in new else 0,
        )
        for layer in LAYERS
        if layer in old or layer in new
    )
    changes = _changes(_by_name(before), _by_name(now))
    ranked = sorted(changes, key=lambda each: (-each.weight, each.source, each.symbol))
    return SizeDifference(
        name, before.report.flash_used, before.report.ram_used, layers, tuple(ranked)
    )


def _by_name(size: DetailedSize) -> dict[tuple[Layer, str, str], SymbolSize]:
    return {(each.layer, each.source, each.symbol): each for each in size.symbols}


def _changes(
    before: dict[tuple[Layer, str, str], SymbolSize], now: dict[tuple[Layer, str, str], SymbolSize]
) -> list[SymbolChange]:
    changes = []
    for key in before.keys() | now.keys():
        old, new = before.get(key), now.get(key)
        change = SymbolChange(
            *key,
            old.flash if old else 0,
            new.flash if new else 0,
            old.ram if old else 0,
            new.ram if new else 0,
        )
        if change.weight:
            changes.append(change)
    return changes
