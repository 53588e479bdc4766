"""A worker on this machine's Docker Engine, with the images of this checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolchain.actions.docker_executor import DockerExecutor
from toolchain.actions.store import Store
from toolchain.images import Kind
from toolchain.images.ensure import ensure_images
from toolchain.layout import Layout
from toolchain.pins import Pins
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.leased import Workplace
from toolchain.remote.settings import Credentials
from toolchain.remote.worker import Worker, hold_name, worker_name

if TYPE_CHECKING:
    from toolchain.console import Reporter
    from toolchain.engine.connection import Engine

WORKER_KINDS: tuple[Kind, ...] = ("train", "cross", "host")
"""The images in which steps of a build run."""


def open_worker(
    engine: Engine,
    endpoint: Endpoint,
    credentials: Credentials,
    *,
    slots: int,
    name: str,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
) -> Worker:
    """Return a worker that is ready to run; its images are there, made first where they were not.

    Args:
        engine: on which it runs actions.
        endpoint: of the service.
        credentials: for it.
        slots: how many actions run at once.
        name: of the worker; empty for one that stays the same for this cache.
        layout: whose images and cache it uses.
        pins: of the checkout.
        reporter: told what is done.

    Raises:
        UsageError: the name cannot be used.
        WorkerError: another worker on this machine has it.
        RemoteRefusedError: the token has expired.
        ToolchainError: an image cannot be made.
    """
    chosen = worker_name(name, layout)
    hold_name(chosen, layout)
    images = ensure_images(engine, WORKER_KINDS, layout=layout, pins=pins, reporter=reporter)
    # Its logs are no part of what the user of this checkout looks at.
    apart = Layout(project=layout.cache / "remote" / "worker", cache=layout.cache)
    store = Store(apart.store, reporter.warning)

    def make_executor() -> DockerExecutor:
        return DockerExecutor(engine.client, apart, store, reporter, rootless=engine.rootless)

    place = Workplace(chosen, images, apart, store, make_executor, reporter)
    return Worker(place, lambda: Connection(endpoint, credentials), slots)
