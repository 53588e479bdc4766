"""Small package servers on 127.0.0.1 for the real clients: pip, uv, cargo and apt."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

UNTRUSTED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBx7yxviAujNXBrGw
Mgf5q+xDZyRJpMnyHy9Wbl2dgHqhRANCAATstTCViPSUJcEweAMHB0GzjJKFUvDH
kII7p+MCCmI6kTHh1gAnG0RElgMkJuFE+FeQ9CULP88sR77oPI1auWYj
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBfDCCASKgAwIBAgIBATAKBggqhkjOPQQDAjAgMR4wHAYDVQQDDBV1bnRydXN0
ZWQgdGVzdCBzZXJ2ZXIwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBa
MCAxHjAcBgNVBAMMFXVudHJ1c3RlZCB0ZXN0IHNlcnZlcjBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABOy1MJWI9JQlwTB4AwcHQbOMkoVS8MeQgjun4wIKYjqRMeHW
ACcbRESWAyQm4UT4V5D0JQs/zyxHvug8jVq5ZiOjSzBJMAwGA1UdEwEB/wQCMAAw
GgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMB0GA1UdDgQWBBRlSp+lCtR0rnjH
wsrU4G26yCXTNzAKBggqhkjOPQQDAgNIADBFAiEA3rbyh4xMzJJ/igOGMUrL5s70
lEXiCCoK3WMdwnSCf/ACIBGjec+5yUyS24eIO40OJR7SuQSxNXLvTCR7+9eIsHqg
-----END CERTIFICATE-----
"""
"""Key and certificate of a server that nobody trusts; good for nothing but these tests."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Server:
    """What a server gives.

    Attributes:
        files: content by path.
        types: media type by path, where it matters.
        statuses: HTTP status by path, instead of the content.
        cut: paths of which only the first half is sent.
        asked: paths in the order of the requests.
    """

    port: int = 0
    scheme: str = "http"
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}"


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.asked.append(path)
            status = server.statuses.get(path, server.statuses.get("*", 0))
            if not status:
                status = 200 if path in server.files else 404
            body = server.files.get(path, b"") if status == 200 else b"no"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            default = "text/html" if path.endswith("/") else "application/octet-stream"
            self.send_header("Content-Type", server.types.get(path, default))
            self.end_headers()
            if path in server.cut:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def do_CONNECT(self) -> None:
            server.asked.append(f"CONNECT {self.path}")
            self.send_error(server.statuses.get("*", 407))

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@contextmanager
def serve(*, tls: Path | None = None) -> Iterator[Server]:
    """Serve on a free port; over TLS with an untrusted certificate when given a scratch folder."""
    server = Server()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    listener.daemon_threads = True
    server.port = listener.server_address[1]
    if tls is not None:
        (tls / "server.pem").write_text(UNTRUSTED)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem")
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port where connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


def closed_port() -> int:
    """Return a port where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _compressed_tar(files: Mapping[str, bytes]) -> bytes:
    return gzip.compress(tar_of(files), mtime=0)


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def wheel(name: str, version: str, needs: str = "") -> tuple[str, bytes]:
    """Return file name and content of a wheel with an empty module."""
    information = f"{name}-{version}.dist-info"
    requirement = f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        f"{name}.py": "",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"{requirement}",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in files)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return f"{name}-{version}-py3-none-any.whl", stream.getvalue()


def add_wheel(server: Server, name: str, version: str, needs: str = "") -> bytes:
    """Offer a wheel in the server's simple index, at ``/simple``."""
    file_name, content = wheel(name, version, needs)
    server.files[f"/files/{file_name}"] = content
    page = server.files.get(f"/simple/{name}/", b"<!DOCTYPE html>").decode()
    link = f'<a href="/files/{file_name}#sha256={sha256(content)}">{file_name}</a>\n'
    server.files[f"/simple/{name}/"] = (page + link).encode()
    return content


def add_crate(server: Server, name: str, version: str, checksum: str = "") -> bytes:
    """Offer a crate, whose name has four letters or more, in the sparse index at ``/index/``."""
    manifest = (
        f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n'
        'description = "x"\nlicense = "MIT"\n'
    )
    folder = f"{name}-{version}"
    content = gzip.compress(
        tar_of({f"{folder}/Cargo.toml": manifest.encode(), f"{folder}/src/lib.rs": b""}), mtime=0
    )
    record = {
        "name": name,
        "vers": version,
        "deps": [],
        "cksum": checksum or sha256(content),
        "features": {},
        "yanked": False,
    }
    server.files[f"/index/{name[:2]}/{name[2:4]}/{name}"] = json.dumps(record).encode() + b"\n"
    server.files[f"/crates/{name}/{version}"] = content
    configuration = {"dl": f"{server.url}/crates/{{crate}}/{{version}}"}
    server.files["/index/config.json"] = json.dumps(configuration).encode()
    return content


def cargo_config(url: str) -> str:
    return (
        '[source.crates-io]\nreplace-with = "local"\n'
        f'[source.local]\nregistry = "sparse+{url}/index/"\n'
    )


def _ar(files: Mapping[str, bytes]) -> bytes:
    archive = b"!<arch>\n"
    for name, content in files.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        archive += header.encode() + content + b"\n" * (len(content) % 2)
    return archive


def package(name: str, version: str) -> bytes:
    """Return a Debian package with nothing in it."""
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@localhost>\n"
        "Description: nothing\n"
    )
    return _ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": _compressed_tar({"./control": control.encode()}),
            "data.tar.gz": _compressed_tar({}),
        }
    )


def add_packages(server: Server, suite: str, packages: Mapping[str, str], digest: str = "") -> None:
    """Offer Debian packages, version by name, in an unsigned suite at ``/debian``."""
    records = []
    for name, version in packages.items():
        content = package(name, version)
        path = f"pool/{name}_{version}_all.deb"
        server.files[f"/debian/{path}"] = content
        records.append(
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: {path}\n"
            f"Size: {len(content)}\nSHA256: {digest or sha256(content)}\nDescription: nothing\n"
        )
    index = "\n".join(records).encode()
    server.files[f"/debian/dists/{suite}/main/binary-amd64/Packages"] = index
    release = (
        f"Origin: test\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
        "Date: Wed, 01 Jan 2025 00:00:00 UTC\n"
        f"SHA256:\n {sha256(index)} {len(index)} main/binary-amd64/Packages\n"
    )
    server.files[f"/debian/dists/{suite}/Release"] = release.encode()
