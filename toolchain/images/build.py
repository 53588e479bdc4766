"""Builds an image by its Dockerfile, without network."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from toolchain.console import Reporter
from toolchain.disk import says_disk_full
from toolchain.engine.connection import Engine
from toolchain.engine.sdk_errors import sdk_errors
from toolchain.errors import DiskFullError, ImageBuildError
from toolchain.images.cancellation import Cancellation
from toolchain.images.context import context_stream
from toolchain.images.definition import KIND_LABEL
from toolchain.images.downloads import Downloads
from toolchain.images.inputs import BuildInputs
from toolchain.images.leftovers import remove_stages, work_identity
from toolchain.images.making import engine_disk_full
from toolchain.layout import Layout

_LOG_LINES = 400
_SHOWN_LINES = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_ECHOED_COMMAND = re.compile(r"^The command '.*' returned a non-zero code: (\d+)$", re.DOTALL)


def build_image(
    engine: Engine,
    name: str,
    inputs: BuildInputs,
    *,
    labels: Mapping[str, str],
    parent: str,
    layout: Layout,
    reporter: Reporter,
    cancellation: Cancellation | None = None,
) -> None:
    """Build an image without network and name it when it is complete.

    Args:
        engine: where it is built.
        name: what to call it.
        inputs: Dockerfile, context and arguments.
        labels: of the image; its kind is told to the reporter.
        parent: name of the image below it.
        layout: its downloads hold the large context files.
        reporter: told what goes on.
        cancellation: ends the build from another thread.

    Raises:
        ImageBuildError: a command of the Dockerfile failed; the message has the log's last lines.
            Also when ``cancellation`` ended the build.
        CancelledError: ``cancellation`` was there first.
        DiskFullError: the engine's disk filled up.
        CacheCorruptError: a fetched file was damaged since it was checked.
    """
    work = work_identity(layout)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    identifier = ""
    # The tag's last part is a digest; the reader knows the image by its kind.
    title = f"building the {labels[KIND_LABEL]} image"
    try:
        with reporter.activity(title) as activity, _engine_errors(title):
            context = context_stream(inputs.small, inputs.large, Downloads(layout.downloads))
            arguments = {**inputs.arguments, "BASE": parent, "WORK": work}
            for event in _events(
                engine, context, labels, arguments, cancellation or Cancellation()
            ):
                text = _COLOUR.sub("", str(event.get("stream") or "")).strip()
                if text:
                    log.extend(text.splitlines())
                    if told := said_by_builder(text.splitlines()[-1]):
                        activity.update(told)
                if "error" in event:
                    raise _build_error(title, str(event["error"]), log)
                aux = event.get("aux")
                if isinstance(aux, dict) and "ID" in aux:
                    identifier = str(aux["ID"])
        if not identifier:
            raise _build_error(title, "the engine ended without an image", log)
        repository, _, tag = name.rpartition(":")
        engine.client.images.get(identifier).tag(repository, tag)
    finally:
        remove_stages(engine, work)


def said_by_builder(line: str) -> str:
    """Return what is worth showing of a line of the builder; empty for its own bookkeeping."""
    if step := _STEP.match(line):
        return f"step {step[1]} of {step[2]}"
    return "" if line.startswith(("--->", "Removing intermediate container")) else line[:100]


def _events(
    engine: Engine,
    context: Iterator[bytes],
    labels: Mapping[str, str],
    arguments: Mapping[str, str],
    cancellation: Cancellation,
) -> Iterator[Mapping[str, object]]:
    """Yield what the engine says of a build, until it or ``cancellation`` ends it."""
    with engine.builder() as client, ExitStack() as held:

        def hold(response: Any, *_: object, **__: object) -> None:
            # The engine ends a build that nobody listens to any more.
            held.enter_context(cancellation.ended_by(response.raw.shutdown))

        client.api.hooks["response"].append(hold)
        yield from client.api.build(
            fileobj=context,
            custom_context=True,
            buildargs=dict(arguments),
            labels=dict(labels),
            network_mode="none",
            nocache=True,
            rm=True,
            forcerm=True,
            pull=False,
            decode=True,
            platform=engine.foreign_platform,
        )


@contextmanager
def _engine_errors(title: str) -> Iterator[None]:
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        raise _build_error(title, str(error.explanation or error), deque()) from error
    except sdk_errors() as error:
        raise ImageBuildError(
            "the connection to the engine broke off during a build",
            why=str(error),
            next_step="see that the engine still runs, then run the command again",
        ) from error


def _build_error(title: str, why: str, log: deque[str]) -> DiskFullError | ImageBuildError:
    # The engine repeats the whole command, which is in the Dockerfile.
    why = _ECHOED_COMMAND.sub(r"a command of the Dockerfile ended with \1", why)
    shown = "".join(f"\n    {line[:300]}" for line in list(log)[-_SHOWN_LINES:])
    if says_disk_full(why) or says_disk_full(shown):
        return engine_disk_full(title, why)
    return ImageBuildError(
        f"{title} failed",
        why=f"{why}; the log's last lines:{shown}" if shown else why,
        next_step="the inputs were all fetched and checked, so this is a fault of the Dockerfile "
        "or of the engine: report it with the lines above",
    )
