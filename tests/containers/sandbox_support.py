"""What the tests of the sandbox share: a bench that runs single steps in containers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from toolchain.actions import OutputOf, Runner, Step
from toolchain.actions.docker_executor import LABEL_CACHE, DockerExecutor
from toolchain.layout import Layout

P = PurePosixPath


class SilentActivity:
    def update(self, text: str) -> None:
        pass


class SilentReporter:
    """Keeps notes and warnings; satisfies ``toolchain.console.Reporter``."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def activity(self, text: str) -> Iterator[SilentActivity]:
        del text
        yield SilentActivity()


class Bench:
    """Runs steps of one image with a cache of its own."""

    def __init__(self, engine: Any, image: str, folder: Path) -> None:
        self.engine = engine
        self.client = engine.client
        self.image = image
        (folder / "project").mkdir()
        self.layout = Layout(project=folder / "project", cache=folder / "cache")
        self.reporter = SilentReporter()

    def runner(self, jobs: int = 2) -> Runner:
        def make() -> DockerExecutor:
            return DockerExecutor(
                self.client,
                self.layout,
                runner.store,
                self.reporter,
                rootless=self.engine.rootless,
            )

        runner = Runner(self.layout, make, self.reporter, jobs)
        return runner

    def step(
        self,
        *arguments: str,
        inputs: Mapping[PurePosixPath, Path | bytes | OutputOf] | None = None,
        output: str = "out",
        **more: Any,
    ) -> Step:
        return Step(
            **{
                "name": "test step",
                "image": self.image,
                "arguments": arguments,
                "inputs": inputs or {},
                "outputs": (P(output),),
                **more,
            }
        )

    def shell(self, script: str, **more: Any) -> Step:
        return self.step("/bin/sh", "-c", script, **more)

    def run(self, step: Step) -> bytes:
        """Run ``step`` and return its only output."""
        with self.runner() as runner:
            (digest,) = runner.run([step])[step.name].outputs.values()
            return runner.store.get(digest)

    def containers(self) -> list[str]:
        """Ids of this bench's containers, running or not."""
        found = self.client.api.containers(
            all=True, filters={"label": f"{LABEL_CACHE}={self.layout.cache}"}
        )
        return [item["Id"] for item in found]

    def scratch(self) -> list[str]:
        return sorted(path.name for path in self.layout.sandboxes.iterdir())

    def wait_for_containers(self, number: int) -> None:
        """Wait until ``number`` containers of this bench run."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            running = self.client.api.containers(
                filters={"label": f"{LABEL_CACHE}={self.layout.cache}"}
            )
            if len(running) == number:
                return
            time.sleep(0.05)
        raise AssertionError(f"no {number} running containers")


def engine_address(client: Any) -> str:
    """Return the ``DOCKER_HOST`` of ``client``."""
    adapter = getattr(client.api, "_custom_adapter", None)
    socket = getattr(adapter, "socket_path", None)
    return f"unix://{socket}" if socket else str(client.api.base_url)
