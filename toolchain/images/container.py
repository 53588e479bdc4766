"""A container with network, in which clients are run one after the other; gone at the end."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from toolchain.engine.connection import Engine
from toolchain.errors import NetworkError, ToolchainError
from toolchain.images.cancellation import Cancellation
from toolchain.images.definition import WORK_LABEL
from toolchain.images.faults import fetch_error, is_transient
from toolchain.images.leftovers import FETCH_PREFIX, work_identity
from toolchain.images.site import Site
from toolchain.layout import Layout

ATTEMPTS = 3
"""How often a client is run while its faults may pass."""

OUT = "/out"
# Ends a container whose command was killed before it could remove it.
_LIFETIME_SECONDS = 3600
_KILL_SECONDS = 10


class _TransientError(Exception):
    def __init__(self, cause: ToolchainError) -> None:
        self.cause = cause
        super().__init__(str(cause))


@dataclass(frozen=True)
class FetchContainer:
    """A running container.

    Attributes:
        out: folder on this machine that the container sees as ``/out``.
        site: what the container was given of the site's settings.
    """

    engine: Engine
    identifier: str
    out: Path
    site: Site

    def run(
        self,
        arguments: Sequence[str],
        purpose: str,
        *,
        environment: Mapping[str, str] | None = None,
        said: Callable[[str], None] | None = None,
        once: bool = False,
    ) -> str:
        """Run one client, again after a transient fault, and return what it said.

        Args:
            arguments: program and arguments.
            purpose: what it fetches, for messages.
            environment: further variables.
            said: told each line.
            once: give up at the first fault, also where it may pass.

        Raises:
            NetworkError: it could not reach its server.
            DigestMismatchError: it refused a file.
            PinnedPackageGoneError: its server does not have a file.
            DiskFullError: there was no room for what it fetched.
        """

        def note(state: RetryCallState) -> None:
            if said is not None:
                said(f"trying again ({state.attempt_number + 1} of {ATTEMPTS})")

        try:
            for attempt in Retrying(
                stop=stop_after_attempt(1 if once else ATTEMPTS),
                wait=wait_exponential(multiplier=1, max=5),
                retry=retry_if_exception(lambda error: isinstance(error, _TransientError)),
                before_sleep=note,
                reraise=True,
            ):
                with attempt:
                    return self._run_once(arguments, purpose, environment or {}, said)
        except _TransientError as error:
            raise error.cause from error
        raise AssertionError("Retrying either returns or raises")

    def _run_once(
        self,
        arguments: Sequence[str],
        purpose: str,
        environment: Mapping[str, str],
        said: Callable[[str], None] | None,
    ) -> str:
        api = self.engine.client.api
        started = api.exec_create(
            self.identifier,
            list(arguments),
            environment={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **environment},
        )
        text = io.StringIO()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = ""
        for chunk in api.exec_start(started["Id"], stream=True):
            piece = decoder.decode(chunk)
            text.write(piece)
            *lines, pending = (pending + piece).replace("\r", "\n").split("\n")
            for line in lines:
                if said is not None and line.strip():
                    said(line.strip()[:100])
        if api.exec_inspect(started["Id"])["ExitCode"] == 0:
            return text.getvalue()
        error = fetch_error(text.getvalue(), purpose)
        if isinstance(error, NetworkError) and is_transient(text.getvalue()):
            raise _TransientError(error)
        raise error

    def write_file(self, path: str, content: bytes) -> None:
        """Put a file into the container."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
        self.engine.client.api.put_archive(self.identifier, "/", stream.getvalue())


@contextmanager
def open_fetch_container(
    engine: Engine,
    image: str,
    layout: Layout,
    site: Site,
    *,
    network: str = "host",
    cancellation: Cancellation | None = None,
) -> Iterator[FetchContainer]:
    """Start a container of ``image`` for fetching and remove it at the end, whatever happens.

    The host's network is used because a private engine has no bridge, and because a proxy may
    listen on this machine only.

    Raises:
        docker.errors.APIError: the engine refuses, or ``cancellation`` ended the container.
        CancelledError: ``cancellation`` was there first.
    """
    layout.cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=FETCH_PREFIX, dir=layout.cache))
    # Each of these is done whatever becomes of the others.
    with contextlib.ExitStack() as held:
        held.callback(shutil.rmtree, scratch, ignore_errors=True)
        out = scratch / "out"
        out.mkdir()
        binds = [f"{source}:{target}:ro,z" for source, target in site.mounts(scratch).items()]
        container = engine.client.containers.create(
            image,
            ["sleep", str(_LIFETIME_SECONDS)],
            platform=engine.foreign_platform,
            network_mode=network,
            user="0:0",
            environment=dict(site.environment),
            labels={WORK_LABEL: work_identity(layout)},
            security_opt=["no-new-privileges"],
            volumes=[*binds, f"{out}:{OUT}:rw,z"],
        )
        held.callback(container.remove, force=True, v=True)
        held.callback(_give_back, engine, container)
        container.start()
        identifier = str(container.id)
        with (cancellation or Cancellation()).ended_by(lambda: _kill(engine, identifier)):
            yield FetchContainer(engine, identifier, out, site)


def _kill(engine: Engine, identifier: str) -> None:
    # A client of its own, because this waits for an engine that may not answer.
    client = engine.with_timeout(_KILL_SECONDS)
    try:
        client.api.kill(identifier)
    finally:
        client.close()


def _give_back(engine: Engine, container: Any) -> None:
    """Let this user remove what root wrote; a rootless engine's root is the user already."""
    from docker.errors import APIError

    if engine.rootless or os.getuid() == 0:
        return
    with contextlib.suppress(APIError):
        container.exec_run(["chown", "-R", f"{os.getuid()}:{os.getgid()}", OUT], user="0:0")
