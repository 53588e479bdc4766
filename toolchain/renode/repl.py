"""Reads the part of Renode's platform description language (.repl) that the boards' files use.

Entries that create a peripheral, with its registration on the system bus, attributes and
interrupts; line comments; strings of one and of several lines. The language has more: what is not
read here is refused, so that a file is never half understood. Source: the chapter "Platform
description format" of Renode's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"0x[0-9A-Fa-f]+|\d+"
_ENTRY = re.compile(rf"({_NAME}): ({_NAME}\.{_NAME}) @ sysbus(?: (.+))?")
_RANGE = re.compile(rf"<({_NUMBER}), \+({_NUMBER})>")
_ATTRIBUTE = re.compile(rf"({_NAME}): (.+)")
_INTERRUPT = re.compile(rf"(?:({_NAME}) )?-> ({_NAME})@(\d+)")
_INDENT = "    "
_QUOTES = "'''"


class ReplError(ValueError):
    """A line is not of the part of the language that is read here."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


@dataclass(frozen=True)
class Reference:
    """Another entry, by name."""

    name: str


Value: TypeAlias = int | str | bool | Reference


@dataclass(frozen=True)
class Interrupt:
    """A connection; ``source`` is None where the peripheral has one output only."""

    source: str | None
    target: str
    number: int


@dataclass(frozen=True)
class Entry:
    """A peripheral.

    Attributes:
        name: of the entry, and of the peripheral in Renode.
        type: namespace and class, such as ``UART.PL011``.
        address: of its first byte on the bus; None: it has no place there.
        size: bytes given with the address; None: the class knows it, or ``size`` says it.
        attributes: constructor parameters (lower-case) and properties.
        interrupts: where its outputs go.
        line: of the file, from 1.
    """

    name: str
    type: str
    address: int | None
    size: int | None
    attributes: dict[str, Value]
    interrupts: tuple[Interrupt, ...]
    line: int

    @property
    def script(self) -> str | None:
        """The Python code of a peripheral that is written in it."""
        script = self.attributes.get("script")
        return script if isinstance(script, str) else None


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    # Of a string of several lines that begins at the end of the line.
    string: str | None = None


def read_platform(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file, in its order.

    Raises:
        ReplError: a line is not understood, or a name is given twice.
    """
    return parse_platform(path.read_text(encoding="utf-8"))


def parse_platform(text: str) -> tuple[Entry, ...]:
    """Return the entries of a platform description, in its order.

    Raises:
        ReplError: a line is not understood, or a name is given twice.
    """
    entries: list[Entry] = []
    for block in _blocks(text):
        entry = _parse_entry(block)
        if entry.name in {other.name for other in entries}:
            raise ReplError(entry.line, f"'{entry.name}' is there twice")
        entries.append(entry)
    return tuple(entries)


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines without comments and empty ones; strings of several lines joined."""
    numbered = iter(enumerate(text.splitlines(), 1))
    for number, line in numbered:
        if "\t" in line:
            raise ReplError(number, "a tab; the language indents with spaces")
        # No string of the boards' files has two slashes in it; see the rule for scripts.
        content, _, comment = line.partition("//")
        if _QUOTES in comment:
            raise ReplError(number, f"{_QUOTES} in a comment, where Renode takes it for a string's")
        content = content.rstrip()
        if not content:
            continue
        if _QUOTES not in content:
            yield _Line(number, content)
            continue
        before, _, first = content.partition(_QUOTES)
        if first:
            raise ReplError(number, f"text after {_QUOTES}; begin a script on the next line")
        collected: list[str] = []
        for _, inner in numbered:
            if _QUOTES in inner:
                if inner != _QUOTES:
                    raise ReplError(number, f"the script's end, {_QUOTES}, must stand alone")
                break
            collected.append(inner)
        else:
            raise ReplError(number, "a string of several lines does not end")
        yield _Line(number, before.rstrip(), "\n".join(collected) + "\n")


def _blocks(text: str) -> Iterator[list[_Line]]:
    block: list[_Line] = []
    for line in _lines(text):
        if not line.text.startswith(" "):
            if block:
                yield block
            block = [line]
        elif not block:
            raise ReplError(line.number, "indented, and no entry is above")
        else:
            block.append(line)
    if block:
        yield block


def _parse_entry(block: list[_Line]) -> Entry:
    head, *body = block
    match = _ENTRY.fullmatch(head.text)
    if match is None or head.string is not None:
        raise ReplError(head.number, f"not 'name: Namespace.Type @ sysbus address': {head.text}")
    name, type_, place = match.groups()
    address, size = _parse_place(head.number, place)
    attributes: dict[str, Value] = {}
    interrupts: list[Interrupt] = []
    for line in body:
        if not line.text.startswith(_INDENT) or line.text[len(_INDENT)] == " ":
            raise ReplError(line.number, "attributes are indented by four spaces")
        content = line.text.strip()
        if connection := _INTERRUPT.fullmatch(content):
            source, target, number = connection.groups()
            interrupts.append(Interrupt(source, target, int(number)))
            continue
        key, value = _parse_attribute(line, content)
        if key in attributes:
            raise ReplError(line.number, f"'{key}' is there twice")
        attributes[key] = value
    return Entry(name, type_, address, size, attributes, tuple(interrupts), head.number)


def _parse_place(line: int, place: str | None) -> tuple[int | None, int | None]:
    if place is None:
        return None, None
    if match := _RANGE.fullmatch(place):
        return int(match[1], 0), int(match[2], 0)
    if re.fullmatch(_NUMBER, place):
        return int(place, 0), None
    raise ReplError(line, f"a place on the bus that is not read here: {place}")


def _parse_attribute(line: _Line, content: str) -> tuple[str, Value]:
    if line.string is not None:
        key = content.removesuffix(":")
        if not re.fullmatch(_NAME, key) or key == content:
            raise ReplError(line.number, f"not an attribute: {content}")
        return key, line.string
    match = _ATTRIBUTE.fullmatch(content)
    if match is None:
        raise ReplError(line.number, f"neither an attribute nor an interrupt: {content}")
    return match[1], _parse_value(line.number, match[2])


def _parse_value(line: int, text: str) -> Value:
    if re.fullmatch(_NUMBER, text):
        return int(text, 0)
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r'"[^"\\]*"', text):
        return text[1:-1]
    if re.fullmatch(_NAME, text):
        return Reference(text)
    raise ReplError(line, f"a value that is not read here: {text}")
