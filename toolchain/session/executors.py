"""Makes what runs steps, and what is asked before they run, when the first step needs it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from toolchain.actions import Executor, SharedCache, Store
from toolchain.console import Reporter
from toolchain.errors import EngineTooOldError, EngineUnavailableError, UnpinnedToolError
from toolchain.layout import Layout
from toolchain.pins import Pins
from toolchain.session.engine_choice import EngineChoice

if TYPE_CHECKING:
    from toolchain.host_tools.tools import HostTools
    from toolchain.remote.endpoint import Endpoint


@dataclass(frozen=True)
class Executors:
    """Makes executors for one command.

    Attributes:
        layout: the checkout.
        pins: its pins.
        choice: where steps run.
        store: has the inputs of steps and gets their outputs.
        reporter: told what happens.
        stack: closes an engine that was opened; after the executors were closed.
    """

    layout: Layout
    pins: Pins
    choice: EngineChoice
    store: Store
    reporter: Reporter
    stack: ExitStack

    @cached_property
    def tools(self) -> HostTools:
        """This machine's own tools, looked for only where they are wanted."""
        from toolchain.host_tools.tools import HostTools

        return HostTools(self.layout, self.pins)

    def executor(self) -> Executor:
        """Return a new executor.

        Raises:
            EngineUnavailableError: there is no engine, and what is here instead is not the pinned.
            RemoteUnavailableError: the service does not answer.
            UnpinnedToolError: this machine's tools are not the pinned ones and may not be others.
            ToolchainError: an engine cannot be used for another reason.
        """
        choice = self.choice
        if choice.remote.executor is not None:
            return self._elsewhere(choice.remote.executor)
        if choice.name == "host":
            return self._on_host()
        try:
            return self._in_docker()
        except (EngineUnavailableError, EngineTooOldError) as error:
            if choice.name == "docker" or not self._host_is_pinned():
                raise
            self.reporter.warning(f"Docker cannot be used ({error.what}): the host engine is")
            return self._on_host()

    def shared_cache(self) -> SharedCache:
        """Return the remote cache, which there must be.

        Raises:
            RemoteUnavailableError: it does not answer, and is the executor's own.
        """
        from toolchain.remote.cache import RemoteCache
        from toolchain.remote.connection import Connection

        remote = self.choice.remote
        assert remote.cache is not None
        same = remote.cache == remote.executor
        return RemoteCache(
            Connection(remote.cache, remote.credentials, patient=same),
            self.store,
            self.reporter,
            # An executor stores what its workers made itself.
            offers=not same,
            required=same,
        )

    def _elsewhere(self, endpoint: Endpoint) -> Executor:
        from toolchain.remote.connection import Connection
        from toolchain.remote.executor import RemoteExecutor, queue_seconds

        return RemoteExecutor(
            Connection(endpoint, self.choice.remote.credentials, patient=True),
            self.layout,
            self.store,
            self.reporter,
            queue_limit=queue_seconds(),
        )

    def _on_host(self) -> Executor:
        from toolchain.actions.host_executor import HostExecutor

        return HostExecutor(
            self.layout,
            self.store,
            self.reporter,
            self.tools,
            allow_unpinned=self.choice.allow_unpinned,
        )

    def _in_docker(self) -> Executor:
        from toolchain.actions.docker_executor import DockerExecutor
        from toolchain.engine import open_engine
        from toolchain.images.ensure import ensure_images

        layout, pins, reporter = self.layout, self.pins, self.reporter
        docker = self.stack.enter_context(open_engine(layout, reporter))
        return DockerExecutor(
            docker.client,
            layout,
            self.store,
            rootless=docker.rootless,
            ensure_images=lambda names: ensure_images(
                docker, names, layout=layout, pins=pins, reporter=reporter
            ),
            reporter=reporter,
        )

    def _host_is_pinned(self) -> bool:
        """Return whether this machine has any of the pinned tools."""
        for kind in ("cross", "train"):
            try:
                if self.tools.tool(kind).pinned:
                    return True
            except UnpinnedToolError:
                continue
        return False
