"""What the commands do, for programs: the same steps and checks, with values instead of text.

Everything is quiet unless a reporter is given, and failures are the classes of
``toolchain.errors``. Nothing here is imported before it is used::

    import toolchain

    (firmware,) = toolchain.build("sparkfun_edge")
    print(firmware.size.flash_used, firmware.image)
    (verified,) = toolchain.verify("sparkfun_edge", model="sine_int8")
    assert verified.passed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.commands.options import DEFAULT_BUILD_TYPE, DEFAULT_MODEL
from toolchain.console import PlainReporter, Reporter

if TYPE_CHECKING:
    from toolchain.commands.build import BuiltFirmware
    from toolchain.commands.session import Session
    from toolchain.commands.simulate import SimulatedRun
    from toolchain.commands.size import FirmwareSize
    from toolchain.commands.verify import Verified
    from toolchain.pipeline import Model

ALL = "all"
"""Every board."""


@contextmanager
def _session(engine: str, reporter: Reporter | None) -> Iterator[Session]:
    from toolchain.commands.session import chosen_engine, open_session

    place = chosen_engine(engine)
    with open_session(reporter or PlainReporter(quiet=True), engine=place) as session:
        yield session


def _model(model: str | Path, inputs: Path | None, representative: Path | None) -> Model:
    from toolchain.commands.options import chosen_model

    return chosen_model(str(model), str(representative or ""), str(inputs or ""))


def _built(
    session: Session, target: str, model: Model, build_type: str
) -> tuple[BuiltFirmware, ...]:
    from toolchain.commands.build import build as run
    from toolchain.commands.build import find_targets
    from toolchain.pipeline import find_build_type

    boards = find_targets(session.layout, target)
    return run(session, boards, model, find_build_type(build_type))


def build(
    target: str = ALL,
    *,
    model: str | Path = DEFAULT_MODEL,
    build_type: str = DEFAULT_BUILD_TYPE,
    inputs: Path | None = None,
    representative: Path | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> tuple[BuiltFirmware, ...]:
    """Make a flashable firmware for each board, as ``./invoke build`` does.

    Args:
        target: name of a board, or ``all``.
        model: a model of the project, or the path of a ``.tflite`` or ``.keras`` file.
        build_type: ``release``, ``release_with_logs``, ``default`` or ``debug``.
        inputs: ``.npy`` of inputs of a given model.
        representative: ``.npy`` from which a ``.keras`` file is quantised.
        engine: ``auto``, ``docker`` or ``host``.
        reporter: told what happens; nobody if not given.

    Raises:
        ToolchainError: the class says what went wrong.
    """
    chosen = _model(model, inputs, representative)
    with _session(engine, reporter) as session:
        return _built(session, target, chosen, build_type)


def simulate(
    target: str = ALL,
    *,
    model: str | Path = DEFAULT_MODEL,
    build_type: str = DEFAULT_BUILD_TYPE,
    inputs: Path | None = None,
    representative: Path | None = None,
    inferences: int | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> tuple[SimulatedRun, ...]:
    """Build, then run the flashable file of each board in the simulator.

    Args:
        target: name of a board, or ``all``; the others as ``build`` has them.
        model: see ``build``.
        build_type: see ``build``.
        inputs: see ``build``.
        representative: see ``build``.
        inferences: how many, 1 or more; None for 1,000, or each case of a given model once.
        engine: see ``build``.
        reporter: see ``build``.

    Raises:
        SimulationFaultError: the firmware did what the silicon would refuse.
        ToolchainError: the class says what else went wrong.
    """
    from toolchain.commands.simulate import simulate_all

    chosen = _model(model, inputs, representative)
    with _session(engine, reporter) as session:
        firmwares = _built(session, target, chosen, build_type)
    return simulate_all(firmwares, inferences)


def verify(
    target: str = ALL,
    *,
    model: str | Path = DEFAULT_MODEL,
    build_type: str = DEFAULT_BUILD_TYPE,
    inputs: Path | None = None,
    representative: Path | None = None,
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> tuple[Verified, ...]:
    """Build, simulate, and compare every output with the judge's.

    Args:
        target: name of a board, or ``all``; the others as ``build`` has them.
        model: see ``build``.
        build_type: see ``build``.
        inputs: see ``build``.
        representative: see ``build``.
        engine: see ``build``.
        reporter: see ``build``.

    Raises:
        VerificationError: the firmware computes something else than the model.
        ToolchainError: the class says what else went wrong.
    """
    from toolchain.commands.build import find_targets
    from toolchain.commands.verify import verify as run
    from toolchain.pipeline import find_build_type

    chosen = _model(model, inputs, representative)
    with _session(engine, reporter) as session:
        boards = find_targets(session.layout, target)
        return run(session, boards, [chosen], find_build_type(build_type))


def size(
    target: str = ALL,
    *,
    model: str | Path = DEFAULT_MODEL,
    build_type: str = DEFAULT_BUILD_TYPE,
    inputs: Path | None = None,
    representative: Path | None = None,
    compare: str = "",
    engine: str = "auto",
    reporter: Reporter | None = None,
) -> tuple[FirmwareSize, ...]:
    """Build, and tell what the bytes are for, down to the symbol.

    Args:
        target: name of a board, or ``all``; the others as ``build`` has them.
        model: see ``build``.
        build_type: see ``build``.
        inputs: see ``build``.
        representative: see ``build``.
        compare: folder of another build, or a commit; empty for no comparison.
        engine: see ``build``.
        reporter: see ``build``.

    Raises:
        ToolchainError: the class says what went wrong.
    """
    from toolchain.commands.size import firmware_sizes

    chosen = _model(model, inputs, representative)
    with _session(engine, reporter) as session:
        firmwares = _built(session, target, chosen, build_type)
        return firmware_sizes(session, firmwares, compare)
