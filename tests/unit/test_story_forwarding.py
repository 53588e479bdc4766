from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.forwarding import LOOPBACK, forwarded


class Upper:
    """A server on a Unix socket that answers in capitals once the other side has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            said = b""
            while chunk := connection.recv(1 << 16):
                said += chunk
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(said.upper())

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def upper(tmp_path: Path) -> Iterator[Path]:
    folder = Path(os.path.relpath(tmp_path))
    server = Upper(folder / "s")
    yield server.path
    server.close()


def ask(port: int, said: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=60) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
        return answer


def test_what_is_sent_is_answered(upper: Path) -> None:
    with forwarded(upper) as port:
        assert ask(port, b"hello") == b"HELLO"
        assert ask(port, b"again") == b"AGAIN"


def test_a_port_that_is_taken_leaves_nothing_open(
    upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def made() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    with socket.create_server((LOOPBACK, 0)) as taken:
        monkeypatch.setattr(asyncio, "new_event_loop", made)
        with pytest.raises(OSError), forwarded(upper, taken.getsockname()[1]):  # noqa: PT011
            pass
    assert [loop.is_closed() for loop in loops] == [True]


def test_megabytes_come_through_unchanged(upper: Path) -> None:
    said = os.urandom(3 << 20)
    with forwarded(upper) as port:
        assert hashlib.sha256(ask(port, said)).digest() == hashlib.sha256(said.upper()).digest()


def test_many_at_once_get_their_own_answers(upper: Path) -> None:
    answers: dict[int, bytes] = {}
    with forwarded(upper) as port:

        def one(number: int) -> None:
            answers[number] = ask(port, b"n%d" % number * 1000)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: b"N%d" % number * 1000 for number in range(20)}


def test_connections_that_have_ended_are_let_go(upper: Path) -> None:
    with forwarded(upper) as port:
        ask(port, b"first")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(50):
            ask(port, b"more")
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 25


def test_no_other_address_than_the_loopback_is_listened_on(upper: Path) -> None:
    with forwarded(upper) as port:
        listening = Path("/proc/net/tcp").read_text().split("\n")[1:]
        addresses = {
            line.split()[1]
            for line in listening
            if line and line.split()[1].endswith(f":{port:04X}")
        }
    assert addresses
    assert {address.split(":")[0] for address in addresses} == {"0100007F"}


def test_a_taken_port_is_an_error(upper: Path) -> None:
    with forwarded(upper) as port, pytest.raises(OSError, match="in use"), forwarded(upper, port):
        pass


def test_a_server_that_is_not_there_ends_the_connection(tmp_path: Path) -> None:
    with (
        forwarded(tmp_path / "nothing") as port,
        socket.create_connection((LOOPBACK, port), timeout=60) as connection,
    ):
        assert connection.recv(1) == b""


def test_afterwards_nothing_listens_and_open_connections_end(upper: Path) -> None:
    with forwarded(upper) as port:
        connection = socket.create_connection((LOOPBACK, port), timeout=60)
        connection.sendall(b"x")
    with connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=60)
