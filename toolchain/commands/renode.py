"""Runs built firmwares in Renode, and compares it with the simulator of this project."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.console import CaseLine, ResultLine
from toolchain.building.built import BuiltFirmware
from toolchain.commands.simulate import DEFAULT_INFERENCES
from toolchain.console import Reporter
from toolchain.digest import Digest
from toolchain.engine import open_engine
from toolchain.errors import (
    DigestMismatchError,
    ImageBuildError,
    NetworkError,
    SimulatorUnavailableError,
    ToolchainError,
    UsageError,
    VerificationError,
)
from toolchain.json_text import json_text
from toolchain.layout import Layout, project_layout
from toolchain.pins import PINS_FILE, load_pins
from toolchain.quoted import last_lines
from toolchain.renode import SIMULATORS
from toolchain.renode.program import Program, build_arguments, find_renode, image_name
from toolchain.renode.run import RenodeRequest, RenodeResult, run_in_renode

_OTHER_ARCHIVE = "computed checksum did NOT match"

_UNREACHED = re.compile(
    r"curl: \((5|6|7|28|35|52|55|56)\)|curl: \(22\).* (403|429|5\d\d)\b|Temporary failure resolving"
    r"|dial tcp|no such host|i/o timeout|TLS handshake timeout|connection (refused|reset)"
)
"""What tells that something could not be reached; 403 is what many proxies say of a site."""

_SHOWN_LINES = 8

RENODE_REPORT = "simulation_renode.json"
RENODE_SCHEMA = "tinyml-toolchain/renode-simulation/1"


@dataclass(frozen=True)
class Renode:
    """A Renode to run firmwares in.

    Attributes:
        program: how it is started.
        layout: where the boards' files for it are.
    """

    program: Program
    layout: Layout

    def run(
        self,
        firmware: BuiltFirmware,
        image: bytes,
        *,
        results: int | None = None,
        until_text: str | None = None,
    ) -> RenodeResult:
        """Run an image on the firmware's board.

        Args:
            firmware: tells the board.
            image: bytes from the load address on.
            results: lines with results after which it ends; None: none.
            until_text: what the console shows at the end; None: nothing.

        Raises:
            UsageError: the board has no files for Renode.
            ToolchainError: see ``run_in_renode``.
        """
        board = firmware.board
        folder = self.layout.boards / board.name / "renode"
        if not folder.is_dir():
            raise UsageError(
                f"{board.title} has no files for Renode",
                next_step=f"write boards/{board.name}/renode as the other boards have it, or use "
                "--simulator unicorn",
            )
        return run_in_renode(self.program, RenodeRequest(board, folder, image, results, until_text))


@dataclass(frozen=True)
class RenodeInference:
    """A result of the sine, as reports have it; see ``ResultLine``.

    Attributes:
        x: the input, ``y`` the output; None: not finite, which the bits tell.
    """

    x: float | None
    y: float | None
    raw_in: int | None
    raw_out: int | None
    x_bits: int
    y_bits: int

    @classmethod
    def of(cls, line: ResultLine) -> RenodeInference:
        """Return what reports have of a line of the console."""
        x, y = (value if math.isfinite(value) else None for value in (line.x, line.y))
        return cls(x, y, line.raw_in, line.raw_out, line.x_bits, line.y_bits)


@dataclass(frozen=True)
class RenodeCase:
    """A case of a given model, as reports have it: outputs in hexadecimal; see ``CaseLine``."""

    number: int
    equal: bool
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, line: CaseLine) -> RenodeCase:
        """Return what reports have of a line of the console."""
        return cls(line.number, line.equal, tuple(output.hex() for output in line.outputs))


@dataclass(frozen=True)
class RenodeRun:
    """A finished run in Renode and where it was written down."""

    firmware: BuiltFirmware
    image_sha256: str
    result: RenodeResult
    report: Path

    def as_json(self) -> dict[str, object]:
        """Return what ``simulation_renode.json`` holds."""
        return {
            "schema": RENODE_SCHEMA,
            "target": self.firmware.board.name,
            "model": self.firmware.model.name,
            "build_type": self.firmware.build_type,
            "image_sha256": self.image_sha256,
            "inferences": [asdict(RenodeInference.of(each)) for each in self.result.results],
            "cases": [asdict(RenodeCase.of(each)) for each in self.result.cases],
            "brightness": {name: list(ends) for name, ends in self.result.brightness.items()},
            "console": self.result.text,
        }


def engine_and_simulator(engine: str, simulator: str) -> tuple[str, str]:
    """Return what ``--engine`` and ``--simulator`` mean, where both can be given.

    A simulator's name as the engine is taken for the simulator: the steps' engine is then the one
    of nothing given. Neither is checked otherwise.

    Raises:
        UsageError: they name two simulators.
    """
    if engine not in SIMULATORS:
        return engine, simulator
    # "unicorn" is also what nobody asked for.
    if simulator not in {"unicorn", engine}:
        raise UsageError(
            f"--engine {engine} and --simulator {simulator} are two simulators",
            next_step=f"leave out --engine {engine}; --engine says where the build's steps run",
        )
    return "auto", engine


def chosen_simulator(text: str, layout: Layout) -> Renode | None:
    """Return the Renode that ``--simulator`` asks for; None: the project's own simulator.

    Raises:
        UsageError: there is no simulator of this name.
        SimulatorUnavailableError: it is Renode, which is not on this computer.
    """
    if text not in SIMULATORS:
        raise UsageError(
            f"--simulator cannot be '{text}'", next_step=f"choose {' or '.join(SIMULATORS)}"
        )
    if text == "unicorn":
        return None
    return Renode(find_renode(os.environ, load_pins(layout.project / PINS_FILE)), layout)


def simulate_in_renode(
    renode: Renode, firmwares: Iterable[BuiltFirmware], inferences: int | None = None
) -> tuple[RenodeRun, ...]:
    """Run each firmware in Renode and write ``simulation_renode.json`` beside it.

    Args:
        renode: where they run.
        firmwares: what to run.
        inferences: how many, 1 or more; None as in ``simulate_all``.

    Raises:
        ToolchainError: see ``run_in_renode``.
    """
    return tuple(_simulate(renode, firmware, inferences) for firmware in firmwares)


def _simulate(renode: Renode, firmware: BuiltFirmware, inferences: int | None) -> RenodeRun:
    from toolchain.files import write_atomically

    number = (firmware.cases or DEFAULT_INFERENCES) if inferences is None else inferences
    image = firmware.image.read_bytes()
    result = renode.run(firmware, image, results=number)
    report = firmware.folder / RENODE_REPORT
    run = RenodeRun(firmware, Digest.of_bytes(image).sha256, result, report)
    write_atomically(report, f"{json_text(run.as_json(), indent=1)}\n".encode())
    return run


def require_same_console(what: str, unicorn: str, renode: bytes) -> int:
    """Compare every byte that a firmware sent in both simulators; return their number.

    Args:
        what: the firmware, in words.
        unicorn: the console's text of the project's own simulator, each line with its newline;
            the firmware ends lines with carriage return and newline.
        renode: the bytes that came in Renode, to the end of the same run.

    Raises:
        VerificationError: they differ.
    """
    expected = unicorn.replace("\n", "\r\n").encode("ascii")
    if renode == expected:
        return len(expected)
    pairs = zip(expected.splitlines(), renode.splitlines(), strict=False)
    number, lines = next(
        ((index, pair) for index, pair in enumerate(pairs, 1) if pair[0] != pair[1]),
        (0, (b"", b"")),
    )
    raise VerificationError(
        f"{what} says in Renode what it does not say in the simulator",
        why=f"line {number} is '{lines[1].decode('ascii', 'backslashreplace')}' instead of "
        f"'{lines[0].decode('ascii')}'"
        if number
        else f"{len(renode)} bytes came instead of {len(expected)}",
        next_step="one of the two computes or sends wrongly: compare both with a real board",
    )


def _build_failure(output: str) -> ToolchainError:
    """Say what ended the build, by what curl, apt, sha256sum and docker write."""
    said = f"\n{last_lines(output, _SHOWN_LINES)}"
    if _OTHER_ARCHIVE in output:
        return DigestMismatchError(
            "the archive of Renode is not the one that pins.toml names",
            why=f"its sha256 is another one:{said}",
            next_step="run it again; if it stays, do not use what the site or a proxy gives out",
        )
    if _UNREACHED.search(output):
        return NetworkError(
            "what the Renode image is made of cannot be fetched",
            why="its base comes from an image registry and its archive from Renode's own site, "
            f"which both must answer:{said}",
            next_step="build it on a machine where they do, or use --simulator unicorn",
        )
    return ImageBuildError(
        "the Renode image could not be built",
        why=f"docker build says:{said}",
        next_step="if it stays, use --simulator unicorn",
    )


def make_renode_image(reporter: Reporter) -> str:
    """Build the image of ``docker/renode.Dockerfile`` and return its name.

    Raises:
        NetworkError: the archive's site, the registry or a mirror does not answer.
        DigestMismatchError: the archive is not the pinned one.
        ImageBuildError: it cannot be built for another reason.
        SimulatorUnavailableError: there is no docker client, or no engine but a private one.
    """
    layout = project_layout()
    pins = load_pins(layout.project / PINS_FILE)
    client = shutil.which("docker")
    if client is None:
        raise SimulatorUnavailableError(
            "the docker command line client is not on PATH",
            why="the Renode image is the only one that is built with it, as it has its own network",
            next_step="install it (Debian and Ubuntu: apt-get install docker-cli)",
        )
    name = image_name(pins)
    with open_engine(layout, reporter) as engine, reporter.activity(f"building {name}"):
        if engine.private:
            raise SimulatorUnavailableError(
                "the Renode image needs a Docker Engine that stays",
                why="only the private one of this project answers, which ends with each command",
                next_step="start Docker, or name an engine by DOCKER_HOST; or install Renode "
                f"{pins.renode.version} itself",
            )
        done = subprocess.run(
            build_arguments(pins, client, layout.project),
            env=os.environ | {"DOCKER_HOST": engine.address.url},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise _build_failure(f"{done.stdout}\n{done.stderr}")
    return name
