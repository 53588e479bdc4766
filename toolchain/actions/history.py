"""What each step looked like when it was last up to date, to say what changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain.actions.action import PreparedAction
from toolchain.actions.action_cache import seconds_of
from toolchain.files import write_atomically

SCHEMA = "tinyml-toolchain/last-step/1"
_MOST_NAMED = 3


@dataclass(frozen=True)
class LastStep:
    """Everything that makes a step's key, in a form that can be compared.

    Attributes:
        inputs: sha256 by path, with a ``+x`` at the end where it is executable.
        seconds: how long its run took.
    """

    action: str
    image: str
    arguments: list[str]
    environment: dict[str, str]
    working_directory: str
    timeout_seconds: int
    outputs: list[str]
    inputs: dict[str, str]
    seconds: float


def describe(action: PreparedAction, seconds: float) -> LastStep:
    """Return what ``action`` looks like, and that its run took ``seconds``."""
    step = action.step
    return LastStep(
        action=action.digest.sha256,
        image=step.image,
        arguments=list(step.arguments),
        environment=step.full_environment,
        working_directory=step.working_directory,
        timeout_seconds=step.timeout_seconds,
        outputs=sorted(str(path) for path in step.outputs),
        inputs={
            str(path): file.digest.sha256 + ("+x" if file.is_executable else "")
            for path, file in action.tree.files.items()
        },
        seconds=seconds,
    )


class History:
    """The last form of each step.

    Args:
        folder: where the records are; made when the first one is written.
        project: root of the checkout: two checkouts that share a cache have a history each.
    """

    def __init__(self, folder: Path, project: Path) -> None:
        self._folder = folder
        self._project = project

    def path(self, step: str) -> Path:
        """Return where the record of the step called ``step`` is, or would be."""
        # A folder's name need not be text.
        key = os.fsencode(self._project) + b"\0" + step.encode()
        return self._folder / f"{hashlib.sha256(key).hexdigest()}.json"

    def last(self, step: str) -> LastStep | None:
        """Return the record of ``step``; ``None`` when there is none that can be understood."""
        try:
            document = json.loads(self.path(step).read_bytes())
            if document.pop("schema") != SCHEMA or document.pop("step") != step:
                return None
            last = LastStep(**document)
            seconds_of(last.seconds)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return (
            last if isinstance(last.environment, dict) and isinstance(last.inputs, dict) else None
        )

    def remember(self, action: PreparedAction, seconds: float) -> None:
        """Keep the form of a step that is up to date; write nothing when it is kept already.

        Args:
            action: the step, prepared.
            seconds: how long its run took.

        Raises:
            DiskFullError: there is no room.
        """
        name = action.step.name
        last = self.last(name)
        if last is not None and last.action == action.digest.sha256:
            return
        document = {"schema": SCHEMA, "step": name, **asdict(describe(action, seconds))}
        try:
            write_atomically(self.path(name), json.dumps(document, indent=1).encode() + b"\n")
        except OSError:
            # It only serves to explain: a build must not fail for it.
            return


def changes(last: LastStep | None, action: PreparedAction) -> tuple[str, ...]:
    """Return what differs between ``last`` and ``action``, one short clause each."""
    if last is None:
        return ("it has not run before",)
    now = describe(action, 0.0)
    if last.action == now.action:
        return ("its result is no longer in the cache",)
    found: list[str] = []
    if last.image != now.image:
        found.append(f"image changed to {now.image}")
    if last.arguments != now.arguments:
        found.append("its command line changed")
    found += _differences("variable", last.environment, now.environment)
    if last.working_directory != now.working_directory:
        found.append("its working directory changed")
    if last.timeout_seconds != now.timeout_seconds:
        found.append("its time limit changed")
    if last.outputs != now.outputs:
        found.append("its list of outputs changed")
    found += _differences("", last.inputs, now.inputs)
    return tuple(found) or ("the sandbox changed",)


def _differences(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    label = f"{kind} " if kind else ""
    found: list[str] = []
    for verb, names in (
        ("changed", {name for name in old.keys() & new.keys() if old[name] != new[name]}),
        ("is new", new.keys() - old.keys()),
        ("is gone", old.keys() - new.keys()),
    ):
        named = sorted(names)
        found += [f"{label}{name} {verb}" for name in named[:_MOST_NAMED]]
        if len(named) > _MOST_NAMED:
            found.append(f"and {len(named) - _MOST_NAMED} more {verb}")
    return found
