"""A development container for tests: this machine's Python and checkout inside one of the images.

The images have no Python that could run the toolchain (or, ``train``, not its packages), so that
this machine's own interpreter is mounted, with its own dynamic loader and libraries, which leaves
the container's alone: what the toolchain starts there is the image's.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from toolchain.actions import StepResult, Store
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.layout import CACHE_VARIABLE, Layout

_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
_LOADER = _LIBRARIES / "ld-linux-x86-64.so.2"
_MACHINE = Path("/machine")


@dataclass(frozen=True)
class Ended:
    """How a command in the container ended."""

    code: int
    output: str
    errors: str


def run_inside(
    engine: Any,
    image: str,
    layout: Layout,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    readable: Sequence[Path] = (),
) -> Ended:
    """Run this Python with ``arguments`` in a container of ``image`` without network.

    Args:
        engine: the Docker Engine.
        image: name of the image.
        layout: the checkout is readable, its build folder and the cache can be written to.
        arguments: of Python.
        environment: further variables.
        readable: further folders, mounted where they are.
    """
    if platform.machine() != "x86_64" or not _LOADER.exists():
        pytest.skip(f"not run: this machine's Python cannot be taken along without {_LOADER}")
    folders = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), *readable}
    folders.add(layout.project)
    # A folder within another one of these is there with it.
    outer = {each for each in folders if not folders.intersection(each.parents)} - {Path("/usr")}
    volumes = {str(each): {"bind": str(each), "mode": "ro"} for each in outer}
    volumes["/usr"] = {"bind": str(_MACHINE / "usr"), "mode": "ro"}
    volumes[str(layout.cache)] = {"bind": str(layout.cache), "mode": "rw"}
    layout.build.mkdir(exist_ok=True)
    volumes[str(layout.build)] = {"bind": str(layout.build), "mode": "rw"}
    libraries = _MACHINE / _LIBRARIES.relative_to("/")
    container = engine.client.containers.create(
        image,
        [
            *(str(libraries / _LOADER.name), "--library-path", str(libraries)),
            *(str(Path(sys.prefix) / "bin/python"), "-B", *arguments),
        ],
        user="0:0",
        network_mode="none",
        working_dir=str(layout.project),
        volumes=volumes,
        environment={
            CACHE_VARIABLE: str(layout.cache),
            "TOOLCHAIN_NO_INSTALL": "1",
            **(environment or {}),
        },
    )
    try:
        container.start()
        code = container.wait()["StatusCode"]
        output = container.logs(stdout=True, stderr=False).decode()
        errors = container.logs(stdout=False, stderr=True).decode()
    finally:
        container.remove(force=True)
    return Ended(code, output, errors)


def hand_over(results: Mapping[str, StepResult], source: Store, layout: Layout) -> None:
    """Make the results of steps known to another cache."""
    store = Store(layout.store)
    cache = ActionCache(layout.actions, store, print)
    for result in results.values():
        for digest in result.outputs.values():
            store.put_bytes(source.get(digest))
        cache.put(result.action, ActionResult(result.outputs, 0.0))
