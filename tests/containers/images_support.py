"""What the tests of images share: what work leaves in an engine, and small file systems."""

from __future__ import annotations

import atexit
import functools
import http
import http.client
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.registry_support import closed_port
from toolchain.engine import Engine
from toolchain.images.definition import WORK_LABEL
from toolchain.layout import Layout, project_layout
from toolchain.pins import FilePin


def image_tags(engine: Engine) -> set[str]:
    """Return the names of all images; others may be made and removed meanwhile."""
    # Not images.list(), which asks for each image anew and fails for one that has gone since.
    return {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}


def work_left(engine: Engine, layout: Layout) -> list[str]:
    """Return containers, unnamed images and scratch files that belong to a cache's work."""
    from toolchain.images.leftovers import work_identity

    ours = work_identity(layout).partition("-")[0]
    api = engine.client.api
    found = [
        str(item["Id"])
        for item in (
            *api.containers(all=True, filters={"label": WORK_LABEL}),
            *api.images(filters={"label": WORK_LABEL}, all=True),
        )
        if item["Labels"][WORK_LABEL].startswith(ours)
    ]
    scratch = [*layout.cache.glob("fetch-*"), *layout.cache.glob("base-*")]
    return [*found, *map(str, scratch), *map(str, layout.downloads.glob("incoming-*"))]


def kept(layout: Layout) -> set[str]:
    """Return the names of all downloaded files."""
    if not layout.downloads.exists():
        return set()
    return {path.name for path in layout.downloads.rglob("*") if path.is_file()}


def other_digest(pin: FilePin) -> FilePin:
    return pin.model_copy(update={"sha256": "0" * 64})


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Yield a file system of its own at ``folder``."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "small", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by a privileged root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def tiny_root() -> bytes:
    """Return a root file system with one program that sleeps, taken from this machine."""
    stream = io.BytesIO()
    program = Path(str(shutil.which("sleep"))).resolve()
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True)
    libraries = [word for word in listed.stdout.split() if word.startswith("/")]
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(program, "sleep")
        for library in libraries:
            archive.add(Path(library).resolve(), library.lstrip("/"))
    return stream.getvalue()


def start_python(
    code: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start Python statements in a process of their own, as a further command."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=project_layout().project,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until ``condition`` gives something and return it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


@functools.cache
def registry_program() -> Path | None:
    """Return Debian's docker-registry: the installed one, or one unpacked for this session."""
    installed = shutil.which("docker-registry")
    if installed:
        return Path(installed)
    folder = Path(tempfile.mkdtemp(prefix="docker-registry-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for command in (
        ["apt-get", "download", "docker-registry"],
        ["sh", "-c", 'dpkg -x docker-registry_*.deb "$1"', "sh", str(folder)],
    ):
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.SubprocessError):
            return None
    return folder / "usr/bin/docker-registry"


@contextmanager
def running_registry(folder: Path) -> Iterator[int]:
    """Run an image registry as companies do, with its data in ``folder``, and yield its port."""
    program = registry_program()
    if program is None:
        pytest.skip("not run: docker-registry is not installed and apt does not give it")
    port = closed_port()
    folder.mkdir()
    (folder / "registry.yml").write_text(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: "
        f"{folder}/data\nhttp:\n  addr: 127.0.0.1:{port}\n"
    )
    command = [str(program), "serve", str(folder / "registry.yml")]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            wait_for(lambda: _answers(port))
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
