"""Checks linked programs, and remembers by their digests which ones were checked.

Reading an ELF file takes a quarter of a second, and writing a format about as long: a build with
nothing to do must not wait for either.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from toolchain.actions import StepResult, Store
from toolchain.boards import Board, Format
from toolchain.building.own_code import FIRMWARE_CODE, code_digest
from toolchain.digest import Digest
from toolchain.errors import FirmwareInvalidError
from toolchain.files import write_atomically
from toolchain.firmware.formats import FormatError, find_format
from toolchain.firmware.size import LayerSize, SizeReport
from toolchain.layout import Layout

SIZE_SCHEMA = "tinyml-toolchain/size/1"


@dataclass(frozen=True)
class LinkedProgram:
    """The files of an application that a step linked.

    Attributes:
        elf: the linked file.
        image: the bytes from the load address on (``.bin``).
        link_map: what the linker placed where.
    """

    elf: Digest
    image: Digest
    link_map: Digest

    @classmethod
    def of(cls, result: StepResult) -> LinkedProgram:
        """Return the files among the outputs of a step that linked an application."""
        outputs = {path.suffix: digest for path, digest in result.outputs.items()}
        return cls(outputs[""], outputs[".bin"], outputs[".map"])


@dataclass(frozen=True)
class Checker:
    """Checks programs and files for flashing.

    Attributes:
        store: has them.
        layout: where it is remembered what was checked.
    """

    store: Store
    layout: Layout

    def size(self, board: Board, program: LinkedProgram) -> Digest:
        """Check a linked firmware and return the digest of its size report.

        What was checked before by the same code is remembered.

        Raises:
            FirmwareInvalidError: the board would not start it.
            FirmwareDoesNotFitError: it is too large.
        """
        elf, image, link_map = program.elf, program.image, program.link_map
        parts = [SIZE_SCHEMA, code_digest(FIRMWARE_CODE), board.model_dump_json()]
        parts += map(str, (elf, image, link_map))
        key = Digest.of_bytes("\n".join(parts).encode())
        memo = self.layout.checked / key.sha256
        try:
            report = Digest.of_bytes(memo.read_bytes())
            if self.store.contains(report):
                return report
        except OSError:
            pass

        from toolchain.firmware.elf import check_firmware, read_firmware_elf
        from toolchain.firmware.size import size_report

        firmware = read_firmware_elf(self.store.get(elf))
        check_firmware(board, firmware, self.store.get(image))
        size = size_report(board, firmware, self.store.get(link_map).decode("utf-8", "replace"))
        data = _size_json(board, elf, image, size)
        write_atomically(memo, data)
        return self.store.put_bytes(data)

    def packaged(
        self, board: Board, name: Format, inputs: Mapping[PurePosixPath, Digest]
    ) -> Digest:
        """Write a file of the format ``name``, read it back, and return its digest.

        What was made before of the same inputs by the same code is remembered.

        Raises:
            FirmwareInvalidError: what was written is not what was to be written.
            FirmwareDoesNotFitError: the format has no room for the image.
        """
        parts = [name, code_digest(FIRMWARE_CODE), board.model_dump_json()]
        parts += [f"{path} {digest}" for path, digest in sorted(inputs.items())]
        key = Digest.of_bytes("\n".join(parts).encode())
        memo = self.layout.packaged / key.sha256
        try:
            sha256, _, size = memo.read_text(encoding="ascii").partition("/")
            made = Digest(sha256, int(size))
            if self.store.contains(made):
                return made
        except (OSError, ValueError):
            pass

        kind = find_format(name)
        files = {path: self.store.get(digest) for path, digest in inputs.items()}
        try:
            data = kind.write(board, files)
            made = self.store.put_bytes(data)
            kind.check(board, files, self.store.get(made))
        except FormatError as error:
            raise FirmwareInvalidError(
                f"the {name} file for {board.title} is not what it must be", why=str(error)
            ) from error
        write_atomically(memo, str(made).encode("ascii"))
        return made


def _size_json(board: Board, elf: Digest, image: Digest, size: SizeReport) -> bytes:
    report = {
        "schema": SIZE_SCHEMA,
        "target": board.name,
        "elf_sha256": elf.sha256,
        "image_sha256": image.sha256,
        **dataclasses.asdict(size),
    }
    return (json.dumps(report, indent=2) + "\n").encode()


def read_size(data: bytes) -> SizeReport:
    """Read a ``size.json``."""
    report = json.loads(data)
    return SizeReport(
        **{
            field.name: report[field.name]
            for field in dataclasses.fields(SizeReport)
            if field.name != "layers"
        },
        layers=tuple(LayerSize(**layer) for layer in report["layers"]),
    )
