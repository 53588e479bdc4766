"""The command line: Invoke's program, with this project's messages and nobody's settings.

Invoke parses the words and calls the task. What it cannot parse is told here as every other wrong
argument is: what happened, what was meant perhaps, what to type next.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.config import Config
from invoke.exceptions import Exit, ParseError
from invoke.parser.context import ParserContext
from invoke.program import Program

from toolchain.cli.failure import DEBUG_VARIABLE, failure_document, output_failure
from toolchain.console import VERBOSE_VARIABLE
from toolchain.errors import CancelledError, UsageError

READER_GONE = 141
"""Exit code of a program whose reader closed the pipe, as shells report SIGPIPE."""

EVERYWHERE = {"--verbose": VERBOSE_VARIABLE, "--debug": DEBUG_VARIABLE}
"""Options that every task takes, and the variables that do the same."""

_UNKNOWN = re.compile(r"No idea what (['\"])(?P<word>.*)\1 is!", re.DOTALL)
_MISSING = re.compile(r"'(?P<task>.*)' did not receive .*: (?P<names>.*)", re.DOTALL)
_MISUSED = (
    (r"Flag <Argument: (?P<word>[^\s>]+).*needed value", "--{word} of {where} lacks its value"),
    (r"Flag <Argument: (?P<word>[^\s>]+).*take any value", "--{word} of {where} takes no value"),
    (
        r"['\"](?P<word>.*)['\"] is ambiguous",
        "'{word}' can be a value of the option before it, or a task: write the option with =",
    ),
)
"""What Invoke says of an option, and what is said instead."""


class _OwnSettings(Config):
    """Invoke's defaults alone: its files and variables could rename tasks and options."""

    def load_system(self, merge: bool = True) -> None:
        """Read nothing."""

    def load_user(self, merge: bool = True) -> None:
        """Read nothing."""

    def load_project(self, merge: bool = True) -> None:
        """Read nothing."""

    def load_runtime(self, merge: bool = True) -> None:
        """Read nothing."""

    def load_shell_env(self) -> None:
        """Read nothing."""


class _Command(Program):
    def parse_core(self, argv: list[str] | None) -> None:
        with self._told():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with self._told():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        with self._told():
            super().parse_cleanup()

    def no_tasks_given(self) -> None:
        """Show the tasks: whoever types the command alone wants to know what it can do."""
        self.list_tasks()
        raise Exit

    def print_version(self) -> None:
        """Show the version that a release of this checkout would have."""
        from toolchain.release.version import chosen_version

        root = Path(str(self.args["search-root"].value))
        print(f"{self.name} {chosen_version(root, '')}")

    def print_task_help(self, name: str) -> None:
        """Show what a task does and each of its options."""
        options = self.parser.contexts[name].help_tuples()
        print(f"Usage: {self.binary} {name}{' [options]' if options else ''}\n")
        for line in (inspect.getdoc(self.collection[name]) or "").splitlines():
            print(f"{self.leading_indent}{line}".rstrip())
        print("\nOptions:")
        if options:
            self.print_columns(options)
        else:
            print(f"{self.leading_indent}none\n")
        print("Every task takes --verbose, for details, and --debug, for where a failure happened.")

    @contextmanager
    def _told(self) -> Iterator[None]:
        with _written(), self._refused():
            yield

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            tasks = self.parser.contexts if hasattr(self, "parser") else {}
            usage = usage_error(str(error), error.context, list(tasks))
            if "--json" in self.argv:
                print(failure_document(usage))
            raise Exit(f"error: {usage}", code=usage.exit_code) from error


@contextmanager
def _written() -> Iterator[None]:
    """Tell of a list or help that standard output does not take; tasks use ``show``."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        # Python would flush, and fail, once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failure = output_failure(error)
        raise Exit(f"error: {failure}", code=failure.exit_code) from error


def usage_error(message: str, context: ParserContext | None, tasks: Iterable[str]) -> UsageError:
    """Return the error for what Invoke's parser refused.

    Args:
        message: the parser's own.
        context: the task whose words were parsed; None or nameless before the first task.
        tasks: names of all tasks.
    """
    task = (context.name if context else None) or ""
    where = f"./invoke {task}".strip()
    options = f"{where} --help lists the options" if task else "./invoke --list shows the tasks"
    if match := _UNKNOWN.fullmatch(message):
        return _unknown(match["word"], context, tasks, where, options)
    if match := _MISSING.match(message):
        names = match["names"].replace("'", "").upper()
        return UsageError(
            f"./invoke {match['task']} needs {names}",
            next_step=f"./invoke {match['task']} {names}; ./invoke --help {match['task']} "
            "says what that is",
        )
    for pattern, said in _MISUSED:
        if match := re.match(pattern, message, re.DOTALL):
            return UsageError(said.format(word=match["word"], where=where), next_step=options)
    return UsageError(message, next_step=options)


def _unknown(
    word: str, context: ParserContext | None, tasks: Iterable[str], where: str, options: str
) -> UsageError:
    if word.startswith("-"):
        known = context.flags if context else ()
        meant = _close(word.partition("=")[0], known)
        return UsageError(f"{where} has no option {word}", why=_ask(meant), next_step=options)
    meant = _close(word, tasks)
    if context and context.name and not meant:
        return UsageError(
            f"{where} takes no argument '{word}'",
            why="a value stands right after its option, and only once",
            next_step=options,
        )
    return UsageError(
        f"there is no task '{word}'",
        why=_ask(meant),
        next_step="./invoke --list shows the tasks",
    )


def _ask(meant: list[str]) -> str:
    return f"did you mean '{meant[0]}'?" if meant else ""


def _close(word: str, known: Iterable[str]) -> list[str]:
    # Short options resemble each other too much.
    names = [name for name in known if not name.startswith("-") or name.startswith("--")]
    return difflib.get_close_matches(word, names, n=1, cutoff=0.7)


def main() -> None:
    """Run the command line ``[program, root of the checkout, word, ...]`` of this process."""
    root, *words = sys.argv[1:]
    for option, variable in EVERYWHERE.items():
        if option in words:
            words = [word for word in words if word != option]
            os.environ[variable] = "1"
    program = _Command(name="TinyML toolchain", binary="./invoke", config_class=_OwnSettings)
    try:
        try:
            program.run(["./invoke", "--search-root", root, *words])
        finally:
            with _written():
                sys.stdout.flush()
    except Exit as end:
        print(end.message, file=sys.stderr)
        sys.exit(end.code)
    except KeyboardInterrupt:
        stopped = CancelledError("stopped")
        print(f"error: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. Python would flush, and fail, once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
