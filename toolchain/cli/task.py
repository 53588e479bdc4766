"""Makes Invoke's tasks of functions whose options stand in groups, and whose failures are ours."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from toolchain.cli.failure import DEBUG_VARIABLE, failure_document, system_failure
from toolchain.cli.option_groups import LONG_ONLY, flattened
from toolchain.cli.printing import show
from toolchain.errors import CancelledError, ToolchainError


class TaskOfGroups(Task[Callable[..., None]]):
    """A task some of whose options have a long name only."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options as Invoke makes them, without the letters that are not wanted."""
        # Invoke takes each text out of the task when it is asked the first time.
        texts = dict(self.help)
        made = super().get_arguments(ignore_unknown_help)
        self.help = texts
        for argument in made:
            # -h asks for help, of every task.
            letters = argument.attr_name not in LONG_ONLY
            argument.names = tuple(
                name for name in argument.names if len(name) > 1 or (letters and name != "h")
            )
        return made


def task(
    *,
    help: Mapping[str, str],
    positional: Sequence[str] | None = None,
    iterable: Sequence[str] | None = None,
) -> Callable[[Callable[..., None]], TaskOfGroups]:
    """Make a task of a function.

    Args:
        help: what each option of its own is; groups of options have theirs.
        positional: options that are given without their names.
        iterable: options that may be given several times.
    """

    def make(function: Callable[..., None]) -> TaskOfGroups:
        body, texts = flattened(function)
        made: TaskOfGroups = invoke_task(
            klass=TaskOfGroups,
            positional=positional,
            iterable=iterable,
            help={**texts, **help},
        )(with_exit_codes(body))
        return made

    return make


def with_exit_codes(function: Callable[..., None]) -> Callable[..., None]:
    """Turn expected failures of a task into their message, or document, and exit code."""

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except ToolchainError as error:
            raise _exit(error, bool(options.get("json"))) from error
        except KeyboardInterrupt:
            raise _exit(CancelledError("stopped"), bool(options.get("json"))) from None
        except OSError as error:
            failure = system_failure(error)
            if failure is None:
                raise
            raise _exit(failure, bool(options.get("json"))) from error

    return run


def _exit(error: ToolchainError, as_json: bool) -> Exit:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    if as_json:
        show(failure_document(error))
    return Exit(f"error: {error}", code=error.exit_code)


def end_with(check: Callable[[], None]) -> None:
    """End with what a check of the result finds; the result itself is told already.

    With ``--json`` that was the one document, so that the failure is told as text.

    Raises:
        Exit: the check raised a ``ToolchainError``.
    """
    try:
        check()
    except ToolchainError as error:
        raise Exit(f"error: {error}", code=error.exit_code) from error
