"""What every command that runs steps needs: checkout, pins, runner, an engine on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from toolchain.actions import Executor, Runner, project_lock
from toolchain.console import Reporter
from toolchain.images import image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.pins import Pins
from toolchain.pipeline import Pipeline, TrainingOptions


@dataclass(frozen=True)
class Session:
    """An open command.

    Attributes:
        runner: runs steps; starts an engine when the first one has to run.
    """

    layout: Layout
    pins: Pins
    pipeline: Pipeline
    runner: Runner
    reporter: Reporter


def make_pipeline(layout: Layout, pins: Pins, training: TrainingOptions | None = None) -> Pipeline:
    """Return the steps of a checkout; ``training`` None for the model's own options."""
    return Pipeline(
        layout=layout,
        train_image=image_name("train", pins, layout),
        cross_image=image_name("cross", pins, layout),
        host_image=image_name("host", pins, layout),
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
) -> Iterator[Session]:
    """Open the checkout for one command; a second command in it waits.

    Args:
        reporter: told what happens.
        jobs: steps run side by side; None for the number of processors.
        training: options of the training step; None for the model's own.
        layout: the checkout; None for the one that this code belongs to.

    Raises:
        PinsError: ``pins.toml`` cannot be used.
    """
    layout = layout or project_layout()
    pins = project_pins(layout)
    pipeline = make_pipeline(layout, pins, training)
    with ExitStack() as stack:
        stack.enter_context(project_lock(layout, reporter))

        def make_executor() -> Executor:
            from toolchain.actions.docker_executor import DockerExecutor
            from toolchain.engine import open_engine
            from toolchain.images.build import ensure_image

            engine = stack.enter_context(open_engine(layout, reporter))
            return DockerExecutor(
                engine.client,
                layout,
                runner.store,
                rootless=engine.rootless,
                ensure_image=lambda name: ensure_image(
                    engine, name, layout=layout, pins=pins, reporter=reporter
                ),
                cpus=None,
                reporter=reporter,
            )

        runner = Runner(layout, make_executor, reporter, jobs=jobs or os.cpu_count() or 1)
        stack.enter_context(_bounded(layout, runner, reporter))
        yield Session(layout, pins, pipeline, runner, reporter)


@contextmanager
def _bounded(layout: Layout, runner: Runner, reporter: Reporter) -> Iterator[None]:
    """Keep the cache within its bound when the block has ended."""
    from toolchain.actions.bound import cache_limit, keep_within_bound

    cache_limit()  # A setting that cannot be used is told before anything runs.
    try:
        yield
    finally:
        keep_within_bound(layout, runner.store.written_bytes, reporter)
