"""Lets a browser reach a server that listens on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16


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
    # The loop itself refers to a connection that waits only weakly.
    connections: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                answers, questions = await asyncio.open_unix_connection(str(target))
            except OSError:
                return
            with contextlib.closing(questions):
                await asyncio.gather(_copy(reader, questions), _copy(answers, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = loop.create_task(connect(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    server = loop.run_until_complete(asyncio.start_server(accept, LOOPBACK, port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
