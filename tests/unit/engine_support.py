"""What the tests of ``toolchain.engine`` share: a peer that speaks the Docker Engine's protocol."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

UNPRIVILEGED = 65534


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def engine_peer(path: Path, *, api: str = "1.41", **about: object) -> Iterator[list[str]]:
    """Answer at the Unix socket ``path`` as an engine of that API does; yield what was asked."""
    asked: list[str] = []
    facts = {"SecurityOptions": [], "Architecture": "x86_64", "DockerRootDir": "/data", **about}
    version = {"Version": "0.9.1", "ApiVersion": api, "MinAPIVersion": "1.12", "Os": "linux"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.rpartition("/")[2]
            body = {
                "_ping": b"OK",
                "version": json.dumps(version).encode(),
                "info": json.dumps(facts).encode(),
            }.get(name, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = _Server(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        path.unlink()


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a new folder with a short name that everybody may search."""
    folder = Path(tempfile.mkdtemp(prefix="te-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody else than root inside the block, as most people are."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(UNPRIVILEGED)
    try:
        yield
    finally:
        os.seteuid(0)
