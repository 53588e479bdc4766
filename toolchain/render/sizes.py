"""What ``./invoke size`` prints: tables for a terminal, and for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.commands.size import FirmwareSize
from toolchain.render.basics import table
from toolchain.render.firmware import size_bars
from toolchain.sizes.difference import SizeDifference, SymbolChange
from toolchain.sizes.files import FileParts
from toolchain.sizes.symbols import short_name

_NUMBERS = frozenset({1, 2, 3, 4})


def size_text(each: FirmwareSize, lines: int) -> str:
    """Return what a terminal shows of one firmware.

    Args:
        each: the firmware's size.
        lines: how many symbols to list.
    """
    report, firmware = each.size.report, each.firmware
    parts = [
        f"{firmware.board.title}, {firmware.model.name}, {firmware.build_type}",
        size_bars(report),
        table(
            ["layer", "flash", "RAM"],
            [[layer.layer, f"{layer.flash:,}", f"{layer.ram:,}"] for layer in report.layers],
            _NUMBERS,
        ),
    ]
    if each.size.kernels:
        rows = [[name, f"{f:,}", f"{r:,}"] for name, (f, r) in each.size.kernels.items()]
        parts.append(table(["kernel", "flash", "RAM"], rows, _NUMBERS))
    shown = each.size.symbols[:lines]
    if shown:
        rows = [
            [symbol.short or "(between others)", f"{symbol.flash:,}", f"{symbol.ram:,}", where]
            for symbol in shown
            for where in [symbol.source or symbol.layer]
        ]
        title = f"symbol, {len(shown)} largest of {len(each.size.symbols)}"
        parts.append(table([title, "flash", "RAM", "from"], rows, frozenset({1, 2})))
    parts.append(_files(each))
    if each.difference is not None:
        parts.append(_difference(each, each.difference, lines))
    return "\n\n".join(parts)


def _files(each: FirmwareSize) -> str:
    files = each.files
    rows = []
    if files.library is not None:
        rows.append(_file_row(files.library))
    rows.append(_file_row(files.elf))
    rows.append(
        [each.firmware.image.name, f"{files.image_bytes:,}", f"{files.image_bytes:,}", "", ""]
    )
    heads = ["file", "bytes", "code and data", "for a debugger", "names, headers"]
    lines = [table(heads, rows, _NUMBERS)]
    if files.library is not None:
        lines.append(
            f"The library has {files.library_objects} objects for any model; this one needs "
            f"{files.linked_objects} of them, and of these what is called."
        )
    lines.append(
        f"What a debugger reads stays in the ELF file; {each.firmware.image.name} is what is "
        "flashed: code and data, and nothing else."
    )
    return "\n".join(lines)


def _file_row(parts: FileParts) -> list[str]:
    numbers = (parts.size_bytes, parts.loaded, parts.debug, parts.names + parts.other)
    return [parts.name, *(f"{number:,}" for number in numbers)]


def change(before: int, now: int) -> str:
    """Return the difference of two sizes in bytes with its sign, or ``=``."""
    return f"{now - before:+,}" if now != before else "="


def _difference(each: FirmwareSize, difference: SizeDifference, lines: int) -> str:
    report = each.size.report
    rows = [
        [
            layer.layer,
            f"{layer.flash:,}",
            change(layer.flash_before, layer.flash),
            f"{layer.ram:,}",
            change(layer.ram_before, layer.ram),
        ]
        for layer in difference.layers
    ]
    rows.append(
        [
            "all",
            f"{report.flash_used:,}",
            change(difference.flash_before, report.flash_used),
            f"{report.ram_used:,}",
            change(difference.ram_before, report.ram_used),
        ]
    )
    parts = [
        table([f"since {difference.before}", "flash", "change", "RAM", "change"], rows, _NUMBERS)
    ]
    if difference.symbols:
        shown = difference.symbols[:lines]
        title = f"symbol, {len(shown)} most changed of {len(difference.symbols)}"
        heads = [title, "flash", "RAM", "from"]
        parts.append(table(heads, [_changed_row(one) for one in shown], frozenset({1, 2})))
    else:
        parts.append("No symbol has another size.")
    return "\n\n".join(parts)


def _changed_row(one: SymbolChange) -> list[str]:
    return [
        short_name(one.symbol) or "(between others)",
        change(one.flash_before, one.flash),
        change(one.ram_before, one.ram),
        one.source or one.layer,
    ]


def size_markdown(sizes: Sequence[FirmwareSize]) -> str:
    """Return a table in Markdown: a row for each firmware, and what changed in each."""
    compared = any(each.difference for each in sizes)
    since = next((each.difference.before for each in sizes if each.difference), "")
    heads = ["firmware", "flash", *(["change"] if compared else []), "RAM"]
    heads += [*(["change"] if compared else []), "free flash"]
    rows = []
    for each in sizes:
        report, difference = each.size.report, each.difference
        name = f"{each.firmware.board.name}, {each.firmware.model.name}"
        row = [name, f"{report.flash_used:,}"]
        if compared:
            row.append(change(difference.flash_before, report.flash_used) if difference else "")
        row.append(f"{report.ram_used:,}")
        if compared:
            row.append(change(difference.ram_before, report.ram_used) if difference else "")
        row.append(f"{100 - 100 * report.flash_used / report.flash_available:.1f} %")
        rows.append(row)
    title = f"### Sizes in bytes, and what changed since {since}" if compared else "### Sizes"
    lines = [title, "", _row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    lines += [_row(row) for row in rows]
    for each in sizes:
        if each.difference and each.difference.symbols:
            lines += ["", *_markdown_symbols(each, each.difference)]
    return "\n".join(lines)


def _markdown_symbols(each: FirmwareSize, difference: SizeDifference) -> list[str]:
    most = 30
    symbols = difference.symbols
    rows = [_changed_row(one) for one in symbols[:most]]
    title = f"{each.firmware.board.name}: {len(symbols)} symbols changed"
    return [
        f"<details><summary>{title}</summary>",
        "",
        _row(["symbol", "flash", "RAM", "from"]),
        _row(["---", "---:", "---:", "---"]),
        *(_row([f"`{name}`", flash, ram, f"`{source}`"]) for name, flash, ram, source in rows),
        "",
        "</details>",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
