"""Checks commands of Renode's monitor (.resc files, and those of a command line) without Renode.

Read in src/Emulator/Extensions/UserInterface of renode-infrastructure: a line is cut into tokens by
the first of a list of expressions that fits, a command is taken by the kinds of its tokens, and a
variable is replaced by its value first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolchain.renode.repl import Entry

_TOKENS = (
    ("comment", r"[#:].*"),
    ("variable", r"\$[0-9A-Za-z_.]+"),
    ("text", r'""".+?"""'),
    ("string", r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""),
    ("path", r"@(?:(?!;)(?:\\ |\S))+"),
    ("number", r"0x[0-9A-Fa-f]+|[+-]?\d+(?:\.\d*)?"),
    ("bool", r"(?i:true|false)"),
    ("equals", r"\??="),
    ("split", r";"),
    ("word", r"[\w.?-]+"),
    ("space", r"\s+"),
)
_TOKEN = re.compile("|".join(f"(?P<{name}>{text})" for name, text in _TOKENS), re.DOTALL)


@dataclass(frozen=True)
class MonitorCommand:
    """A command that is used here.

    Attributes:
        arguments: kinds of its tokens; ``path`` may be a variable too, one that ends in ``?`` be
            left out, and a word in quotes stands for itself.
        source: the file that has it, below src of renode-infrastructure, or of renode.
    """

    arguments: tuple[str, ...]
    source: str


_COMMANDS_FOLDER = "Emulator/Extensions/UserInterface/Commands"

COMMANDS: Mapping[str, MonitorCommand] = {
    "mach": MonitorCommand(("'create'", "string"), f"{_COMMANDS_FOLDER}/MachCommand.cs"),
    "include": MonitorCommand(("path",), f"{_COMMANDS_FOLDER}/IncludeFileCommand.cs"),
    "macro": MonitorCommand(("word", "text"), f"{_COMMANDS_FOLDER}/SetCommand.cs"),
    "runMacro": MonitorCommand(("variable",), f"{_COMMANDS_FOLDER}/ExecuteCommand.cs"),
    "showAnalyzer": MonitorCommand(("word",), f"{_COMMANDS_FOLDER}/ShowBackendAnalyzerCommand.cs"),
    "logFile": MonitorCommand(("path", "bool?"), f"{_COMMANDS_FOLDER}/LoggerFileCommand.cs"),
    "start": MonitorCommand((), f"{_COMMANDS_FOLDER}/StartCommand.cs"),
    "quit": MonitorCommand((), f"{_COMMANDS_FOLDER}/QuitCommand.cs"),
}

MEMBERS: Mapping[tuple[str, str], MonitorCommand] = {
    ("machine", "LoadPlatformDescription"): MonitorCommand(
        ("path",),
        "Renode/PlatformDescription/UserInterface/PlatformDescriptionMachineExtensions.cs",
    ),
    ("sysbus", "LoadBinary"): MonitorCommand(
        ("path", "number"), "Emulator/Main/Core/Extensions/FileLoaderExtensions.cs"
    ),
    ("sysbus", "LoadELF"): MonitorCommand(
        ("path",), "Emulator/Main/Core/Extensions/FileLoaderExtensions.cs"
    ),
    ("CPU.CortexM", "VectorTableOffset"): MonitorCommand(
        ("number",), "Emulator/Cores/Arm-M/CortexM.cs"
    ),
    ("UART", "CreateFileBackend"): MonitorCommand(
        ("path", "bool?"), "Emulator/Extensions/Utilities/UartFileBackend.cs"
    ),
}
"""Methods and properties of devices: by the type of an entry, or its namespace."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def monitor_problems(
    text: str, platform: Iterable[Entry], variables: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return what is wrong with a script for the monitor, one sentence each; empty: nothing.

    Args:
        text: the script.
        platform: the machine that it is for.
        variables: what is set before it runs, each with its dollar sign.
    """
    by_name = {entry.name: entry for entry in platform}
    known = {"$ORIGIN", "$CWD", *variables}
    return tuple(_of_script(text, by_name, known))


def _of_script(
    text: str, by_name: Mapping[str, Entry], known: set[str], after: int = 0
) -> Iterator[str]:
    """Yield what is wrong with a text that begins after a line of its file."""
    for number, line in _joined(text):
        where = f"line {after + number}"
        for command in _commands(line):
            if isinstance(command, str):
                yield f"{where}: {command}"
                continue
            yield from (f"{where}: {what}" for what in _of_command(command, by_name, known))
            if command[0].text == "macro" and command[-1].kind == "text":
                inner = command[-1].text.strip('"')
                yield from _of_script(inner, by_name, known, after + number)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number; a text of several lines with the line before it."""
    waiting: tuple[int, str] | None = None
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if '"""' in line:
            inside = not inside
            first, before = waiting or (number, "")
            waiting = (first, f"{before}\n{line}")
            if not inside:
                yield waiting
                waiting = None
        elif inside and waiting is not None:
            waiting = (waiting[0], f"{waiting[1]}\n{line}")
        else:
            if waiting is not None:
                yield waiting
            waiting = (number, line)
    if waiting is not None:
        yield waiting


def _commands(line: str) -> Iterator[list[_Token] | str]:
    """Yield the commands of a line; a sentence where it cannot be cut into tokens."""
    command: list[_Token] = []
    at = 0
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            last = command[-1] if command else None
            if last is None or last.kind != "variable" or last.text != "$ORIGIN":
                yield f"could not be cut into tokens at '{line[at : at + 20]}'"
                return
            # The variable's value is put in, and the line is cut once more.
            rest = re.match(r"/[\w./-]+", line[at:])
            if rest is None:
                yield f"no path after $ORIGIN at '{line[at : at + 20]}'"
                return
            command[-1] = _Token("path", f"$ORIGIN{rest[0]}")
            at += len(rest[0])
            continue
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "split":
            if command:
                yield command
            command = []
        elif kind not in {"space", "comment"}:
            command.append(_Token(kind, match[0]))
    if command:
        yield command


def _of_command(
    command: list[_Token], by_name: Mapping[str, Entry], known: set[str]
) -> Iterator[str]:
    head, *rest = command
    if head.kind == "variable":
        if [token.kind for token in rest] != ["equals", "path"]:
            yield f"{head.text} is not set to a path"
        known.add(head.text)
        return
    found = COMMANDS.get(head.text)
    if found is None and rest:
        found = _member(head.text, rest.pop(0).text, by_name)
    if found is None:
        yield f"no command is known for '{' '.join(token.text for token in command)}'"
        return
    if head.text == "macro" and rest:
        known.add(f"${rest[0].text}")
    yield from (
        f"{token.text} is not set"
        for token in rest
        if token.kind == "variable" and token.text not in known
    )
    if not _fits(rest, found.arguments):
        wanted = ", ".join(found.arguments) or "nothing"
        yield f"{head.text} takes {wanted}, not '{' '.join(token.text for token in rest)}'"
    if head.text == "showAnalyzer" and rest:
        entry = by_name.get(rest[0].text.removeprefix("sysbus."))
        if entry is None or not entry.type.startswith("UART."):
            yield f"{rest[0].text} is no UART of the platform"


def _member(device: str, member: str, by_name: Mapping[str, Entry]) -> MonitorCommand | None:
    if found := MEMBERS.get((device, member)):
        return found
    entry = by_name.get(device.removeprefix("sysbus.")) if device.startswith("sysbus.") else None
    if entry is None:
        return None
    return MEMBERS.get((entry.type, member)) or MEMBERS.get((entry.type.partition(".")[0], member))


def _fits(tokens: list[_Token], wanted: tuple[str, ...]) -> bool:
    least = sum(not kind.endswith("?") for kind in wanted)
    if not least <= len(tokens) <= len(wanted):
        return False
    for token, kind in zip(tokens, wanted, strict=False):
        name = kind.removesuffix("?")
        if name.startswith("'"):
            if token.text != name.strip("'"):
                return False
        elif token.kind != name and not (name == "path" and token.kind == "variable"):
            return False
    return True
