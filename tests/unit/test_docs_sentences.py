"""Commands, options and files that the documentation names in its sentences.

The commands of its code blocks are run by ``tests/blackbox/test_docs.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.blackbox.test_docs import MAY_END_WITH, NOT_RUN
from tests.unit.commands_support import PROJECT
from toolchain.cli.completion import Task, described

PAGES = sorted(
    page.relative_to(PROJECT).as_posix()
    for page in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
    # It tells of what was, too.
    if page.name != "CHANGELOG.md"
)
ANYWHERE = {"--help", "--verbose", "--debug"}
"""Options of every task."""

ALONE = {"--list", "--version"}
"""Options of ``./invoke`` without a task."""

OTHERS = {
    "docs/ARCHITECTURE.md": {"--isolate"},
    "docs/renode.md": {"--console --plain --disable-gui --config FILE -e COMMAND"},
}
"""Options of other programs that stand alone, by page."""

MADE = {"docker/shared-images.json"}
"""Files that are there only after a command has made them."""


def tasks() -> dict[str, Task]:
    return {task.name: task for task in described()}


def spans(text: str) -> Iterator[str]:
    """Yield what stands between backquotes in a page's sentences and tables."""
    sentences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", sentences):
        yield " ".join(span.split())


def names(task: Task) -> set[str]:
    short = {f"-{option.short}" for option in task.options if option.short}
    return {f"--{option.name}" for option in task.options} | short


def unknown(text: str) -> list[str]:
    """Return the commands and options of a page's sentences that do not exist."""
    known = tasks()
    every = ANYWHERE | ALONE | {name for task in known.values() for name in names(task)}
    found = []
    for span in spans(text):
        words = span.split()
        options = {word.partition("=")[0].rstrip(",.;:") for word in words if word.startswith("-")}
        if words[0] == "./invoke" and len(words) > 1 and not words[1].startswith("-"):
            task = known.get("-".join(words[1:3])) or known.get(words[1])
            if task is None or options - names(task) - ANYWHERE:
                found.append(span)
        elif (words[0] == "./invoke" or words[0].startswith("--")) and options - every:
            found.append(span)
    return found


def test_what_does_not_exist_is_found() -> None:
    text = (
        "Use `./invoke build --target=all -m x` or `./invoke remote\nup --workers 2`, `--json`, "
        "`./invoke --list` and `./invoke clean --help`.\n"
        "```sh\n./invoke biuld `--tagret`\n```\n"
        "Not `./invoke biuld`, `./invoke clean --workers 2`, `--tagret x` or `./invoke --lsit`.\n"
    )
    assert unknown(text) == [
        "./invoke biuld",
        "./invoke clean --workers 2",
        "--tagret x",
        "./invoke --lsit",
    ]


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_in_sentences_exist(name: str) -> None:
    found = unknown((PROJECT / name).read_text(encoding="utf-8"))
    assert set(found) == OTHERS.get(name, set())


@pytest.mark.parametrize("name", PAGES)
def test_files_of_the_project_that_are_named_exist(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    folders = "|".join(
        path.name for path in PROJECT.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    for span in spans(text):
        if (
            span not in MADE
            and re.fullmatch(rf"(?:{folders})/[\w/.-]+\.\w+", span)
            and not re.match(r"build|dist", span)
        ):
            assert (PROJECT / span).exists(), span


def test_the_pages_name_commands_and_options() -> None:
    assert len(PAGES) > 20
    texts = [(PROJECT / name).read_text(encoding="utf-8") for name in PAGES]
    named = [span for text in texts for span in spans(text) if span.startswith(("./invoke", "--"))]
    assert len(named) > 100


def test_the_tests_that_run_a_command_elsewhere_exist() -> None:
    folders = (PROJECT / "tests" / "blackbox", PROJECT)
    pointed = [path for reason in NOT_RUN.values() for path in re.findall(r"[\w/*]+\.py", reason)]
    assert pointed
    for path in pointed:
        assert any(list(folder.glob(path)) for folder in folders), path
    assert set(MAY_END_WITH).isdisjoint(NOT_RUN)
