"""The tools on this machine that the host engine uses in the place of each image's.

A tool is *pinned* when it computes what the image's would:

- the compilers (images ``cross`` and ``host``): by content, see ``compiler_content``;
- Python (image ``train``): the pinned Python and Debian suite on x86-64, with every package of the
  lock in the locked version. Packages are compared by version, as a second hash over 1.3 GB would
  take longer than most steps.

What another tool makes is known by another key than the image's, made of the tool's own content:
its results are found again, and are never taken for the pinned tool's.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import UnpinnedToolError
from toolchain.host_tools.compiler_content import (
    CROSS,
    NATIVE,
    CompilerKind,
    compiler_content,
)
from toolchain.host_tools.pinned_tree import PinnedTree, pinned_tree
from toolchain.images.definition import Kind, image_name, kind_of, name_by_content
from toolchain.layout import Layout
from toolchain.paths import user_path
from toolchain.pins import TRAIN_LOCK, Pins, normalised, read_lock

PYTHON_VARIABLE = "TOOLCHAIN_PYTHON"
IMAGE_PYTHON = Path("/opt/venv/bin/python")
UNPINNED = "unpinned"
_MAIN_PACKAGE = "tensorflow-cpu"
# What docker/train.Dockerfile removes, because nothing that is run needs it.
_LEFT_OUT = frozenset({"libclang"})
_COMPILERS: Mapping[Kind, CompilerKind] = {"cross": CROSS, "host": NATIVE}
_ASK_PYTHON = """
import importlib.metadata, json, sys
json.dump({"python": ".".join(map(str, sys.version_info[:2])),
           "packages": {each.metadata["Name"]: each.version
                        for each in importlib.metadata.distributions()}}, sys.stdout)
"""
_MOST_SECONDS = 120


@dataclass(frozen=True)
class Tool:
    """What stands on this machine in the place of an image.

    Attributes:
        kind: of the image.
        program: what is run.
        described: what it is, for people.
        fingerprint: sha256 over its content, or over its versions where it is Python.
        differs: why it is not the pinned one; empty when it is.
    """

    kind: Kind
    program: Path
    described: str
    fingerprint: str
    differs: str

    @property
    def pinned(self) -> bool:
        """Whether it is the pinned one."""
        return not self.differs


class HostTools:
    """Finds tools, once each.

    Args:
        layout: checkout and cache.
        pins: what the tools are compared with.
        environ: of the command: ``PATH``, ``TOOLCHAIN_TFLM``, ``TOOLCHAIN_PYTHON``.
    """

    def __init__(self, layout: Layout, pins: Pins, environ: Mapping[str, str] = os.environ) -> None:
        self._layout = layout
        self._pins = pins
        self._environ = environ
        self._found: dict[Kind, Tool] = {}
        self._tree: PinnedTree | None = None
        self._guard = threading.Lock()

    @property
    def path(self) -> str:
        """Where programs are looked for."""
        return self._environ.get("PATH", os.defpath)

    def tool(self, kind: Kind) -> Tool:
        """Return what this machine has in the place of an image.

        Raises:
            UsageError: ``$TOOLCHAIN_PYTHON`` names no path.
            UnpinnedToolError: it has nothing, or this kind cannot be had without Docker.
        """
        if kind not in self._found:
            if kind in _COMPILERS:
                self._found[kind] = self._compiler(kind)
            elif kind == "train":
                self._found[kind] = self._python()
            else:
                raise UnpinnedToolError(
                    f"the image {kind} has no counterpart on this machine",
                    next_step="use --engine docker",
                )
        return self._found[kind]

    def image(self, kind: Kind) -> str:
        """Return what steps name as their image when any tool is allowed.

        That is the image's own name where the tool is the pinned one, so that results are shared.
        """
        try:
            tool = self.tool(kind)
        except UnpinnedToolError:
            # Nothing is run with it; a step that has to run says what is missing.
            return f"{UNPINNED}/{kind}:missing"
        if tool.pinned:
            return image_name(kind, self._pins, self._layout)
        return name_by_content(kind, tool.fingerprint, UNPINNED)

    def kind(self, image: str) -> Kind:
        """Return the kind of an image's name, ``image``'s unpinned ones included.

        Raises:
            UsageError: it is no image of this checkout.
        """
        name = image.partition(":")[0].removeprefix(f"{UNPINNED}/")
        return kind_of(
            name if image.startswith(f"{UNPINNED}/") else image, self._pins, self._layout
        )

    def tree(self) -> PinnedTree:
        """Return the pinned TFLM tree; see ``pinned_tree``. May be called from several threads."""
        with self._guard:
            if self._tree is None:
                self._tree = pinned_tree(self._layout, self._pins, self._environ)
            return self._tree

    def _compiler(self, kind: Kind) -> Tool:
        found = compiler_content(_COMPILERS[kind], self.path)
        pinned = self._pins.content.cross if kind == "cross" else self._pins.content.native
        packages = self._pins.cross if kind == "cross" else self._pins.host_compiler
        differs = ""
        if found.sha256 != pinned:
            names = [name for name in packages.packages if "gcc" in name]
            wanted = ", ".join(f"{name} {packages.packages[name].version}" for name in names)
            differs = (
                f"it is {found.version}; pinned is the content of Debian "
                f"{self._pins.debian.suite}'s {wanted}"
            )
        return Tool(kind, found.program, found.version, found.sha256, differs)

    def _python(self) -> Tool:
        program = self._python_program()
        try:
            done = subprocess.run(
                [program, "-I", "-c", _ASK_PYTHON],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_MOST_SECONDS,
                check=True,
            )
            answer = json.loads(done.stdout)
            packages = {normalised(name): version for name, version in answer["packages"].items()}
            python = str(answer["python"])
        except (OSError, subprocess.SubprocessError) as error:
            raise UnpinnedToolError(f"{program} cannot be run", why=str(error)) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UnpinnedToolError(
                f"{program} does not answer as a Python does",
                next_step=f"let {PYTHON_VARIABLE} name one with the packages of {TRAIN_LOCK}",
            ) from error
        if _MAIN_PACKAGE not in packages and "tensorflow" not in packages:
            raise UnpinnedToolError(
                f"the Python {program} has no TensorFlow",
                next_step=f"let {PYTHON_VARIABLE} name one with the packages of {TRAIN_LOCK}",
            )
        system = _suite()
        described = {**answer, "packages": packages, "system": system, "on": platform.machine()}
        fingerprint = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
        differs = self._python_differs(python, packages, system)
        return Tool("train", program, f"Python {python}", fingerprint, differs)

    def _python_program(self) -> Path:
        named = self._environ.get(PYTHON_VARIABLE)
        if named:
            return user_path(named)
        if IMAGE_PYTHON.exists():
            return IMAGE_PYTHON
        program = shutil.which("python3", path=self.path)
        return Path(program or sys.executable)

    def _python_differs(self, python: str, packages: Mapping[str, str], system: str) -> str:
        debian, train = self._pins.debian, self._pins.train
        if (python, system, platform.machine()) != (train.python, debian.suite, "x86_64"):
            return (
                f"it is Python {python} on {system or 'another system'} ({platform.machine()}), "
                f"pinned is {train.python} on Debian {debian.suite} (x86_64)"
            )
        for locked in read_lock(self._layout.project / TRAIN_LOCK):
            has = packages.get(locked.name)
            optional = bool(locked.marker) or locked.name in _LEFT_OUT
            if has != locked.version and not (has is None and optional):
                return f"{locked.name} is {has or 'missing'}, {TRAIN_LOCK} pins {locked.version}"
        return ""


def _suite() -> str:
    """Return the code name of this machine's Debian release; empty for another system."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    return release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""
