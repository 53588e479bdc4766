"""Runs a graph of steps: what is known is taken from the cache, the rest side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from toolchain.actions.action import PreparedAction, prepare_action
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.executor import Executor, SharedCache
from toolchain.actions.graph import order, references
from toolchain.actions.history import History, changes
from toolchain.actions.model import (
    OutputOf,
    PlannedStep,
    RunRecord,
    Step,
    StepResult,
)
from toolchain.actions.signals import Signals
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CancelledError, ToolchainError
from toolchain.layout import Layout

if TYPE_CHECKING:
    from toolchain.console import Reporter

_CLEANUP_SECONDS = 60.0


@dataclass(frozen=True)
class _Ended:
    """A worker's message: its step ended with a result or an error.

    Attributes:
        result: ``None`` with an error, or when the shared cache does not know it.
        looked_up: whether the shared cache was asked and nothing was run.
    """

    action: PreparedAction
    result: ActionResult | None
    error: BaseException | None
    looked_up: bool = False


@dataclass
class _Run:
    """The state of one ``Runner.run``; touched by the main thread only, beside the queue."""

    steps: Mapping[str, Step]
    sorter: TopologicalSorter[str]
    events: queue.SimpleQueue[_Ended | None] = field(default_factory=queue.SimpleQueue)
    known: dict[OutputOf, Digest] = field(default_factory=dict)
    results: dict[str, StepResult] = field(default_factory=dict)
    pending: deque[PreparedAction] = field(default_factory=deque)
    workers: dict[str, threading.Thread] = field(default_factory=dict)
    askers: dict[str, threading.Thread] = field(default_factory=dict)
    in_flight: set[Digest] = field(default_factory=set)
    goes_on: bool = False
    failures: dict[str, ToolchainError] = field(default_factory=dict)
    finished: dict[Digest, ActionResult] = field(default_factory=dict)


class Runner:
    """Runs steps in the order of their dependencies.

    Use it as a context manager, or call ``close``.

    Args:
        layout: where store, action cache and sandboxes are.
        make_executor: called at the first step that has to run, in the calling thread, where Ctrl-C
            interrupts it.
        reporter: gets one line for each step.
        jobs: how many steps may run at once, at least 1.
        explain: also say of each step, before it runs, what changed since it last ran.
        make_shared: as ``make_executor``, for the cache that is asked before a step runs, and is
            offered what ran; ``None`` when there is none.
        store: the one of ``layout``, where others use it too; made if not given.
    """

    def __init__(
        self,
        layout: Layout,
        make_executor: Callable[[], Executor],
        reporter: Reporter,
        jobs: int = 2,
        *,
        explain: bool = False,
        make_shared: Callable[[], SharedCache] | None = None,
        store: Store | None = None,
    ) -> None:
        if jobs < 1:
            raise ValueError("jobs must be at least 1")
        self.store = store or Store(layout.store, reporter.warning)
        self._cache = ActionCache(layout.actions, self.store, reporter.warning)
        self._history = History(layout.actions / "last", layout.project)
        self._make_executor = make_executor
        self._reporter = reporter
        self._jobs = jobs
        self._explain = explain
        self._executor: Executor | None = None
        self._make_shared = make_shared
        self._shared: SharedCache | None = None
        self._prepared_images: set[str] = set()
        self._records: list[RunRecord] = []

    def __enter__(self) -> Runner:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close executor and shared cache if there are; a later ``run`` makes new ones."""
        executor, self._executor = self._executor, None
        shared, self._shared = self._shared, None
        self._prepared_images.clear()
        try:
            if executor is not None:
                executor.close()
        finally:
            if shared is not None:
                shared.close()

    def cancel(self) -> None:
        """End what another thread runs with it, which then raises ``CancelledError``."""
        executor, shared = self._executor, self._shared
        if shared is not None:
            shared.cancel()
        if executor is not None:
            executor.cancel()

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """How the steps of the last ``run`` went, in the order in which they ended."""
        return tuple(self._records)

    def run(self, steps: Sequence[Step]) -> Mapping[str, StepResult]:
        """Bring every step's outputs into the store.

        After the first failure the other running steps are ended, and that failure is raised.

        Returns:
            The results by the steps' names.

        Raises:
            StepGraphError: the steps do not form a graph.
            StepFailedError: an input cannot be read, or whatever else ``Executor.run`` raises.
            CancelledError: interrupted or terminated; containers and scratch are gone.
        """
        return self._run(_Run({step.name: step for step in steps}, order(steps))).results

    def run_what_can(self, steps: Sequence[Step]) -> Mapping[str, ToolchainError]:
        """Bring outputs into the store as ``run`` does, but go on after a failure.

        Returns:
            What went wrong, by the steps' names; what depends on these was not run.

        Raises:
            StepGraphError: the steps do not form a graph.
            CancelledError: interrupted or terminated; containers and scratch are gone.
            ToolchainError: executor, image or shared cache cannot be had: no step can run then.
        """
        run = _Run({step.name: step for step in steps}, order(steps), goes_on=True)
        return self._run(run).failures

    def _run(self, run: _Run) -> _Run:
        self._records = []
        run.sorter.prepare()
        signals = Signals(lambda: run.events.put(None))
        with signals.installed():
            try:
                self._loop(run, signals)
            except KeyboardInterrupt:
                self._stop(run)
                raise _stopped() from None
            except BaseException:
                self._stop(run)
                raise
        return run

    def plan(self, steps: Sequence[Step]) -> tuple[PlannedStep, ...]:
        """Return what ``run`` would do with each step, in order, without running anything.

        Raises:
            StepGraphError: the steps do not form a graph.
            StepFailedError: an input cannot be read.
            CacheCorruptError: a corrupt entry or blob cannot be removed.
        """
        by_name = {step.name: step for step in steps}
        known: dict[OutputOf, Digest] = {}
        planned: dict[str, PlannedStep] = {}
        for name in order(steps).static_order():
            step = by_name[name]
            last = self._history.last(name)
            seconds = last.seconds if last else None
            waits_for = sorted(
                {
                    source.step
                    for source in references(step)
                    if planned[source.step].will_run is not False
                }
            )
            if waits_for:
                reason = f"unknown until {', '.join(waits_for)} has run"
                planned[name] = PlannedStep(name, step.image, None, None, (reason,), seconds)
                continue
            action = prepare_action(step, known)
            result = self._cache.get(action.digest, step.outputs)
            reasons = () if result else changes(last, action)
            planned[name] = PlannedStep(
                name, step.image, result is None, action.digest, reasons, seconds
            )
            if result is not None:
                known |= _by_reference(name, result.outputs)
        return tuple(planned.values())

    def _loop(self, run: _Run, signals: Signals) -> None:
        while run.sorter.is_active():
            # What follows on a known step is ready at once, whatever else is running.
            while ready := run.sorter.get_ready():
                for name in ready:
                    try:
                        self._look_up(run, name, signals)
                    except ToolchainError as error:
                        _fail(run, name, error)
            self._start_workers(run, signals)
            if signals.stopped:
                raise _stopped()
            # Without a worker everything so far was known, so that more may be ready now.
            if run.workers or run.askers:
                ended = run.events.get()
                if ended is None:
                    raise _stopped()
                self._take(run, ended)
            elif run.failures and not run.pending:
                # All that is left depends on what failed.
                return

    def _look_up(self, run: _Run, name: str, signals: Signals) -> None:
        action = prepare_action(run.steps[name], run.known)
        result = self._cache.get(action.digest, action.step.outputs)
        if result is not None:
            self._finish(run, action, result, cached=True)
        elif self._make_shared is None:
            run.pending.append(action)
        else:
            with signals.raising():
                if self._shared is None:
                    self._shared = self._make_shared()
            asker = threading.Thread(
                target=self._ask, args=(self._shared, action, run.events), daemon=True
            )
            run.askers[name] = asker
            asker.start()

    def _ask(
        self,
        shared: SharedCache,
        action: PreparedAction,
        events: queue.SimpleQueue[_Ended | None],
    ) -> None:
        try:
            result = shared.look_up(action)
            if result is not None:
                self._cache.put(action.digest, result)
        except BaseException as error:
            events.put(_Ended(action, None, error, looked_up=True))
        else:
            events.put(_Ended(action, result, None, looked_up=True))

    def _start_workers(self, run: _Run, signals: Signals) -> None:
        twins: list[PreparedAction] = []
        # Together, because an executor may make them side by side.
        images = {action.step.image for action in run.pending}
        while run.pending and len(run.workers) < self._jobs:
            action = run.pending.popleft()
            if action.digest in run.in_flight:
                twins.append(action)
            elif action.digest in run.finished:
                self._finish(run, action, run.finished[action.digest], cached=True)
            else:
                with signals.raising():
                    executor = self._executor_for(images)
                if self._explain:
                    reasons = changes(self._history.last(action.step.name), action)
                    self._reporter.step(f"{action.step.name} runs: {'; '.join(reasons)}")
                worker = threading.Thread(
                    target=self._work, args=(executor, action, run.events), daemon=True
                )
                run.workers[action.step.name] = worker
                run.in_flight.add(action.digest)
                worker.start()
        run.pending.extendleft(reversed(twins))

    def _executor_for(self, images: Set[str]) -> Executor:
        if self._executor is None:
            self._executor = self._make_executor()
        if missing := images - self._prepared_images:
            self._executor.prepare(sorted(missing))
            self._prepared_images |= missing
        return self._executor

    def _work(
        self,
        executor: Executor,
        action: PreparedAction,
        events: queue.SimpleQueue[_Ended | None],
    ) -> None:
        try:
            # A remote executor would want these, and a person who asks what a key was made of.
            for message in (
                action.encoded_action,
                action.encoded_command,
                *action.tree.directories.values(),
            ):
                self.store.put_bytes(message)
            started = time.monotonic()
            with self._reporter.activity(self._title(action.step.name)) as activity:
                done = executor.run(action, activity.update)
            result = ActionResult(done.outputs, time.monotonic() - started, done.made_by)
            self._cache.put(action.digest, result)
            if self._shared is not None:
                self._shared.keep(action, result)
        except BaseException as error:
            events.put(_Ended(action, None, error))
        else:
            events.put(_Ended(action, result, None))

    def _title(self, name: str) -> str:
        """Return what a running step is called: with how long it took the last time."""
        last = self._history.last(name)
        return f"{name}, about {last.seconds:.0f} s" if last and last.seconds >= 2 else name

    def _take(self, run: _Run, ended: _Ended) -> None:
        if ended.looked_up:
            run.askers.pop(ended.action.step.name).join()
        else:
            run.workers.pop(ended.action.step.name).join()
            run.in_flight.discard(ended.action.digest)
        if isinstance(ended.error, ToolchainError):
            _fail(run, ended.action.step.name, ended.error)
            return
        if ended.error is not None:
            raise ended.error
        if ended.looked_up:
            if ended.result is None:
                run.pending.append(ended.action)
            else:
                self._finish(run, ended.action, ended.result, cached=True, shared=True)
            return
        if ended.result is not None:
            run.finished[ended.action.digest] = ended.result
            self._finish(run, ended.action, ended.result, cached=False)

    def _finish(
        self,
        run: _Run,
        action: PreparedAction,
        result: ActionResult,
        *,
        cached: bool,
        shared: bool = False,
    ) -> None:
        name = action.step.name
        last = self._history.last(name)
        same = last is not None and last.action == action.digest.sha256
        reasons = () if cached and same else changes(last, action)
        self._records.append(
            RunRecord(
                name,
                action.digest,
                action.step.image,
                cached,
                result.seconds,
                reasons,
                result.made_by,
            )
        )
        self._history.remember(action, result.seconds)
        run.results[name] = StepResult(name, action.digest, result.outputs, cached)
        run.known |= _by_reference(name, result.outputs)
        run.sorter.done(name)
        self._reporter.step(f"{name}: {_how(result, cached=cached, shared=shared)}")

    def _stop(self, run: _Run) -> None:
        """End every worker; leaves nothing running unless the engine does not answer."""
        if self._shared is not None:
            self._shared.cancel()
        if self._executor is not None:
            self._executor.cancel()
        deadline = time.monotonic() + _CLEANUP_SECONDS
        threads = (*run.workers.values(), *run.askers.values())
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        if any(thread.is_alive() for thread in threads):
            self._reporter.warning("a step could not be ended; the next build removes what it left")
        self.close()


def _by_reference(step: str, outputs: Mapping[PurePosixPath, Digest]) -> dict[OutputOf, Digest]:
    return {OutputOf(step, path): digest for path, digest in outputs.items()}


def _fail(run: _Run, name: str, error: ToolchainError) -> None:
    if not run.goes_on or isinstance(error, CancelledError):
        raise error
    run.failures[name] = error


def _how(result: ActionResult, *, cached: bool, shared: bool) -> str:
    made_by = result.made_by
    if shared:
        return f"cached at {made_by.server}"
    if cached:
        return "cached"
    place = f" on {made_by.worker or 'a worker'}" if made_by.server else ""
    return f"{result.seconds:.1f} s{place}"


def _stopped() -> CancelledError:
    return CancelledError(
        "stopped", next_step="run the same command again: what was finished is kept"
    )
