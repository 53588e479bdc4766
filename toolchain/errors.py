"""Every error a user can meet: one class per kind, each with its own exit code.

A message answers three questions: what happened, why it probably did, and what to do next.
Exit codes 0 to 9 are left to the shell, Python and Invoke. ``docs/reference/errors.md`` is made of
the classes here.
"""

from __future__ import annotations

from typing import ClassVar


class ToolchainError(Exception):
    """Base of all expected failures.

    Args:
        what: what happened, one sentence.
        why: the probable cause, one sentence; empty when ``what`` already says it.
        next_step: what the user can do, naming commands where there are any.

    Attributes:
        exit_code: of the command; a class of its own for each.
        cure: what helps in general; ``next_step`` says it for the case at hand.
    """

    exit_code: ClassVar[int] = 9
    cure: ClassVar[str] = "Do what the message says; TOOLCHAIN_DEBUG=1 shows where it happened."

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
    cure = "Name one of the boards that ./invoke targets lists, or all."


class EngineUnavailableError(ToolchainError):
    """No Docker Engine answers and none may or can be started."""

    exit_code = 11
    cure = (
        "Start or install Docker as the message says, or use --engine host with the pinned tools."
    )


class EngineTooOldError(ToolchainError):
    """The Docker Engine speaks an API older than the pinned minimum."""

    exit_code = 12
    cure = "Install a newer Docker Engine."


class NetworkError(ToolchainError):
    """A fetch stage could not reach the registry or mirror that it needs."""

    exit_code = 13
    cure = "Look at proxy and certificate settings; or build from an offline bundle."


class DigestMismatchError(ToolchainError):
    """Something fetched is not what was pinned; nothing of it is used."""

    exit_code = 14
    cure = (
        "Run the command again; if it stays, the registry or a proxy gives out something "
        "else: do not use it."
    )


class PinnedPackageGoneError(ToolchainError):
    """The mirror no longer offers a pinned version."""

    exit_code = 15
    cure = (
        "Take the current versions with ./invoke pins --update, or build from a bundle "
        "that has the old ones."
    )


class DiskFullError(ToolchainError):
    """Too little disk space to go on safely."""

    exit_code = 16
    cure = (
        "Free some space, or put the cache elsewhere with TOOLCHAIN_CACHE; what was "
        "finished is kept."
    )


class ImageBuildError(ToolchainError):
    """A container image could not be built from inputs that were all fetched."""

    exit_code = 17
    cure = "Read the log's last lines in the message; inputs were all checked, so report it."


class StepFailedError(ToolchainError):
    """A sandboxed step ended with an error."""

    exit_code = 18
    cure = "Read the tool's own words in the message and in the log that it names."


class StepTimeoutError(ToolchainError):
    """A sandboxed step ran longer than it may."""

    exit_code = 19
    cure = "Run it again on a less busy machine."


class FirmwareDoesNotFitError(ToolchainError):
    """The linked firmware is larger than the part's flash or RAM."""

    exit_code = 20
    cure = (
        "Make model or arena smaller, or use --build-type release; ./invoke size tells "
        "what the bytes are for."
    )


class FirmwareInvalidError(ToolchainError):
    """The built artifact is not what the board's boot code would start."""

    exit_code = 21
    cure = "Compare startup code and linker script with board.toml."


class SimulationFaultError(ToolchainError):
    """The firmware did what the silicon would refuse."""

    exit_code = 22
    cure = (
        "Mend the line that the message names: the chip would refuse it, or do something undefined."
    )


class SimulationIncompleteError(ToolchainError):
    """The simulated firmware did not do what was waited for within its instruction budget."""

    exit_code = 23
    cure = (
        "Look at the console in the message: where it ends the firmware waits, or "
        "computes in circles."
    )


class VerificationError(ToolchainError):
    """The firmware computes something else than the model."""

    exit_code = 24
    cure = "Compare what verify.json says of the first outputs that differ."


class BoardDescriptionError(ToolchainError):
    """A ``board.toml`` is missing, malformed or contradicts itself."""

    exit_code = 25
    cure = "Mend the line of board.toml that the message names."


class PinsError(ToolchainError):
    """``pins.toml`` or one of its locks is malformed or stale."""

    exit_code = 26
    cure = (
        "Restore pins.toml and the locks from git, or make the locks anew with ./invoke "
        "pins --update."
    )


class UnsupportedModelError(ToolchainError):
    """The model needs something that the pinned TensorFlow Lite Micro tree does not have."""

    exit_code = 27
    cure = "Change or convert the model as the message says."


class CacheCorruptError(ToolchainError):
    """An entry of the local store is not what its digest says and could not be replaced."""

    exit_code = 28
    cure = "Run the command again; if it stays, ./invoke clean --cache makes everything anew."


class UsageError(ToolchainError):
    """An option has a value that cannot be used."""

    exit_code = 29
    cure = "Give the option a value that the message lists."


class FlashError(ToolchainError):
    """The board did not take the firmware; what it holds now may be incomplete."""

    exit_code = 30
    cure = "Reset the board as FLASHING.md says, and flash again."


class ImageRefusedError(ToolchainError):
    """The file is not for this board, or is damaged; nothing was sent."""

    exit_code = 31
    cure = "Build the file for this board, and flash that."


class DeviceNotFoundError(ToolchainError):
    """No connected device can be the board, or several can."""

    exit_code = 32
    cure = "Connect the board, or name its port with --port."


class DeviceAccessError(ToolchainError):
    """The board's serial port or volume cannot be opened."""

    exit_code = 33
    cure = "Give your user access to the port, or close the program that has it."


class FlashToolError(ToolchainError):
    """The program that writes to the board is missing or is the wrong one."""

    exit_code = 34
    cure = "Install the program that the message names, or choose another way with --tool."


class UnusableDataError(ToolchainError):
    """Inputs or a representative data set do not fit the model."""

    exit_code = 35
    cure = "Give data of the model's shape and type."


class ProblemsFoundError(ToolchainError):
    """``./invoke doctor`` found something that hinders a build."""

    exit_code = 36
    cure = "Do what the list says beside each problem."


class UnpinnedToolError(ToolchainError):
    """The host engine's compiler or Python is missing, or is not the pinned one."""

    exit_code = 37
    cure = (
        "Use --engine docker, install the pinned tool, or --allow-unpinned for firmware "
        "with other bytes."
    )


class NotReproducibleError(ToolchainError):
    """The same inputs gave different bytes where only the surroundings differed."""

    exit_code = 38
    cure = (
        "Look at the section and symbol that the message names: something of the "
        "surroundings gets into them."
    )


class SimulatorUnavailableError(ToolchainError):
    """The simulator that was asked for is not on this computer, or does not start."""

    exit_code = 39
    cure = "Use --simulator unicorn, or have Renode as the message says."


class MatrixFailedError(ToolchainError):
    """A firmware of a matrix could not be built, or is not verified; the others were worked on."""

    exit_code = 40
    cure = "Look at the rows that failed; the next run takes over the others."


class ReleaseInvalidError(ToolchainError):
    """A release is not what it says it is: a file, a field or a digest disagrees with another."""

    exit_code = 44
    cure = "Do not use the release; fetch it again from whom you trust."


class RemoteUnavailableError(ToolchainError):
    """A remote executor does not answer, or went away and did not come back."""

    exit_code = 45
    cure = (
        "Look whether the service runs, or build without --remote-executor: the keys are the same."
    )


class RemoteRefusedError(ToolchainError):
    """A remote service does not let us in: the token is missing, wrong, expired or not enough."""

    exit_code = 46
    cure = (
        "Get a new token from whoever runs the service, and name its file with --remote-token-file."
    )


class RemoteExecutionError(ToolchainError):
    """A remote executor could not run an action, or no worker took it in time."""

    exit_code = 47
    cure = "Look at the service's workers: they may be gone, or have the images of another commit."


class WorkerError(ToolchainError):
    """A worker cannot begin or go on: its name is taken, or this machine cannot run actions."""

    exit_code = 48
    cure = "Give it another name, or what the message says that it lacks."


class DocumentationError(ToolchainError):
    """A page of the documentation has a mistake, such as a link that leads nowhere."""

    exit_code = 49
    cure = "Mend the page that the message names."


class RemoteServiceError(ToolchainError):
    """The remote service that ``./invoke remote up`` runs cannot be started, or has ended."""

    exit_code = 50
    cure = "Read what its parts say in ./invoke remote logs."


class CancelledError(ToolchainError):
    """The user stopped the command; containers are gone and outputs are untouched."""

    exit_code = 130
    cure = "Run the command again; what was finished is kept."
