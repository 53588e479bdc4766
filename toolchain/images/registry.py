"""What every conversation with an image registry needs, which the engine has for us."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def until_silent(
    start: Callable[[], Iterator[Mapping[str, Any]]], seconds: float
) -> Iterator[Mapping[str, Any]]:
    """Yield events until there is none for ``seconds``; the SDK waits for a pull without limit.

    Raises:
        TimeoutError: there was none for so long.
    """
    arrived = queue.SimpleQueue[Mapping[str, Any] | Exception | None]()

    def read() -> None:
        try:
            for event in start():
                arrived.put(event)
            arrived.put(None)
        except Exception as error:
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            item = arrived.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"it said nothing for {seconds:g} s") from None
        if item is None:
            return
        if isinstance(item, Exception):
            raise item
        yield item


def transfer(call: Callable[..., Any], **arguments: Any) -> Iterator[Mapping[str, Any]]:
    """Start a pull or push with the user's passwords, or without any where they cannot be had.

    Args:
        call: the SDK's ``pull`` or ``push``.
        arguments: passed on to it.

    Returns:
        What the engine says, as it comes.

    Raises:
        docker.errors.DockerException: the engine refuses.
    """
    from docker.errors import DockerException

    try:
        with warnings.catch_warnings():
            # The SDK warns of what it raises a moment later.
            warnings.simplefilter("ignore")
            events: Iterator[Mapping[str, Any]] = call(**arguments)
    except DockerException as error:
        # The user's settings name a program for passwords that is not on this system, as Docker
        # Desktop's do. Without password most images can be had.
        if "Credentials store error" not in str(error):
            raise
        events = call(**arguments, auth_config={})
    return events
