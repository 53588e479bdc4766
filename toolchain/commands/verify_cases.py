"""Proves in simulation that a given model's firmware computes what the model computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median

from simulator import Case
from toolchain.actions import StepResult
from toolchain.building.built import VERIFY_REPORT, BuiltFirmware
from toolchain.commands.renode import Renode, require_same_console
from toolchain.commands.simulate import run_image
from toolchain.digest import Digest
from toolchain.files import write_atomically
from toolchain.json_text import json_text
from toolchain.session import Session
from toolchain.verification.cases import (
    CaseComparison,
    compare_cases,
    read_case_reference,
    require_cases_passed,
)

VERIFY_SCHEMA = "tinyml-toolchain/verify/1"


def report_head(firmware: BuiltFirmware, image_sha256: str, *, passed: bool) -> dict[str, object]:
    """Return how every ``verify.json`` begins."""
    return {
        "schema": VERIFY_SCHEMA,
        "target": firmware.board.name,
        "model": firmware.model.name,
        "build_type": firmware.build_type,
        "passed": passed,
        "image_sha256": image_sha256,
    }


@dataclass(frozen=True)
class VerifiedCases:
    """A board and given model of which every output byte was compared.

    Attributes:
        firmware: the image that is flashed, which is the one that was simulated.
        cases: as the firmware printed them.
        comparison: of all outputs with the judge's.
        report: ``verify.json``.
        renode_bytes: that came in Renode too, each the same; None: Renode was not asked for.
    """

    firmware: BuiltFirmware
    image_sha256: str
    cases: tuple[Case, ...]
    comparison: CaseComparison
    report: Path
    renode_bytes: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the firmware computes what the model computes."""
        return self.comparison.passed

    @property
    def instructions(self) -> tuple[int, ...]:
        """Instructions of each inference."""
        return tuple(case.instructions for case in self.cases)

    @property
    def median_instructions(self) -> int:
        """Instructions of an inference in the middle."""
        return round(median(self.instructions))

    def require_passed(self) -> None:
        """Raise ``VerificationError`` unless it passed."""
        require_cases_passed(self.comparison)

    def as_json(self) -> dict[str, object]:
        """Return what ``verify.json`` holds."""
        return {
            **report_head(self.firmware, self.image_sha256, passed=self.passed),
            "instructions": self.instructions,
            "cases": self.comparison.as_json(),
            **({} if self.renode_bytes is None else {"renode_bytes": self.renode_bytes}),
        }


def verify_cases(
    session: Session,
    firmware: BuiltFirmware,
    results: Mapping[str, StepResult],
    renode: Renode | None = None,
) -> VerifiedCases:
    """Run the flashable image on all cases and compare; writes ``verify.json``.

    Raises:
        VerificationError: it printed other cases than there are, or other bytes in Renode.
        ToolchainError: the simulation failed.
    """
    report = firmware.folder / VERIFY_REPORT
    # Whatever ends this before there is a new one, an older one must not say that all is well.
    report.unlink(missing_ok=True)
    store, model = session.runner.store, firmware.model
    digest = results[f"reference {model.name}"].outputs[PurePosixPath("reference.json")]
    reference = read_case_reference(store.path(digest))
    image, run = run_image(firmware, len(reference.judged))
    renode_bytes = None
    if renode is not None:
        again = renode.run(firmware, image, results=len(reference.judged))
        name = f"model_runner of {model.name} on {firmware.board.title}"
        renode_bytes = require_same_console(name, run.console, again.console)
    verified = VerifiedCases(
        firmware=firmware,
        image_sha256=Digest.of_bytes(image).sha256,
        cases=run.cases,
        comparison=compare_cases(reference, [case.outputs for case in run.cases]),
        report=report,
        renode_bytes=renode_bytes,
    )
    write_atomically(report, f"{json_text(verified.as_json())}\n".encode())
    return verified
