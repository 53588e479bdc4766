"""What every command that runs steps needs: checkout, pins, runner, an engine on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from toolchain.actions import Runner, Store, project_lock
from toolchain.console import Reporter, group
from toolchain.images import Kind, image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.pins import REMOTE_LOCK, Pins
from toolchain.pipeline import Pipeline, TrainingOptions
from toolchain.session.engine_choice import EngineChoice, chosen_engine
from toolchain.session.executors import Executors

_REMOTE_JOBS = 32
"""Steps that wait for remote workers side by side: they cost this machine little."""


@dataclass(frozen=True)
class Session:
    """An open command.

    Attributes:
        runner: runs steps; starts an engine when the first one has to run.
        make_runner: makes another one for a thread of its own, to be closed by who asked; ``None``
            where steps run on this machine, whose engine is the main thread's business.
    """

    layout: Layout
    pins: Pins
    pipeline: Pipeline
    runner: Runner
    reporter: Reporter
    make_runner: Callable[[], Runner] | None = None


def make_pipeline(
    layout: Layout,
    pins: Pins,
    training: TrainingOptions | None = None,
    image: Callable[[Kind], str] | None = None,
) -> Pipeline:
    """Return the steps of a checkout.

    Args:
        layout: the checkout.
        pins: its pins.
        training: options of the training; None for the model's own.
        image: names the images; None for their own names.
    """
    name = image or (lambda kind: image_name(kind, pins, layout))
    return Pipeline(
        layout=layout,
        train_image=name("train"),
        cross_image=name("cross"),
        host_image=name("host"),
        tflm_version=f"TensorFlow Lite Micro {pins.tflm.commit[:12]}",
        training=training or TrainingOptions(),
    )


@contextmanager
def open_session(
    reporter: Reporter,
    *,
    jobs: int | None = None,
    training: TrainingOptions | None = None,
    layout: Layout | None = None,
    engine: EngineChoice | None = None,
    explain: bool = False,
) -> Iterator[Session]:
    """Open the checkout for one command; a second command in it waits.

    Args:
        reporter: told what happens.
        jobs: steps run side by side; None for the number of processors.
        training: options of the training step; None for the model's own.
        layout: the checkout; None for the one that this code belongs to.
        engine: where steps run; None for ``auto``, and remote services as the environment says.
        explain: say of each step why it runs.

    Raises:
        PinsError: ``pins.toml`` cannot be used.
    """
    layout = layout or project_layout()
    pins = project_pins(layout)
    choice = engine or chosen_engine("auto")
    remote = choice.remote
    if remote:
        from toolchain.extra_packages import require_packages

        require_packages(REMOTE_LOCK, "grpc", reporter)

    with ExitStack() as stack:
        stack.enter_context(group(reporter, "steps"))
        stack.enter_context(project_lock(layout, reporter))
        store = Store(layout.store, reporter.warning)
        executors = Executors(layout, pins, choice, store, reporter, stack)
        image = executors.tools.image if choice.allow_unpinned else None

        def make_runner() -> Runner:
            return Runner(
                layout,
                executors.executor,
                reporter,
                jobs=jobs or (_REMOTE_JOBS if remote.executor else os.cpu_count() or 1),
                explain=explain,
                make_shared=executors.shared_cache if remote.cache else None,
                store=store,
            )

        runner = make_runner()
        stack.enter_context(_bounded(layout, store, reporter))
        yield Session(
            layout=layout,
            pins=pins,
            pipeline=make_pipeline(layout, pins, training, image),
            runner=runner,
            reporter=reporter,
            make_runner=make_runner if remote.executor else None,
        )


@contextmanager
def _bounded(layout: Layout, store: Store, reporter: Reporter) -> Iterator[None]:
    """Keep the cache within its bound when the block has ended."""
    from toolchain.actions.bound import cache_limit, keep_within_bound

    cache_limit()  # A setting that cannot be used is told before anything runs.
    try:
        yield
    finally:
        keep_within_bound(layout, store.written_bytes, reporter)
