"""Tells what the bytes of built firmwares are for, and what changed since another build."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.symbols import demangled
from toolchain import git
from toolchain.building.built import BuiltFirmware
from toolchain.errors import ToolchainError, UsageError
from toolchain.firmware.size import LIBRARY
from toolchain.layout import CACHE_VARIABLE, Layout
from toolchain.paths import user_path
from toolchain.quoted import last_lines
from toolchain.session import Session
from toolchain.sizes.difference import SizeDifference, size_difference
from toolchain.sizes.files import FilesExplained, explain_files
from toolchain.sizes.symbols import DetailedSize, detailed_size

_SHOWN_LINES = 8


@dataclass(frozen=True)
class FirmwareSize:
    """What a built firmware's bytes are for.

    Attributes:
        size: the sums and the parts.
        files: why library, ELF file and flash image have different sizes.
        difference: what changed since another build; None where none was named.
    """

    firmware: BuiltFirmware
    size: DetailedSize
    files: FilesExplained
    difference: SizeDifference | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` tells of it."""
        return {
            "target": self.firmware.board.name,
            "model": self.firmware.model.name,
            "build_type": self.firmware.build_type,
            **dataclasses.asdict(self.size.report),
            "kernels": [
                {"kernel": name, "flash": flash, "ram": ram}
                for name, (flash, ram) in self.size.kernels.items()
            ],
            "symbols": [dataclasses.asdict(each) for each in self.size.symbols],
            "files": dataclasses.asdict(self.files),
            "difference": dataclasses.asdict(self.difference) if self.difference else None,
        }


def firmware_sizes(
    session: Session,
    firmwares: Sequence[BuiltFirmware],
    compare: str = "",
    arena_bytes: int | None = None,
) -> tuple[FirmwareSize, ...]:
    """Return what the bytes of each firmware are for.

    Args:
        session: of the command that built them.
        firmwares: what was built.
        compare: another build: its folder (``build/<target>/<model>``, or one with that below it),
            or a commit of this checkout, which is built in a folder of its own with the same cache.
        arena_bytes: of a given model, of which the commit is built too; None for the smallest.

    Raises:
        UsageError: there is no such folder or commit.
        ToolchainError: the commit cannot be built.
    """
    sizes = tuple(_size(firmware) for firmware in firmwares)
    if not compare:
        return sizes
    folder = user_path(compare)
    if folder.is_dir():
        return tuple(_compared(each, _folder(folder, each.firmware), compare) for each in sizes)
    with exported(session.layout, compare) as copy:
        return tuple(
            _compared(each, _built(session, copy, each.firmware, arena_bytes), compare)
            for each in sizes
        )


def _size(firmware: BuiltFirmware) -> FirmwareSize:
    link_map = _map(firmware.elf)
    library = next(firmware.folder.glob(f"workspace/lib/*/{LIBRARY}"), None)
    files = explain_files(
        (firmware.elf.name, firmware.elf.read_bytes()),
        link_map,
        firmware.image.stat().st_size,
        library.read_bytes() if library else None,
    )
    return FirmwareSize(firmware, _detailed(firmware, firmware.elf), files)


def _map(elf: Path) -> str:
    return elf.with_suffix(".map").read_text(encoding="utf-8", errors="replace")


def _detailed(firmware: BuiltFirmware, elf: Path) -> DetailedSize:
    return detailed_size(firmware.board, elf.read_bytes(), _map(elf), demangled)


def _compared(now: FirmwareSize, elf: Path, name: str) -> FirmwareSize:
    before = _detailed(now.firmware, elf)
    return dataclasses.replace(now, difference=size_difference(name, before, now.size))


def _folder(folder: Path, firmware: BuiltFirmware) -> Path:
    """Return the ELF file of the same firmware in a folder of another build."""
    below = Path(firmware.board.name, firmware.model.name, firmware.elf.name)
    for elf in (folder / firmware.elf.name, folder / below, folder / "build" / below):
        if elf.is_file() and elf.with_suffix(".map").is_file():
            return elf
    raise UsageError(
        f"--compare: {folder} holds no {below} with its map",
        next_step="name a folder such as build, or build/<target>/<model>, of another checkout",
    )


@contextmanager
def exported(layout: Layout, commit: str) -> Iterator[Path]:
    """Give a folder with the files of a commit of the checkout, for as long as the block runs.

    Raises:
        UsageError: git does not know the commit, or it is older than this command.
    """
    if not git.is_installed():
        raise UsageError(
            f"--compare: there is no folder {commit}, and git, which may know it, is not installed",
            next_step="name the folder of another build",
        )
    with tempfile.TemporaryDirectory(prefix="tinyml-compare-") as place:
        archive = Path(place, "commit.tar")
        found = git.ask(layout.project, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
        made = found and git.ask(layout.project, "archive", f"--output={archive}", found)
        if not found or made is None:
            raise UsageError(
                f"--compare: there is no folder {commit}, and git knows no such commit",
                next_step="name a folder of another build, or what git log shows (git fetch brings "
                "what others committed)",
            )
        folder = Path(place, "checkout")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
        if not os.access(folder / "invoke", os.X_OK):
            raise UsageError(
                f"--compare: the commit {commit} has no ./invoke that could build it",
                why="it is older than that, or of something else",
                next_step="name a newer commit, or the folder of a build",
            )
        # The Python packages are the same, unless the commit has another lock.
        environment = layout.project / ".venv"
        lock = Path("requirements.lock")
        wanted = _bytes(folder / lock)
        if wanted is not None and wanted == _bytes(environment / lock):
            (folder / ".venv").symlink_to(environment)
        yield folder


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _built(
    session: Session, folder: Path, firmware: BuiltFirmware, arena_bytes: int | None
) -> Path:
    """Build the same firmware in another checkout, by its own command; return its ELF file.

    Raises:
        ToolchainError: it cannot be built there, or the command tells it in another form.
    """
    model = firmware.model
    given = model.given
    options = ["--model", str(given.file) if given else model.name]
    if given:
        options += [
            word
            for name, path in (
                ("--representative", given.representative),
                ("--inputs", given.inputs),
            )
            if path
            for word in (name, str(path))
        ]
    if arena_bytes is not None:
        options += ["--arena", str(arena_bytes)]
    target = ["--target", firmware.board.name, "--build-type", firmware.build_type]
    with session.reporter.activity(f"building the other {firmware.board.name}"):
        done = subprocess.run(
            [str(folder / "invoke"), "build", *target, *options, "--json"],
            cwd=folder,
            env=os.environ | {CACHE_VARIABLE: str(session.layout.cache)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise ToolchainError(
            f"the other {firmware.board.name} cannot be built",
            why=f"its ./invoke build ended with {done.returncode}:\n"
            f"{last_lines(done.stderr, _SHOWN_LINES)}",
            next_step="name another commit, or the folder of a build",
        )
    try:
        (other,) = json.loads(done.stdout)["firmwares"]
        (elf,) = (
            Path(artifact["path"])
            for artifact in other["artifacts"]
            if Path(artifact["path"]).suffix == ".elf"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ToolchainError(
            f"the other {firmware.board.name} cannot be found",
            why="that commit's ./invoke build --json tells it in another form",
            next_step="name a newer commit, or the folder of a build",
        ) from error
    return elf
