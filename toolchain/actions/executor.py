"""The interfaces behind which a step's command is run, and its result is shared with others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from toolchain.digest import Digest

if TYPE_CHECKING:
    from toolchain.actions.action import PreparedAction
    from toolchain.actions.action_cache import ActionResult
    from toolchain.actions.model import Maker


@dataclass(frozen=True)
class Execution:
    """What running an action came to.

    Attributes:
        outputs: the digest of each of the step's outputs, by path relative to ``/out``; every blob
            is in the store.
        made_by: what is to be kept of how and where it ran.
    """

    outputs: Mapping[PurePosixPath, Digest]
    made_by: Maker


class Executor(Protocol):
    """Runs actions; ``run`` is called from several threads at once."""

    def prepare(self, images: Collection[str]) -> None:
        """Make images available; called by the main thread before the first step that uses each.

        Raises:
            ToolchainError: one is not there and cannot be had.
        """

    def run(self, action: PreparedAction, progress: Callable[[str], None]) -> Execution:
        """Run ``action`` and put its outputs into the store.

        Args:
            action: the step and its input tree.
            progress: called now and then with the last line that the command wrote.

        Raises:
            StepFailedError: the command failed, or an output is missing or no regular file.
            StepTimeoutError: it ran longer than it may.
            UnsupportedModelError: the command said so, see ``toolchain.actions.failure``.
            DiskFullError: no space is left.
            CancelledError: ``cancel`` was called.
        """

    def cancel(self) -> None:
        """End every running action as soon as possible; from now on ``run`` refuses to start."""

    def close(self) -> None:
        """Let go of everything held."""


class SharedCache(Protocol):
    """An action cache that others share; never fails a build, and is called from several threads.

    Whatever it cannot do it says once, and then does without.
    """

    def look_up(self, action: PreparedAction) -> ActionResult | None:
        """Return the result of ``action`` if it is known, every output in the local store.

        Raises:
            DiskFullError: no space is left here.
            CancelledError: ``cancel`` was called.
        """

    def keep(self, action: PreparedAction, result: ActionResult) -> None:
        """Offer a result that was made here; its outputs and messages are in the local store."""

    def cancel(self) -> None:
        """End every transfer as soon as possible."""

    def close(self) -> None:
        """Let go of everything held."""
