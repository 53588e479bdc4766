"""Builds and verifies every firmware of a matrix; what fails is a row and stops nothing."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from toolchain.actions import Runner, Step
from toolchain.boards import board_names, find_targets
from toolchain.commands.verify import Verified, verify
from toolchain.commands.verify_cases import VerifiedCases
from toolchain.digest import Digest
from toolchain.errors import (
    CacheCorruptError,
    CancelledError,
    DiskFullError,
    EngineTooOldError,
    EngineUnavailableError,
    MatrixFailedError,
    NetworkError,
    PinsError,
    RemoteRefusedError,
    RemoteUnavailableError,
    ToolchainError,
    VerificationError,
)
from toolchain.layout import Layout
from toolchain.matrix.definition import Combination, Matrix, read_matrix
from toolchain.matrix.outcome import (
    MatrixReport,
    Outcome,
    outcome_path,
    read_outcome,
    write_outcome,
)
from toolchain.paths import user_path
from toolchain.release.origin import origin
from toolchain.session import Session

_FAMILIES_AT_ONCE = 8

# Of these the next row would die too.
_ENDS_ALL = (
    CacheCorruptError,
    CancelledError,
    DiskFullError,
    EngineTooOldError,
    EngineUnavailableError,
    NetworkError,
    PinsError,
    RemoteRefusedError,
    RemoteUnavailableError,
)


def find_matrix(layout: Layout, path: str) -> Matrix:
    """Read the matrix of a checkout's boards.

    Raises:
        UsageError: it cannot be used.
    """
    return read_matrix(user_path(path), board_names(layout.boards))


def run_matrix(session: Session, matrix: Matrix, *, again: bool = False) -> MatrixReport:
    """Build and verify each firmware of ``matrix``.

    Rows that an earlier run left under ``build/matrix/<name>`` are taken over where nothing that
    decides about them has changed. Steps of all the others are run first, side by side.

    Args:
        session: the open command.
        matrix: what to build.
        again: take nothing over.

    Raises:
        ToolchainError: something that hinders all rows; finished ones are kept.
    """
    started = time.monotonic()
    folder = session.layout.build / "matrix" / matrix.name
    tally = _Tally()
    inputs = {each.key: _inputs(session, each) for each in matrix.combinations}
    rows: dict[tuple[str, str, str], Outcome] = {}
    for each in matrix.combinations:
        kept = read_outcome(outcome_path(folder, each.key), inputs[each.key])
        if kept is not None and kept.verified and not again:
            rows[each.key] = kept
    if rows:
        session.reporter.note(f"{len(rows)} of {len(matrix.combinations)} stand there already")
    todo = [each for each in matrix.combinations if each.key not in rows]
    _run_what_all_need(session, todo, tally)

    def work(session: Session, each: Combination) -> None:
        outcome = _outcome(session, each, tally)
        write_outcome(outcome_path(folder, each.key), inputs[each.key], outcome)
        rows[each.key] = outcome
        session.reporter.step(
            f"{' '.join(each.key)}: {'verified' if outcome.verified else outcome.error}"
        )

    _work_on(session, todo, work)
    return MatrixReport(
        matrix.name,
        tuple(rows[each.key] for each in matrix.combinations),
        round(time.monotonic() - started, 3),
        tally.executed,
        tally.cached,
        dict(sorted(tally.places.items())),
    )


def require_all_verified(report: MatrixReport) -> None:
    """Raise ``MatrixFailedError`` unless every row is verified."""
    failed = report.failed
    if not failed:
        return
    first = failed[0]
    raise MatrixFailedError(
        f"{len(failed)} of {len(report.rows)} firmwares are not verified, such as "
        f"{first.model} for {first.target}: {first.message or first.error}",
        next_step="run one alone to read all of its message: ./invoke verify --target "
        f"{first.target} --model MODEL",
    )


def _work_on(
    session: Session, todo: Sequence[Combination], work: Callable[[Session, Combination], None]
) -> None:
    """Work on all rows: side by side where steps run elsewhere, but those of a network in turn.

    They share its folder under ``build/model``.
    """
    make_runner = session.make_runner
    if make_runner is None:
        for each in todo:
            work(session, each)
        return
    families: dict[str, list[Combination]] = {}
    for each in todo:
        families.setdefault(each.model.family, []).append(each)
    running: list[Runner] = []
    stopped = threading.Event()

    def family(rows: Sequence[Combination]) -> None:
        with make_runner() as runner:
            running.append(runner)
            for each in rows:
                if stopped.is_set():
                    return
                work(replace(session, runner=runner), each)

    with ThreadPoolExecutor(_FAMILIES_AT_ONCE) as pool:
        futures = [pool.submit(family, rows) for rows in families.values()]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stopped.set()
            for future in futures:
                future.cancel()
            for runner in running:
                runner.cancel()
            raise


class _Tally:
    """Counts each action once, however many rows need it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: set[Digest] = set()
        self.executed = 0
        self.cached = 0
        self.places: Counter[str] = Counter()

    def add(self, session: Session) -> None:
        with self._guard:
            for record in session.runner.records:
                if record.action in self._seen:
                    continue
                self._seen.add(record.action)
                if record.cached:
                    self.cached += 1
                else:
                    self.executed += 1
                    self.places[record.made_by.worker] += 1


def _run_what_all_need(session: Session, todo: Sequence[Combination], tally: _Tally) -> None:
    """Run the steps of all rows side by side; what fails fails again, alone, in its row."""
    steps: dict[str, Step] = {}
    for each in todo:
        boards = find_targets(session.layout.boards, each.target)
        arenas = {(each.target, each.model.name): each.arena_bytes} if each.arena_bytes else {}
        for step in session.pipeline.firmware_steps(
            boards, [each.model], each.build_type, tests=True, arenas=arenas
        ):
            steps.setdefault(step.name, step)
    failures = session.runner.run_what_can(list(steps.values()))
    tally.add(session)
    for error in failures.values():
        if isinstance(error, _ENDS_ALL):
            raise error


def _outcome(session: Session, each: Combination, tally: _Tally) -> Outcome:
    started = time.monotonic()
    model, target, build_type = each.model.name, each.target, each.build_type
    boards = find_targets(session.layout.boards, target)
    try:
        (verified,) = verify(session, boards, [each.model], build_type, each.arena_bytes)
    except _ENDS_ALL:
        raise
    except ToolchainError as error:
        tally.add(session)
        return Outcome(
            model,
            target,
            build_type,
            verified=False,
            error=type(error).__name__,
            exit_code=error.exit_code,
            message=error.what.splitlines()[0],
            seconds=round(time.monotonic() - started, 3),
        )
    tally.add(session)
    firmware = verified.firmware
    return Outcome(
        model,
        target,
        build_type,
        verified=verified.passed,
        error="" if verified.passed else VerificationError.__name__,
        flash_bytes=firmware.size.flash_used,
        ram_bytes=firmware.size.ram_used,
        arena_bytes=firmware.arena.size_bytes if firmware.arena else 0,
        instructions=_instructions(verified),
        image_sha256=verified.image_sha256,
        seconds=round(time.monotonic() - started, 3),
    )


def _instructions(verified: Verified) -> int:
    if isinstance(verified, VerifiedCases):
        return verified.median_instructions
    return round(verified.instructions / verified.comparison.cases)


def _inputs(session: Session, each: Combination) -> str:
    """Return the sha256 over everything that decides about a row."""
    boards = find_targets(session.layout.boards, each.target)
    made_of = origin(session, boards, each.model, each.build_type)
    given = each.model.given
    files = [given.file, given.representative, given.inputs] if given else []
    described = {
        "pins": dict(made_of.pins),
        "images": [image.content_sha256 for image in made_of.images],
        "sources": dict(made_of.sources),
        "given": [Digest.of_file(file).sha256 if file else "" for file in files],
        "arena": each.arena_bytes,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
