"""What the commands do, for programs: the same steps and checks, with values instead of text.

Everything is quiet unless a reporter is given, and failures are the classes of
``toolchain.errors``. Nothing here is imported before it is used::

    import toolchain

    for firmware in toolchain.build(model="sine_int8"):
        print(firmware.board.title, firmware.size.flash_used, firmware.image)
    assert all(each.passed for each in toolchain.verify(model="sine_int8"))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from toolchain.console import PlainReporter, Reporter
from toolchain.models import DEFAULT_BUILD_TYPE, DEFAULT_MODEL

if TYPE_CHECKING:
    from toolchain.boards import Board
    from toolchain.building.built import BuiltFirmware
    from toolchain.commands.simulate import SimulatedRun
    from toolchain.commands.size import FirmwareSize
    from toolchain.commands.verify import Verified
    from toolchain.models import BuildType, Model
    from toolchain.session import Session

ALL = "all"
"""Every board."""


class Options(TypedDict, total=False):
    """What every function takes by name; another name is a ``TypeError``.

    Attributes:
        model: a model of the project, or the path of a ``.tflite`` or ``.keras`` file.
        build_type: ``release``, ``release_with_logs``, ``default`` or ``debug``.
        inputs: ``.npy`` of inputs of a given model.
        representative: ``.npy`` from which a ``.keras`` file is quantised.
        engine: ``auto``, ``docker`` or ``host``.
        reporter: told what happens; nobody if not given.
    """

    model: str | Path
    build_type: str
    inputs: Path
    representative: Path
    engine: str
    reporter: Reporter


@dataclass(frozen=True)
class _Job:
    session: Session
    boards: tuple[Board, ...]
    model: Model
    build_type: BuildType

    def build(self) -> tuple[BuiltFirmware, ...]:
        from toolchain.commands.build import build as run

        return run(self.session, self.boards, self.model, self.build_type)


@contextmanager
def _job(target: str, options: Options) -> Iterator[_Job]:
    from toolchain.boards import find_targets
    from toolchain.model_choice import chosen_model
    from toolchain.models import find_build_type
    from toolchain.session import chosen_engine, open_session

    unknown = options.keys() - Options.__annotations__
    if unknown:
        # Whoever checks types is told before; without that, a misspelt option would do nothing.
        raise TypeError(
            f"there is no option {', '.join(sorted(unknown))}; "
            f"there are {', '.join(Options.__annotations__)}"
        )
    model = chosen_model(
        str(options.get("model", DEFAULT_MODEL)),
        str(options.get("representative", "")),
        str(options.get("inputs", "")),
    )
    build_type = find_build_type(options.get("build_type", DEFAULT_BUILD_TYPE))
    place = chosen_engine(options.get("engine", "auto"))
    reporter = options.get("reporter") or PlainReporter(quiet=True)
    with open_session(reporter, engine=place) as session:
        yield _Job(session, find_targets(session.layout.boards, target), model, build_type)


def build(target: str = ALL, **options: Unpack[Options]) -> tuple[BuiltFirmware, ...]:
    """Make a flashable firmware for each board, as ``./invoke build`` does.

    Args:
        target: name of a board, or ``all``.
        options: see ``Options``.

    Raises:
        ToolchainError: the class says what went wrong.
    """
    with _job(target, options) as job:
        return job.build()


def simulate(
    target: str = ALL, *, inferences: int | None = None, **options: Unpack[Options]
) -> tuple[SimulatedRun, ...]:
    """Build, then run the flashable file of each board in the simulator.

    Args:
        target: name of a board, or ``all``.
        inferences: how many, 1 or more; None for 1,000, or each case of a given model once.
        options: see ``Options``.

    Raises:
        SimulationFaultError: the firmware did what the silicon would refuse.
        ToolchainError: the class says what else went wrong.
    """
    from toolchain.commands.simulate import simulate_all

    with _job(target, options) as job:
        firmwares = job.build()
    return simulate_all(firmwares, inferences)


def verify(target: str = ALL, **options: Unpack[Options]) -> tuple[Verified, ...]:
    """Build, simulate, and compare every output with the judge's.

    Args:
        target: name of a board, or ``all``.
        options: see ``Options``.

    Raises:
        VerificationError: the firmware computes something else than the model.
        ToolchainError: the class says what else went wrong.
    """
    from toolchain.commands.verify import verify as run

    with _job(target, options) as job:
        return run(job.session, job.boards, [job.model], job.build_type)


def size(
    target: str = ALL, *, compare: str = "", **options: Unpack[Options]
) -> tuple[FirmwareSize, ...]:
    """Build, and tell what the bytes are for, down to the symbol.

    Args:
        target: name of a board, or ``all``.
        compare: folder of another build, or a commit; empty for no comparison.
        options: see ``Options``.

    Raises:
        ToolchainError: the class says what went wrong.
    """
    from toolchain.commands.size import firmware_sizes

    with _job(target, options) as job:
        return firmware_sizes(job.session, job.build(), compare)
