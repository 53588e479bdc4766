"""What every command that runs steps needs: checkout, pins, runner, an engine on demand."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from toolchain.actions import Executor, Runner, SharedCache, project_lock
from toolchain.console import Reporter, group
from toolchain.errors import (
    EngineTooOldError,
    EngineUnavailableError,
    UnpinnedToolError,
    UsageError,
)
from toolchain.images import Kind, image_name, project_pins
from toolchain.layout import Layout, project_layout
from toolchain.pins import REMOTE_LOCK, Pins
from toolchain.pipeline import Pipeline, TrainingOptions
from toolchain.remote.settings import RemoteChoice, chosen_remote
from toolchain.renode import SIMULATORS

if TYPE_CHECKING:
    from toolchain.host_tools import HostTools
    from toolchain.remote.endpoint import Endpoint


EngineName: TypeAlias = Literal["auto", "docker", "host"]
_REMOTE_JOBS = 32
"""Steps that wait for remote workers side by side: they cost this machine little."""

ENGINES: tuple[EngineName, ...] = ("auto", "docker", "host")


@dataclass(frozen=True)
class EngineChoice:
    """Where steps run.

    Attributes:
        name: ``auto`` is Docker, or the host where Docker cannot be had and the host's tools are
            the pinned ones.
        allow_unpinned: with ``host`` only: whether its tools may be others than the pinned ones.
        remote: services of others that are asked first, or run the steps instead.
    """

    name: EngineName = "auto"
    allow_unpinned: bool = False
    remote: RemoteChoice = field(default_factory=RemoteChoice)


def chosen_engine(
    name: str, *, allow_unpinned: bool = False, remote: RemoteChoice | None = None
) -> EngineChoice:
    """Return the choice that the options mean; without ``remote``, what the environment says.

    Raises:
        UsageError: there is no such engine, it cannot use other tools than the pinned ones, or a
            setting for remote services cannot be used.
    """
    remote = chosen_remote() if remote is None else remote
    for engine in ENGINES:
        if engine == name:
            break
    else:
        raise UsageError(
            f"there is no engine '{name}'",
            why="it is a simulator, of simulate and verify only" if name in SIMULATORS else "",
            next_step=f"choose one of: {', '.join(ENGINES)}",
        )
    if allow_unpinned and engine != "host":
        raise UsageError(
            "--allow-unpinned is for --engine host",
            why="Docker's images have the pinned tools only",
            next_step="add --engine host, or leave it out",
        )
    if remote.executor is not None and engine == "host":
        raise UsageError(
            f"--engine {engine} runs steps here, and --remote-executor elsewhere",
            next_step="leave one of them out; --remote-cache goes with any engine",
        )
    return EngineChoice(engine, allow_unpinned, remote)


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

    @functools.cache
    def tools() -> HostTools:
        # Looked for only where they are wanted: most commands need Docker, or nothing.
        from toolchain.host_tools import HostTools

        return HostTools(layout, pins)

    image = tools().image if choice.allow_unpinned else None
    pipeline = make_pipeline(layout, pins, training, image)
    with ExitStack() as stack:
        stack.enter_context(group(reporter, "steps"))
        stack.enter_context(project_lock(layout, reporter))

        def make_executor() -> Executor:
            if remote.executor is not None:
                return elsewhere(remote.executor)
            if choice.name == "host":
                return on_host()
            try:
                return in_docker()
            except (EngineUnavailableError, EngineTooOldError) as error:
                if choice.name == "docker" or not _usable(tools()):
                    raise
                reporter.warning(f"Docker cannot be used ({error.what}): the host engine is")
                return on_host()

        def elsewhere(endpoint: Endpoint) -> Executor:
            from toolchain.remote.connection import Connection
            from toolchain.remote.executor import RemoteExecutor, queue_seconds

            return RemoteExecutor(
                Connection(endpoint, remote.credentials, patient=True),
                layout,
                runner.store,
                reporter,
                queue_limit=queue_seconds(),
            )

        def make_shared() -> SharedCache:
            from toolchain.remote.cache import RemoteCache
            from toolchain.remote.connection import Connection

            if remote.cache is None:
                raise AssertionError("there is no remote cache")
            same = remote.cache == remote.executor
            return RemoteCache(
                Connection(remote.cache, remote.credentials, patient=same),
                runner.store,
                reporter,
                # An executor stores what its workers made itself.
                offers=not same,
                required=same,
            )

        def on_host() -> Executor:
            from toolchain.actions.host_executor import HostExecutor

            return HostExecutor(
                layout, runner.store, reporter, tools(), allow_unpinned=choice.allow_unpinned
            )

        def in_docker() -> Executor:
            from toolchain.actions.docker_executor import DockerExecutor
            from toolchain.engine import open_engine
            from toolchain.images.build import ensure_image

            docker = stack.enter_context(open_engine(layout, reporter))
            return DockerExecutor(
                docker.client,
                layout,
                runner.store,
                rootless=docker.rootless,
                ensure_image=lambda name: ensure_image(
                    docker, name, layout=layout, pins=pins, reporter=reporter
                ),
                cpus=None,
                reporter=reporter,
            )

        def make_runner() -> Runner:
            return Runner(
                layout,
                make_executor,
                reporter,
                jobs=jobs or (_REMOTE_JOBS if remote.executor else os.cpu_count() or 1),
                explain=explain,
                make_shared=make_shared if remote.cache else None,
            )

        runner = make_runner()
        stack.enter_context(_bounded(layout, runner, reporter))
        others = make_runner if remote.executor else None
        yield Session(layout, pins, pipeline, runner, reporter, others)


def _usable(tools: HostTools) -> bool:
    """Return whether this machine has any of the pinned tools."""
    for kind in ("cross", "train"):
        try:
            if tools.tool(kind).pinned:
                return True
        except UnpinnedToolError:
            continue
    return False


@contextmanager
def _bounded(layout: Layout, runner: Runner, reporter: Reporter) -> Iterator[None]:
    """Keep the cache within its bound when the block has ended."""
    from toolchain.actions.bound import cache_limit, keep_within_bound

    cache_limit()  # A setting that cannot be used is told before anything runs.
    try:
        yield
    finally:
        keep_within_bound(layout, runner.store.written_bytes, reporter)
