"""Every error a user can meet: one class per kind, each with its own exit code.

A message answers three questions: what happened, why it probably did, and what to do next.
Exit codes 0 to 9 are left to the shell, Python and Invoke.
"""

from __future__ import annotations

from typing import ClassVar


class ToolchainError(Exception):
    """Base of all expected failures.

    Args:
        what: what happened, one sentence.
        why: the probable cause, one sentence; empty when ``what`` already says it.
        next_step: what the user can do, naming commands where there are any.
    """

    exit_code: ClassVar[int] = 9

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        super().__init__(self.render())

    def render(self) -> str:
        """Return the message as up to three labelled lines."""
        lines = [self.what]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class UnknownTargetError(ToolchainError):
    """The named board does not exist under ``boards/``."""

    exit_code = 10


class EngineUnavailableError(ToolchainError):
    """No Docker Engine answers and none may or can be started."""

    exit_code = 11


class EngineTooOldError(ToolchainError):
    """The Docker Engine speaks an API older than the pinned minimum."""

    exit_code = 12


class NetworkError(ToolchainError):
    """A fetch stage could not reach the registry or mirror that it needs."""

    exit_code = 13


class DigestMismatchError(ToolchainError):
    """Something fetched is not what was pinned; nothing of it is used."""

    exit_code = 14


class PinnedPackageGoneError(ToolchainError):
    """The mirror no longer offers a pinned version."""

    exit_code = 15


class DiskFullError(ToolchainError):
    """Too little disk space to go on safely."""

    exit_code = 16


class ImageBuildError(ToolchainError):
    """A container image could not be built from inputs that were all fetched."""

    exit_code = 17


class StepFailedError(ToolchainError):
    """A sandboxed step ended with an error."""

    exit_code = 18


class StepTimeoutError(ToolchainError):
    """A sandboxed step ran longer than it may."""

    exit_code = 19


class FirmwareDoesNotFitError(ToolchainError):
    """The linked firmware is larger than the part's flash or RAM."""

    exit_code = 20


class FirmwareInvalidError(ToolchainError):
    """The built artifact is not what the board's boot code would start."""

    exit_code = 21


class SimulationFaultError(ToolchainError):
    """The firmware did what the silicon would refuse."""

    exit_code = 22


class SimulationIncompleteError(ToolchainError):
    """The simulated firmware did not do what was waited for within its instruction budget."""

    exit_code = 23


class VerificationError(ToolchainError):
    """The firmware computes something else than the model."""

    exit_code = 24


class BoardDescriptionError(ToolchainError):
    """A ``board.toml`` is missing, malformed or contradicts itself."""

    exit_code = 25


class PinsError(ToolchainError):
    """``pins.toml`` or one of its locks is malformed or stale."""

    exit_code = 26


class UnsupportedModelError(ToolchainError):
    """The model needs something that the pinned TensorFlow Lite Micro tree does not have."""

    exit_code = 27


class CacheCorruptError(ToolchainError):
    """An entry of the local store is not what its digest says and could not be replaced."""

    exit_code = 28


class UsageError(ToolchainError):
    """An option has a value that cannot be used."""

    exit_code = 29


class FlashError(ToolchainError):
    """The board did not take the firmware; what it holds now may be incomplete."""

    exit_code = 30


class ImageRefusedError(ToolchainError):
    """The file is not for this board, or is damaged; nothing was sent."""

    exit_code = 31


class DeviceNotFoundError(ToolchainError):
    """No connected device can be the board, or several can."""

    exit_code = 32


class DeviceAccessError(ToolchainError):
    """The board's serial port or volume cannot be opened."""

    exit_code = 33


class FlashToolError(ToolchainError):
    """The program that writes to the board is missing or is the wrong one."""

    exit_code = 34


class UnusableDataError(ToolchainError):
    """Inputs or a representative data set do not fit the model."""

    exit_code = 35


class UnpinnedToolError(ToolchainError):
    """The host engine's compiler or Python is missing, or is not the pinned one."""

    exit_code = 37


class NotReproducibleError(ToolchainError):
    """The same inputs gave different bytes where only the surroundings differed."""

    exit_code = 38


class SimulatorUnavailableError(ToolchainError):
    """The simulator that was asked for is not on this computer, or does not start."""

    exit_code = 39


class ReleaseInvalidError(ToolchainError):
    """A release is not what it says it is: a file, a field or a digest disagrees with another."""

    exit_code = 44


class CancelledError(ToolchainError):
    """The user stopped the command; containers are gone and outputs are untouched."""

    exit_code = 130
