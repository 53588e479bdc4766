"""Builds the image of docker/renode.Dockerfile: ``python -m toolchain.renode``."""

from __future__ import annotations

import shutil
import subprocess
import sys

from toolchain.errors import SimulatorUnavailableError, ToolchainError
from toolchain.layout import project_layout
from toolchain.pins import PINS_FILE, load_pins
from toolchain.renode.program import build_arguments


def main() -> int:
    """Build the image; return the exit code."""
    project = project_layout().project
    try:
        client = shutil.which("docker")
        if client is None:
            raise SimulatorUnavailableError(
                "the docker command line client is not on PATH", next_step="install docker-cli"
            )
        arguments = build_arguments(load_pins(project / PINS_FILE), client, project)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return subprocess.run(arguments, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
