"""Lets a browser reach a server that listens on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16
_LOOK_AGAIN_SECONDS = 0.05


@contextmanager
def forwarded(target: Path, port: int = 0) -> Iterator[int]:
    """Forward connections to a port of this machine, and of no network, to a Unix socket.

    Args:
        target: the socket.
        port: on 127.0.0.1; 0 for one that is free.

    Yields:
        The port.

    Raises:
        OSError: the port is taken.
    """
    loop = asyncio.new_event_loop()
    accepted: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                answers, questions = await asyncio.open_unix_connection(str(target))
            except OSError:
                return
            with contextlib.closing(questions):
                await asyncio.gather(_copy(reader, questions), _copy(answers, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Remembered here, because a task that is cancelled before it began closes nothing, and
        # because the loop itself refers to a task that waits only weakly.
        accepted[writer] = task = loop.create_task(serve(reader, writer))
        task.add_done_callback(lambda _task: accepted.pop(writer, None))

    try:
        server = loop.run_until_complete(asyncio.start_server(accept, LOOPBACK, port))
    except BaseException:
        loop.close()
        raise
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_close(server, accepted), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(
    server: asyncio.Server, accepted: Mapping[asyncio.StreamWriter, asyncio.Task[None]]
) -> None:
    writers = set(accepted)
    # Until nothing is left: asyncio may still be making a connection that it has taken, and loses
    # it when the server is closed meanwhile.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        writers.update(accepted)
        for task in tuple(accepted.values()):
            task.cancel()
        await asyncio.wait(tasks, timeout=_LOOK_AGAIN_SECONDS)
    server.close()
    for writer in writers:
        writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the one side ends, and then end the other, or until one of them is gone."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        # Nothing more can come through, so the other direction ends too.
        writer.transport.abort()
