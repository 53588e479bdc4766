"""Opens the cross image by hand, as the make line of the TensorFlow guides expects it."""

from __future__ import annotations

import shutil
import subprocess

from toolchain.boards import Board
from toolchain.commands.build import build
from toolchain.console import Reporter
from toolchain.errors import UsageError
from toolchain.models import Model
from toolchain.session import open_session


def open_shell(reporter: Reporter, board: Board, model: Model, command: str) -> int:
    """Run ``command`` by /bin/sh in the cross image with the board's workspace at /project.

    Returns:
        The command's exit code.

    Raises:
        UsageError: there is no docker client to attach the terminal with.
        ToolchainError: the workspace could not be built.
    """
    from toolchain.engine import open_engine
    from toolchain.images.ensure import ensure_image

    client = shutil.which("docker")
    if client is None:
        raise UsageError(
            "a shell needs the docker command line client", next_step="install docker-cli"
        )
    with open_session(reporter) as session:
        (firmware,) = build(session, [board], model, "release")
        image = session.pipeline.cross_image
        with open_engine(session.layout, reporter) as engine:
            ensure_image(engine, image, layout=session.layout, pins=session.pins, reporter=reporter)
            arguments = [
                *(client, "--host", engine.address.url, "run", "--rm", "--interactive"),
                *(("--tty",) if _is_terminal() else ()),
                *("--network", "none", "--cap-drop", "ALL"),
                *("--security-opt", "no-new-privileges"),
                *("--volume", f"{firmware.folder / 'workspace'}:/project:ro"),
                *(image, "/bin/sh", "-c", command),
            ]
            return subprocess.run(arguments, check=False).returncode


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()
