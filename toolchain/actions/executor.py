"""The interface behind which a step's command is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from toolchain.digest import Digest

if TYPE_CHECKING:
    from toolchain.actions.action import PreparedAction
    from toolchain.actions.model import Maker


class Executor(Protocol):
    """Runs actions; ``run`` is called from several threads at once."""

    def made_by(self, image: str) -> Maker:
        """Return what is to be kept of how a step of ``image`` was run."""

    def prepare(self, image: str) -> None:
        """Make ``image`` available; called by the main thread before the first step that uses it.

        Raises:
            ToolchainError: it is not there and cannot be had.
        """

    def run(
        self, action: PreparedAction, progress: Callable[[str], None]
    ) -> Mapping[PurePosixPath, Digest]:
        """Run ``action`` and put its outputs into the store.

        Args:
            action: the step and its input tree.
            progress: called now and then with the last line that the command wrote.

        Returns:
            The digest of each of the step's outputs, by path relative to ``/out``.

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
