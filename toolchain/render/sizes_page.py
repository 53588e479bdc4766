"""One HTML page, without anything from elsewhere, on which the sizes can be looked through.

Bars instead of areas: lengths can be compared by eye. Everything is there without a script; the
parts of a bar open on a click, by the browser's own means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Literal

from toolchain.commands.size import FirmwareSize
from toolchain.firmware.size import Layer
from toolchain.render.sizes import change
from toolchain.sizes.difference import SizeDifference
from toolchain.sizes.symbols import SymbolSize, short_name

Memory = Literal["flash", "ram"]

# Okabe and Ito's colours, which people with any kind of colour blindness tell apart.
_COLOURS: dict[Layer, str] = {
    "runtime": "#0072b2",
    "kernels": "#d55e00",
    "model": "#009e73",
    "libc": "#56b4e9",
    "board": "#cc79a7",
    "frame buffer": "#999999",
    "application": "#e69f00",
    "alignment": "#bbbbbb",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --ground: #ffffff;
        --soft: #f0f0f0; --line: #d0d0d0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --ground: #181818; --soft: #262626; --line: #444444; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; font: 16px/1.5 system-ui, sans-serif;
       color: var(--ink); background: var(--ground); }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.bar { display: flex; height: 1.6rem; background: var(--soft); border: 1px solid var(--line); }
.bar span { display: block; min-width: 1px; }
details { border-bottom: 1px solid var(--line); }
summary { display: grid; grid-template-columns: 1rem minmax(7rem, 1fr) 5rem 4rem 1rem; gap: .5rem;
          align-items: center; padding: .3rem 0; cursor: pointer; }
summary:focus-visible { outline: 2px solid currentColor; }
summary::after { content: '\\25be'; }
details[open] > summary::after { content: '\\25b4'; }
summary i { width: 1rem; height: 1rem; display: block; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n, span.n { white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .15rem .4rem; text-align: left; vertical-align: top; }
td:first-child { min-width: 9rem; }
th { vertical-align: bottom; }
th.n, td.n { text-align: right; }
td, .source { overflow-wrap: anywhere; }
details table { table-layout: fixed; }
details .n { width: 4.5rem; }
tr:nth-child(even) td { background: var(--soft); }
details > .wide { padding: 0 0 .6rem 1.5rem; }
.source { opacity: .75; }
"""


def size_page(sizes: Sequence[FirmwareSize]) -> str:
    """Return the page.

    Args:
        sizes: of the firmwares, at least one.
    """
    title = ", ".join(each.firmware.board.title for each in sizes)
    body = "".join(_firmware(each) for each in sizes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Sizes: {escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>What the bytes are for</h1>\n{body}</body>\n</html>\n"
    )


def _firmware(each: FirmwareSize) -> str:
    firmware, report = each.firmware, each.size.report
    name = f"{firmware.board.title}, {firmware.model.name}, {firmware.build_type}"
    parts = [
        f"<h2>{escape(name)}</h2>\n",
        _memory(each, "flash", report.flash_used, report.flash_available, ""),
        _memory(
            each,
            "ram",
            report.ram_used,
            report.ram_available,
            f", and {report.stack:,} for the stack",
        ),
        _files(each),
    ]
    if each.difference is not None:
        parts.append(_difference(each, each.difference))
    return f"<section>{''.join(parts)}</section>\n"


def _memory(each: FirmwareSize, memory: Memory, used: int, available: int, note: str) -> str:
    title = "Flash" if memory == "flash" else "RAM"
    symbols = [symbol for symbol in each.size.symbols if _bytes(symbol, memory)]
    by_layer: dict[Layer, list[SymbolSize]] = {}
    for symbol in symbols:
        by_layer.setdefault(symbol.layer, []).append(symbol)
    sums = {
        layer: sum(_bytes(symbol, memory) for symbol in found) for layer, found in by_layer.items()
    }
    ranked = sorted(sums, key=lambda layer: -sums[layer])
    bar = "".join(
        f'<span style="width:{100 * sums[layer] / used:.3f}%;background:{_COLOURS[layer]}" '
        f'title="{escape(layer)} {sums[layer]:,}"></span>'
        for layer in ranked
    )
    described = ", ".join(f"{layer} {sums[layer]:,}" for layer in ranked)
    rows = "".join(_layer(layer, by_layer[layer], memory, sums[layer], used) for layer in ranked)
    return (
        f"<h3>{title}: {used:,} of {available:,} bytes ({100 * used / available:.1f}&nbsp;%){note}"
        f'</h3>\n<div class="bar" role="img" aria-label="{escape(described)}">{bar}</div>\n{rows}'
    )


def _bytes(symbol: SymbolSize, memory: Memory) -> int:
    return symbol.flash if memory == "flash" else symbol.ram


def _layer(
    layer: Layer, symbols: Sequence[SymbolSize], memory: Memory, size: int, used: int
) -> str:
    ordered = sorted(symbols, key=lambda each: each.source)
    groups = [(source, list(found)) for source, found in groupby(ordered, lambda each: each.source)]
    groups.sort(key=lambda group: -sum(_bytes(each, memory) for each in group[1]))
    rows = "".join(_source(source, found, memory) for source, found in groups)
    return (
        f'<details><summary><i style="background:{_COLOURS[layer]}"></i><span>{escape(layer)}'
        f'</span><span class="n">{size:,}</span><span class="n">{100 * size / used:.1f}&nbsp;%'
        f'</span></summary>\n<div class="wide"><table>{rows}</table></div></details>\n'
    )


def _source(source: str, symbols: Iterable[SymbolSize], memory: Memory) -> str:
    ranked = sorted(symbols, key=lambda each: -_bytes(each, memory))
    total = sum(_bytes(each, memory) for each in ranked)
    head = (
        f'<tr><th scope="rowgroup" class="source">{escape(source or "between others")}</th>'
        f'<th class="n">{total:,}</th></tr>'
    )
    rows = "".join(
        f'<tr><td title="{escape(each.symbol)}">{escape(each.short)}</td>'
        f'<td class="n">{_bytes(each, memory):,}</td></tr>'
        for each in ranked
        if each.symbol
    )
    return f"<tbody>{head}{rows}</tbody>"


def _files(each: FirmwareSize) -> str:
    files = each.files
    rows = [
        (part.name, part.size_bytes, part.loaded, part.debug, part.names + part.other)
        for part in (files.library, files.elf)
        if part is not None
    ]
    rows.append((each.firmware.image.name, files.image_bytes, files.image_bytes, 0, 0))
    cells = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="n">{number:,}</td>' for number in numbers)
        + "</tr>"
        for name, *numbers in rows
    )
    note = (
        f"The library has {files.library_objects} objects for any model; this one needs "
        f"{files.linked_objects} of them, and of these what is called. "
        if files.library
        else ""
    )
    heads = "".join(
        f'<th class="n">{head}</th>'
        for head in ("bytes", "code and data", "for a debugger", "names, headers")
    )
    return (
        f'<h3>Why the files have other sizes</h3>\n<div class="wide"><table><tr><th>file</th>'
        f"{heads}</tr>{cells}</table></div>\n<p>{note}What a debugger reads stays in the ELF "
        f"file; only code and data are flashed.</p>\n"
    )


def _difference(each: FirmwareSize, difference: SizeDifference) -> str:
    report = each.size.report
    rows: list[tuple[str, int, int, int, int]] = [
        (one.layer, one.flash, one.flash_before, one.ram, one.ram_before)
        for one in difference.layers
    ]
    rows.append(
        (
            "all",
            report.flash_used,
            difference.flash_before,
            report.ram_used,
            difference.ram_before,
        )
    )
    layers = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{flash:,}</td>'
        f'<td class="n">{change(flash_before, flash)}</td><td class="n">{ram:,}</td>'
        f'<td class="n">{change(ram_before, ram)}</td></tr>'
        for name, flash, flash_before, ram, ram_before in rows
    )
    symbols = "".join(
        f'<tr><td title="{escape(one.symbol)}">{escape(short_name(one.symbol))} '
        f'<span class="source">{escape(one.source)}</span></td>'
        f'<td class="n">{change(one.flash_before, one.flash)}</td>'
        f'<td class="n">{change(one.ram_before, one.ram)}</td></tr>'
        for one in difference.symbols
    )
    changed = (
        f'<div class="wide"><table><tr><th>symbol</th><th class="n">flash</th>'
        f'<th class="n">RAM</th></tr>{symbols}</table></div>\n'
        if symbols
        else "<p>No symbol has another size.</p>\n"
    )
    heads = "".join(f'<th class="n">{head}</th>' for head in ("flash", "change", "RAM", "change"))
    return (
        f"<h3>Since {escape(difference.before)}</h3>\n"
        f'<div class="wide"><table><tr><th>layer</th>{heads}</tr>{layers}</table></div>\n{changed}'
    )
