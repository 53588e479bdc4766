"""docs/renode.md names each type, command, keyword and attribute by which the files are checked."""

from __future__ import annotations

import re

from tests.unit.renode_support import PROJECT
from toolchain.pins import PINS_FILE, load_pins
from toolchain.renode.monitor import COMMANDS, MEMBERS
from toolchain.renode.peripherals import TYPES
from toolchain.renode.robot import KEYWORDS
from toolchain.renode.scripts import BUS, DEVICE, REQUEST, SELF

TEXT = (PROJECT / "docs" / "renode.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> dict[str, str]:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE))


def test_every_type_is_there_with_its_source() -> None:
    assert rows_of("Types of a platform") == {name: kind.source for name, kind in TYPES.items()}


def test_every_command_is_there_with_its_source() -> None:
    expected = {name: command.source for name, command in COMMANDS.items()}
    expected |= {" ".join(names): command.source for names, command in MEMBERS.items()}
    assert rows_of("Commands of the monitor") == expected


def test_every_keyword_is_there_with_its_source() -> None:
    expected = {name: keyword.source for name, keyword in KEYWORDS.items()}
    assert rows_of("Keywords of renode-test") == expected


def test_everything_that_scripts_may_use_is_there() -> None:
    section = TEXT.split("## What scripts use\n")[1].split("\n## ")[0]
    for owner, names in (("request.", REQUEST), ("self.", SELF), ("SystemBus.", BUS), ("", DEVICE)):
        for name in names:
            assert f"`{owner}{name}" in section, name


def test_the_release_is_the_pinned_one() -> None:
    version = load_pins(PROJECT / PINS_FILE).renode.version
    assert set(re.findall(r"\b1\.\d+\.\d+\b", TEXT)) == {version}
