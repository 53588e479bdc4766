"""Reads boards/<name>/registers.h: what each register and field type stands for, as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NAMESPACE = re.compile(r"^namespace (\w+) \{\n(.*?)^\}  // namespace \1$", re.M | re.S)
_STATEMENT = re.compile(
    r"template <(?P<parameters>[^>]*)>\s*(?:struct (?P<struct>\w+) \{(?P<body>.*?)\n\};"
    r"|using (?P<alias>\w+) = (?P<aliased>[^;]*);)"
    r"|using (?P<name>\w+) =\s*(?P<type>typename )?(?P<value>[^;]*);"
    r"|(?:static )?constexpr \w+ (?P<constant>\w+) = (?P<number>[^;]*);",
    re.S,
)
_TYPE = re.compile(r"(Register|Field)<(.*)>", re.S)
_CHOICE = re.compile(r"([^()?:]+)\?([^()?:]+):([^()?:]+)")


@dataclass(frozen=True)
class HeaderRegister:
    address: int


@dataclass(frozen=True)
class HeaderField:
    register: str
    address: int
    lowest: int
    width: int


@dataclass(frozen=True)
class Template:
    """A struct or an alias; ``statements`` are its members as they are written."""

    parameters: tuple[str, ...]
    statements: str


@dataclass(frozen=True)
class Namespace:
    constants: Mapping[str, int]
    registers: Mapping[str, HeaderRegister]
    fields: Mapping[str, HeaderField]
    templates: Mapping[str, Template]

    def instance(self, name: str, *arguments: int) -> Namespace:
        """Return what a template's members are for these arguments."""
        template = self.templates[name]
        given = dict(zip(template.parameters, arguments, strict=True))
        inner = _read(template.statements, dict(self.constants) | given, self.registers)
        own = {key: value for key, value in inner.registers.items() if key not in self.registers}
        return Namespace(inner.constants, own, inner.fields, {})


def read_header(path: Path) -> dict[str, Namespace]:
    """Return the namespaces of a register header, by name; each statement was understood."""
    ((_chip, inside),) = re.findall(
        r"^namespace (\w+) \{\n(.*)^\}  // namespace \1$", path.read_text(), re.M | re.S
    )
    namespaces = {
        name: _read(re.sub(r"//[^\n]*", "", body), {}, {})
        for name, body in _NAMESPACE.findall(inside)
    }
    assert namespaces
    return namespaces


def _read(
    text: str, constants: Mapping[str, int], registers: Mapping[str, HeaderRegister]
) -> Namespace:
    numbers, known = dict(constants), dict(registers)
    fields: dict[str, HeaderField] = {}
    templates: dict[str, Template] = {}
    for match in _STATEMENT.finditer(text):
        if match["parameters"] is not None:
            parameters = tuple(each.split()[-1] for each in match["parameters"].split(","))
            name = match["struct"] or match["alias"]
            statements = match["body"] or f"using {name} = {match['aliased']};"
            templates[name] = Template(parameters, statements)
        elif match["constant"]:
            numbers[match["constant"]] = _evaluate(match["number"], numbers)
        else:
            kind = _TYPE.fullmatch(match["value"].strip())
            assert kind is not None, match[0]
            first, *rest = _arguments(kind[2])
            if kind[1] == "Register":
                known[match["name"]] = HeaderRegister(_evaluate(first, numbers))
            else:
                values = [_evaluate(each, numbers) for each in rest]
                lowest, width = values if len(values) == 2 else (*values, 1)
                fields[match["name"]] = HeaderField(first, known[first].address, lowest, width)
    left = re.sub(
        r"static_assert\(.*?\);|enum class \w+ \{[^}]*\};", "", _STATEMENT.sub("", text), flags=re.S
    )
    assert not left.strip(), f"not understood: {left.strip()}"
    return Namespace(numbers, known, fields, templates)


def _arguments(text: str) -> list[str]:
    """Split at the commas that are in no parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _evaluate(expression: str, names: Mapping[str, int]) -> int:
    python = expression.replace("Half::kA", "0").replace("Half::kB", "1").replace("/", "//")
    python = re.sub(r"\b(0x[0-9A-Fa-f]+|\d+)u\b", r"\1", python)
    python = _CHOICE.sub(r"(\2) if (\1) else (\3)", python)
    value = eval(python.strip(), {"__builtins__": {}}, dict(names))
    assert isinstance(value, int)
    return value
