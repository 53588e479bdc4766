"""Checks the boards' Robot Framework tests for Renode without Renode and without the framework.

Reads the part of the framework's language that is used: sections, cells with two or more spaces
between them, one keyword a line, an assignment before it. The keywords are those that Renode gives
to the tests (internal classes below src/Renode/RobotFrameworkEngine of renode) and those of its
renode-keywords.robot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from toolchain.renode.repl import Entry


@dataclass(frozen=True)
class Keyword:
    """A keyword of Renode's.

    Attributes:
        parameters: their names, in order; the first ``required`` must be given.
        required: how many must be.
        source: the file that has it, of renode.
        needs: what must have been called before it: ``machine``, ``uart``, ``led``, ``log``,
            ``start``.
        gives: what it makes, of these.
    """

    parameters: tuple[str, ...]
    required: int
    source: str
    needs: tuple[str, ...] = ()
    gives: str = ""


_FOLDER = "src/Renode/RobotFrameworkEngine"
_RENODE, _UART, _LED = (f"{_FOLDER}/{name}Keywords.cs" for name in ("Renode", "Uart", "Led"))
_KEYWORDS_FILE = f"{_FOLDER}/renode-keywords.robot"

KEYWORDS: Mapping[str, Keyword] = {
    "Execute Command": Keyword(("command", "machine"), 1, _RENODE),
    "Execute Script": Keyword(("path",), 1, _RENODE, gives="machine"),
    "Start Emulation": Keyword((), 0, _RENODE, ("machine",), "start"),
    "Create Terminal Tester": Keyword(
        ("uart", "timeout", "machine", "endLineOption", "defaultPauseEmulation"),
        *(1, _UART, ("machine",), "uart"),
    ),
    "Wait For Line On Uart": Keyword(
        ("content", "timeout", "testerId", "treatAsRegex", "includeUnfinishedLine"),
        *(1, _UART, ("uart", "start")),
    ),
    "Create Led Tester": Keyword(
        ("led", "defaultTimeout", "machine"), 1, _LED, ("machine",), "led"
    ),
    "Assert Led State": Keyword(
        ("state", "timeout", "testerId", "pauseEmulation"), 1, _LED, ("led", "start")
    ),
    "Create Log Tester": Keyword(("timeout", "defaultPauseEmulation"), 1, _RENODE, gives="log"),
    "Wait For Log Entry": Keyword(
        ("pattern", "timeout", "keep", "treatAsRegex", "pauseEmulation", "level"),
        *(1, _RENODE, ("log", "start")),
    ),
    "Setup": Keyword((), 0, _KEYWORDS_FILE),
    "Teardown": Keyword((), 0, _KEYWORDS_FILE),
    "Reset Emulation": Keyword((), 0, _RENODE),
    "Test Teardown": Keyword((), 0, _KEYWORDS_FILE),
}

SETTINGS: Mapping[str, str] = {
    "Suite Setup": "Setup",
    "Suite Teardown": "Teardown",
    "Test Setup": "Reset Emulation",
    "Test Teardown": "Test Teardown",
    "Resource": "${RENODEKEYWORDS}",
}
"""Each setting that is needed, and its value."""

GIVEN = frozenset({"${CURDIR}", "${RENODEKEYWORDS}", "${BIN}", "${TEST_BIN}"})
"""Variables of the framework, of renode-test, and of the command line."""

_VARIABLE = re.compile(r"[$@&]\{\w+\}")
_NAMED = re.compile(r"(?<!\\)=")


@dataclass(frozen=True)
class Step:
    """A keyword that is called.

    Attributes:
        line: of the file, from 1.
        keyword: its name.
        arguments: each as it is written.
        result: the variable that takes what it returns; empty: none.
    """

    line: int
    keyword: str
    arguments: tuple[str, ...]
    result: str = ""


@dataclass(frozen=True)
class RobotFile:
    """A test suite.

    Attributes:
        settings: value of each setting.
        variables: value of each variable of the suite.
        keywords: steps of each keyword of its own, its arguments first.
        tests: steps of each test.
    """

    settings: Mapping[str, str]
    variables: Mapping[str, str]
    keywords: Mapping[str, tuple[Step, ...]]
    tests: Mapping[str, tuple[Step, ...]]

    def value(self, argument: str) -> str:
        """Return an argument with the suite's variables in their place and nothing escaped."""
        for name, text in self.variables.items():
            argument = argument.replace(name, text)
        return re.sub(r"\\(.)", r"\1", argument)


class RobotError(ValueError):
    """A line is not of the part of the language that is read here."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


def parse_robot(text: str) -> RobotFile:
    """Return what a file holds.

    Raises:
        RobotError: a line is not understood.
    """
    section, block = "", ""
    settings: dict[str, str] = {}
    variables: dict[str, str] = {}
    bodies: dict[str, dict[str, list[Step]]] = {"Keywords": {}, "Test Cases": {}}
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.fullmatch(r"\*\*\* ([\w ]+) \*\*\*", line):
            section, block = heading[1], ""
        elif section == "Comments" or not line.strip() or line.lstrip().startswith("#"):
            continue
        elif section in {"Settings", "Variables"}:
            cells = re.split(r" {2,}", line.strip())
            if len(cells) != 2 or line.startswith(" "):
                raise RobotError(number, "not a name and its value, with two spaces between them")
            (settings if section == "Settings" else variables)[cells[0]] = cells[1]
        elif section not in bodies:
            raise RobotError(number, f"a section that is not read here: {section or 'none'}")
        elif not line.startswith(" "):
            block = line.strip()
            if block in bodies[section]:
                raise RobotError(number, f"'{block}' is there twice")
            bodies[section][block] = []
        elif not block or not line.startswith("    "):
            raise RobotError(number, "a step is indented by four spaces, below a name")
        else:
            bodies[section][block].append(_step(number, line))
    keywords, tests = (
        {name: tuple(steps) for name, steps in bodies[each].items()}
        for each in ("Keywords", "Test Cases")
    )
    return RobotFile(settings, variables, keywords, tests)


def _step(number: int, line: str) -> Step:
    cells = re.split(r" {2,}", line.strip())
    result = ""
    if assigned := re.fullmatch(r"(\$\{\w+\}) ?=", cells[0]):
        result = assigned[1]
        cells.pop(0)
    if not cells:
        raise RobotError(number, "nothing is called")
    return Step(number, cells[0], tuple(cells[1:]), result)


def robot_problems(robot: RobotFile, platform: Iterable[Entry], console: str) -> tuple[str, ...]:
    """Return what is wrong with a board's tests, one sentence each; empty: nothing.

    Args:
        robot: the tests.
        platform: the machine that they are for.
        console: path of the board's console in Renode.
    """
    entries = {entry.name: entry for entry in platform}
    found = [
        f"setting {name} is {robot.settings.get(name)}, not {value}"
        for name, value in SETTINGS.items()
        if robot.settings.get(name) != value
    ]
    for name, steps in {**robot.keywords, **robot.tests}.items():
        found += (f"{name}: {what}" for what in _of_steps(steps, robot))
    for name, steps in robot.tests.items():
        found += (f"{name}: {what}" for what in _of_order(steps, robot))
        for step in steps:
            where = f"{name}: line {step.line}"
            found += (f"{where}: {what}" for what in _of_devices(step, robot, entries, console))
    return tuple(found)


def _of_steps(steps: tuple[Step, ...], robot: RobotFile) -> Iterator[str]:
    known = GIVEN | robot.variables.keys()
    for step in steps:
        if step.keyword == "[Arguments]":
            known |= set(step.arguments)
            continue
        for used in {each for text in step.arguments for each in _VARIABLE.findall(text)} - known:
            yield f"line {step.line}: {used} is not set"
        known |= {step.result}
        yield from (f"line {step.line}: {what}" for what in _of_call(step, robot))


def _of_call(step: Step, robot: RobotFile) -> Iterator[str]:
    own = robot.keywords.get(step.keyword)
    if own is not None:
        parameters = own[0].arguments if own and own[0].keyword == "[Arguments]" else ()
        if len(step.arguments) != len(parameters):
            yield f"{step.keyword} takes {len(parameters)} arguments"
        return
    keyword = KEYWORDS.get(step.keyword)
    if keyword is None:
        yield f"no keyword '{step.keyword}' is known"
        return
    named = [argument for argument in step.arguments if _NAMED.search(argument)]
    plain = len(step.arguments) - len(named)
    if step.arguments[plain:] != tuple(named):
        yield "an argument without a name follows one with a name"
    for argument in named:
        name = argument.partition("=")[0]
        if name not in keyword.parameters:
            yield f"{step.keyword} has no argument '{name}'; write \\= for the sign itself"
        elif name in keyword.parameters[:plain]:
            yield f"{step.keyword} is given '{name}' twice"
    if not keyword.required <= plain <= len(keyword.parameters):
        yield f"{step.keyword} takes {keyword.required} to {len(keyword.parameters)} arguments"
    if "treatAsRegex=true" in step.arguments:
        try:
            re.compile(robot.value(step.arguments[0]))
        except re.error as error:
            yield f"no regular expression: {error}"


def _of_order(steps: tuple[Step, ...], robot: RobotFile) -> Iterator[str]:
    there: set[str] = set()
    for step in steps:
        called = [step, *robot.keywords.get(step.keyword, ())]
        for keyword in (KEYWORDS[each.keyword] for each in called if each.keyword in KEYWORDS):
            if missing := [need for need in keyword.needs if need not in there]:
                yield f"line {step.line}: {step.keyword} comes before its {missing[0]}"
            if keyword.gives in {"uart", "led", "log"} and "start" in there:
                yield f"line {step.line}: {step.keyword} misses what came since the start"
            there.add(keyword.gives)


def _of_devices(
    step: Step, robot: RobotFile, entries: Mapping[str, Entry], console: str
) -> Iterator[str]:
    arguments = [robot.value(argument) for argument in step.arguments]
    match step.keyword, arguments:
        case "Create Terminal Tester", [uart, *_] if uart != console:
            yield f"{uart} is not the console"
        case "Create Led Tester", [led, *_]:
            entry = entries.get(led.removeprefix("sysbus."))
            if entry is None or entry.type != "Miscellaneous.LED":
                yield f"{led} is no LED"
        case "Assert Led State", [state, *_] if state not in {"true", "false"}:
            yield f"a LED is true or false, not {state}"
        case "Wait For Log Entry", [pattern, *_]:
            # Up to the first number a script's message is the same as its format.
            words = re.split(r"[^ :A-Za-z]", pattern)[0]
            scripts = " ".join(entry.script or "" for entry in entries.values())
            kind, _, rest = words.partition(" ")
            if f"'{kind}" not in scripts or (kind == "LED" and not rest):
                yield f"no script says '{pattern}'"
