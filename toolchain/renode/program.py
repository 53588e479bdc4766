"""Finds Renode: a program on this computer, or the image of docker/renode.Dockerfile."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from toolchain.engine.discovery import candidates
from toolchain.errors import EngineUnavailableError, SimulatorUnavailableError
from toolchain.pins import Pins

VARIABLE = "RENODE"
"""Names the program, for one that is not on PATH."""

_LOOK_SECONDS = 20
_FOLDER_IN_CONTAINER = PurePosixPath("/run/renode")


@dataclass(frozen=True)
class Program:
    """A Renode that can be started.

    Attributes:
        path: the program, or the docker client.
        image: what the client runs; empty: ``path`` is Renode itself.
        host: address of the engine that has the image; empty: the client's own choice.
        rootless: whether that engine runs without root, so that a container's root is the user.
    """

    path: str
    image: str = ""
    host: str = ""
    rootless: bool = False

    def seen(self, folder: Path) -> PurePosixPath:
        """Return what a folder of this computer is called for Renode."""
        return _FOLDER_IN_CONTAINER if self.image else PurePosixPath(folder)

    def command(self, folder: Path, container: str) -> tuple[str, ...]:
        """Return the command line before Renode's own arguments.

        Args:
            folder: the only one that Renode reads and writes; it stands below ``seen(folder)``.
            container: name of the container, if there is one.
        """
        if not self.image:
            return (self.path,)
        return (
            *_client(self.path, self.host),
            *("run", "--rm", "--init", "--interactive", "--name", container),
            *("--network", "none", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges"),
            *("--user", "0:0" if self.rootless else f"{os.getuid()}:{os.getgid()}"),
            *("--volume", f"{folder}:{_FOLDER_IN_CONTAINER}"),
            self.image,
        )

    def removal(self, container: str) -> tuple[str, ...]:
        """Return the command that ends what the client may leave behind; empty: nothing."""
        if not self.image:
            return ()
        return (*_client(self.path, self.host), "rm", "--force", container)


def image_name(pins: Pins) -> str:
    """Return what the image is called."""
    return f"tinyml-toolchain/renode:{pins.renode.version}"


def build_arguments(pins: Pins, client: str, project: Path) -> tuple[str, ...]:
    """Return the command that builds the image.

    Args:
        pins: archive and operating system.
        client: the docker client.
        project: folder of this project.
    """
    debian = pins.debian
    arguments = {
        "BASE": f"{debian.registry_image.partition(':')[0]}@{debian.registry_digest}",
        "RENODE_ARCHIVE": pins.renode.archive,
        "RENODE_SHA256": pins.renode.sha256,
    }
    options = [part for item in arguments.items() for part in ("--build-arg", "=".join(item))]
    folder = project / "docker"
    file = folder / "renode.Dockerfile"
    tag = ("--tag", image_name(pins))
    return (
        client,
        "build",
        "--platform",
        "linux/amd64",
        *tag,
        *options,
        "--file",
        str(file),
        str(folder),
    )


def find_renode(environ: Mapping[str, str], pins: Pins) -> Program:
    """Return the Renode of ``$RENODE``, the one on PATH, or the image, in this order.

    Raises:
        SimulatorUnavailableError: there is none, or ``$RENODE`` names none.
    """
    named = environ.get(VARIABLE, "")
    if named:
        found = _program(named, environ)
        if found is None:
            raise SimulatorUnavailableError(
                f"{VARIABLE} names {named}, which is no program",
                next_step=f"set {VARIABLE} to the path of the program 'renode' of Renode "
                f"{pins.renode.version}, or use --simulator unicorn",
            )
        return Program(found)
    found = _program("renode", environ)
    if found is not None:
        return Program(found)
    client = _program("docker", environ)
    if client is not None:
        for host in ("", *_other_hosts(environ)):
            program = Program(client, image_name(pins), host)
            if _says(program, environ, "image", "inspect", "--format", "{{.Id}}", program.image):
                options = _says(program, environ, "info", "--format", "{{.SecurityOptions}}")
                return replace(program, rootless="name=rootless" in options)
    raise SimulatorUnavailableError(
        "Renode is not on this computer",
        why=f"there is no program 'renode' on PATH, {VARIABLE} is not set, and "
        + (
            f"no Docker Engine that 'docker' reaches has the image {image_name(pins)}"
            if client
            else f"there is no 'docker' on PATH to run the image {image_name(pins)} with"
        ),
        next_step=f"use --simulator unicorn, which needs nothing; or install Renode "
        f"{pins.renode.version}, or build its image where its site can be reached: "
        "./invoke images --renode",
    )


def _program(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of a program; absolute, because it is started in another folder."""
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    return None if found is None else str(Path(found).absolute())


def _client(path: str, host: str) -> tuple[str, ...]:
    return (path, "--host", host) if host else (path,)


def _other_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where ``images --renode`` may have put the image and the client does not look."""
    try:
        return tuple(each.url for each in candidates(environ) if each.socket is not None)
    except EngineUnavailableError:
        return ()


def _says(program: Program, environ: Mapping[str, str], *arguments: str) -> str:
    """Return what the client answers; empty: it does not."""
    try:
        done = subprocess.run(
            (*_client(program.path, program.host), *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=dict(environ),
            text=True,
            errors="replace",
            timeout=_LOOK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
